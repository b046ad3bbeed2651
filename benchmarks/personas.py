"""Reading the personas: what a turn waits for, and how soon an edit in Notion is heard."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.table import Row, show
from orchestra.personas.files import PersonaFiles
from orchestra.personas.kept import KeptTable
from orchestra.personas.notion.store import NotionPersonas
from orchestra.personas.notion.wire import NotionWire
from orchestra.personas.roster import Roster
from orchestra.settings import ROOT
from tests.doubles.notion import TOKEN, Fault, NotionServer, add_persona

READS = 10_000
READERS = 1000
TTL_SECONDS = 1.0


async def main() -> None:
    """Measure against a Notion on loopback, and print the table."""
    shipped = await PersonaFiles(ROOT / "personas_seed").load()
    with tempfile.TemporaryDirectory() as folder, NotionServer() as server:
        pages = {one.id: add_persona(server, one) for one in shipped.members}
        kept = KeptTable(Path(folder) / "kept.json", "t")
        store = NotionPersonas(NotionWire(TOKEN, server.url), server.database_id, kept)
        roster = Roster(store, ttl_seconds=TTL_SECONDS)
        await roster.current()
        fresh = await _reads(roster)
        await asyncio.sleep(TTL_SECONDS)
        before = server.asked["POST data_sources"]
        await asyncio.gather(*(roster.current() for _ in range(READERS)))
        await asyncio.sleep(TTL_SECONDS / 2)
        listings = server.asked["POST data_sources"] - before
        by_ttl = await _until_heard(roster, server, pages["sophia"], "By the TTL")
        quiet = Roster(store, ttl_seconds=3600)
        await quiet.current()
        by_webhook = await _until_heard(
            quiet, server, pages["sophia"], "By the webhook", nudge=True
        )
        server.always(Fault(hang=True))
        await asyncio.sleep(TTL_SECONDS)
        hanging = await _reads(roster)
        server.always(None)
        await roster.close()
    show(
        "Personas in Notion",
        [
            Row("reading the roster, p95", f"{fresh * 1000:.3f} ms", "1 ms"),
            Row("the same while Notion hangs, p95", f"{hanging * 1000:.3f} ms", "no more"),
            Row(f"listings for {READERS} readers after expiry", f"{listings}", "1"),
            Row(f"an edit is live, TTL {TTL_SECONDS:.0f} s", f"{by_ttl:.2f} s", "TTL + 1 request"),
            Row("an edit is live after a webhook", f"{by_webhook:.2f} s", "3 s"),
        ],
    )


async def _reads(roster: Roster) -> float:
    """95th percentile of the seconds that a turn waits for the personas."""
    seconds = np.empty(READS)
    for number in range(READS):
        started = time.perf_counter()
        await roster.current()
        seconds[number] = time.perf_counter() - started
        if number % 100 == 0:
            await asyncio.sleep(0)
    return float(np.percentile(seconds, 95))


async def _until_heard(
    roster: Roster, server: NotionServer, page_id: str, role: str, *, nudge: bool = False
) -> float:
    """Seconds from an edit until a turn gets it."""
    server.edit(page_id, Role=role)
    started = time.perf_counter()
    if nudge:
        roster.reload_soon()
    while (await roster.current()).get("sophia").role != role:  # noqa: ASYNC110  # turns poll
        await asyncio.sleep(0.005)
    return time.perf_counter() - started


if __name__ == "__main__":
    asyncio.run(main())
