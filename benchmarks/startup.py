"""How long until the page is there, until it answers at full speed, and what that takes."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx
import psutil

from benchmarks.embedded import QUESTIONS
from benchmarks.processes import environment, free_port, running, seconds_until_ok
from benchmarks.table import Row, show

_IMPORTS = 5
_TIMED_IMPORT = (
    "import time; started = time.perf_counter(); import orchestra; "
    "print(time.perf_counter() - started)"
)


async def main() -> None:
    """Print the table."""
    imported = median([await _import_seconds() for _ in range(_IMPORTS)])
    with TemporaryDirectory() as name:
        folder, port = Path(name), str(free_port())
        url = f"http://127.0.0.1:{port}"
        serve = [str(Path(sys.executable).with_name("orchestra")), "serve", "--port", port]
        env = environment(ORCHESTRA_DATA_DIR=str(folder / "data"))
        rows = [Row("import orchestra", f"{imported:.3f} s", "<= 0.3 s")]
        for what in ("empty data folder", "next start"):
            started = time.perf_counter()
            async with running(serve, folder, env) as process:
                await seconds_until_ok(url, process)
                page = time.perf_counter() - started
                await seconds_until_ok(f"{url}/readyz", process)
                ready = time.perf_counter() - started
                resident = _resident(process.pid)
                await _ask(url)
                used = _resident(process.pid)
            rows += [
                Row(f"{what}: serve to the page's first byte", f"{page:.1f} s", "<= 12 s"),
                Row(f"{what}: serve to ready", f"{ready:.1f} s", "<= 25 s"),
                Row(f"{what}: resident memory when ready", resident, "<= 1.3 GB"),
                Row(f"{what}: the same after {len(QUESTIONS)} answers", used, "<= 1.3 GB"),
            ]
    show("Start-up, with the embedded model", rows)


async def _import_seconds() -> float:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _TIMED_IMPORT, stdout=PIPE, env=environment()
    )
    printed, _ = await process.communicate()
    return float(printed)


def _resident(process_id: int) -> str:
    process = psutil.Process(process_id)
    family = [process, *process.children(recursive=True)]
    return f"{sum(one.memory_info().rss for one in family) / 1e9:.2f} GB"


async def _ask(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        for text in QUESTIONS:
            answer = await client.post(f"{url}/api/v1/chat", json={"message": text})
            answer.raise_for_status()


if __name__ == "__main__":
    asyncio.run(main())
