"""`notion …`: the table in which personas live."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestra.cli.command import AsJson, DryRun, read_own_settings, show_parts
from orchestra.errors import PersonaError, SettingsError
from orchestra.settings import Settings

if TYPE_CHECKING:
    from orchestra.personas.notion.store import NotionPersonas
    from orchestra.personas.notion.wire import NotionWire
    from orchestra.transfer.copying import Step
    from orchestra.types.status import PartStatus

app = typer.Typer(help="The table in Notion in which personas live.", no_args_is_help=True)

_PATIENCE_SECONDS = 60.0
_MARKS = {"add": "+", "change": "~", "keep": "=", "skip": "-"}


@app.command("init")
def init(as_json: AsJson = False) -> None:
    """Make the table, or add what it lacks; can be run again."""
    from orchestra.parts import notion_store
    from orchestra.personas.files import PersonaFiles
    from orchestra.personas.notion.setup import Made, complete, find_table, new_table

    settings = _settings(needs_table=False)
    note = settings.data_dir / "notion-tables.json"
    parent, reference = settings.notion_parent_page_id, settings.notion_personas_db_id
    if not parent and not reference:
        message = (
            "NOTION_PARENT_PAGE_ID is not set: share a page in Notion with the connection, and "
            "put the page's link there."
        )
        raise SettingsError(message)

    async def run() -> Made:
        async with _wire(settings) as wire:
            table = reference or await find_table(wire, parent, note)
            made = Made(table or await new_table(wire, parent, note), created=table is None)
            shipped = (await PersonaFiles(settings.personas_dir).load()).members
            await complete(notion_store(settings, wire, made.database_id), shipped, made)
            return made

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    made = asyncio.run(run())
    if as_json:
        print(json.dumps(asdict(made), ensure_ascii=False))
        return
    print(f"{'Made' if made.created else 'Found'} the table {made.database_id}.")
    for one in made.columns:
        print(f"+ column {one}")
    for one in made.personas:
        print(f"+ {one}")
    for one, why in made.skipped.items():
        print(f"= {one}: {why}")
    print(f"\nThe line for .env:\nNOTION_PERSONAS_DB_ID={made.database_id}")


@app.command("check")
def check(as_json: AsJson = False) -> None:
    """Say in words what is wrong with token, sharing, columns and rows, and how to mend it."""
    from orchestra.personas.notion.setup import examine

    settings = _settings()

    async def run() -> list[PartStatus]:
        async with _store(settings) as (wire, store):
            return [*await examine(wire, store), *await _at_the_gate(settings, store)]

    show_parts(asyncio.run(run()), as_json=as_json)


async def _at_the_gate(settings: Settings, store: NotionPersonas) -> list[PartStatus]:
    """Whether what the table says now may serve; nothing where no baseline is set, or no table."""
    from orchestra.parts import examiner_of
    from orchestra.types.status import PartStatus

    examiner = examiner_of(settings)
    if examiner is None:
        return []
    try:
        personas = await store.load()
    except PersonaError:  # which the other parts tell
        return []
    why = examiner.verdict(personas)
    if why is None:
        return [PartStatus("gate", ok=True, detail="not examined yet; the server does that")]
    if why:
        fix = "Make what was edited more itself; if somebody came or went, make a new baseline."
        return [PartStatus("gate", ok=False, detail=why, fix=fix)]
    return [PartStatus("gate", ok=True, detail="examined, and no less distinct")]


@app.command("push")
def push(dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Bring the persona files into the table; nobody is removed."""
    from orchestra.personas.files import PersonaFiles
    from orchestra.transfer.copying import carry_out, planned

    settings = _settings()

    async def run() -> list[Step]:
        async with _store(settings) as (_, store):
            coming = (await PersonaFiles(settings.personas_dir).load()).members
            there = {one.id: one for one in (await store.load()).members}
            steps = planned(coming, there, store.source)
            if not dry_run:
                await carry_out(steps, store)
            return steps

    show(asyncio.run(run()), dry_run=dry_run, as_json=as_json)


@app.command("pull")
def pull(
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder; default: ORCHESTRA_PERSONAS_DIR.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Bring the table into persona files; no file is removed."""
    from orchestra.personas.files import PersonaFiles
    from orchestra.transfer.copying import Step, carry_out, planned

    settings = _settings()
    folder = to or settings.personas_dir

    async def run() -> list[Step]:
        async with _store(settings) as (_, store):
            personas, files = await store.load(), PersonaFiles(folder)
            there = {}
            if any(folder.glob("*.md")):
                there = {one.id: one for one in (await files.load()).members}
            wrong = store.misread()
            sound = [one for one in personas.members if one.id not in wrong]
            steps = planned(sound, there, files.source)
            why = "its row has a problem; see 'orchestra notion check'"
            steps = [step for step in steps if step.persona_id not in wrong]
            steps += [Step(one, "skip", why) for one in sorted(wrong)]
            if not dry_run:
                await carry_out(steps, files)
            return steps

    if not dry_run:
        folder.mkdir(parents=True, exist_ok=True)
    show(asyncio.run(run()), dry_run=dry_run, as_json=as_json)


def show(steps: Sequence[Step], *, dry_run: bool, as_json: bool) -> None:
    """Print what was, or would be, done about each persona."""
    if as_json:
        rows = [
            {"persona": one.persona_id, "action": one.action, "detail": one.detail} for one in steps
        ]
        print(json.dumps({"dry_run": dry_run, "personas": rows}, ensure_ascii=False))
        return
    for one in steps:
        print(f"{_MARKS[one.action]} {one.persona_id}: {one.detail}")
    if dry_run:
        print("Nothing was written: this is a dry run.")


def _settings(*, needs_table: bool = True) -> Settings:
    """The settings, with what Notion needs.

    Raises:
        SettingsError: a variable is missing.
    """
    settings = read_own_settings(persona_store="files")
    missing = [] if settings.notion_api_key else ["NOTION_API_KEY (the connection's secret)"]
    if needs_table and not settings.notion_personas_db_id:
        missing.append("NOTION_PERSONAS_DB_ID ('orchestra notion init' makes a table)")
    if missing:
        message = f"{' and '.join(missing)} must be set."
        raise SettingsError(message)
    return settings


@asynccontextmanager
async def _wire(settings: Settings) -> AsyncIterator[NotionWire]:
    from orchestra.parts import open_wire

    wire = open_wire(settings, _PATIENCE_SECONDS)
    try:
        yield wire
    finally:
        await wire.close()


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[tuple[NotionWire, NotionPersonas]]:
    from orchestra.parts import notion_store

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with _wire(settings) as wire:
        yield wire, notion_store(settings, wire, settings.notion_personas_db_id)
