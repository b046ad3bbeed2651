"""`migrate` and `schema`: from one database into another."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr

from orchestra.cli.command import AsJson, DryRun, read_own_settings
from orchestra.errors import PersonaStoreError, SettingsError
from orchestra.settings import Settings

if TYPE_CHECKING:
    from orchestra.database import Database
    from orchestra.transfer.migration import Moved
    from orchestra.types.persona import Persona

_SOURCES = (
    "'files', 'notion', 'sql' (as the settings say), 'sqlite:FOLDER', or a PostgreSQL address"
)


def migrate(
    source: Annotated[str, typer.Option("--from", help=f"Where everything is: {_SOURCES}.")],
    target: Annotated[
        str, typer.Option("--to", help="Empty: a PostgreSQL address, or sqlite:FOLDER.")
    ],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Move personas, memories, versions, feedback and history into another database, verified."""
    from orchestra.parts import open_database
    from orchestra.transfer.migration import migrate_all

    settings = read_own_settings(persona_store="files")  # where they live is --from's to say

    async def run() -> list[Moved]:
        from_there, to_there = _named(source, "--from"), _named(target, "--to")
        async with AsyncExitStack() as stack:
            kept = None
            if from_there or settings.database_url or (settings.data_dir / "orchestra.db").exists():
                changed = settings.model_copy(update=from_there)
                kept = await stack.enter_async_context(open_database(changed))
            members = await _personas(settings, source, kept)
            there = await stack.enter_async_context(
                open_database(settings.model_copy(update=to_there))
            )
            if kept is not None and kept.description == there.description:
                message = f"--from and --to are both {kept.description}."
                raise SettingsError(message)
            return await migrate_all(kept, there, members, dry_run=dry_run)

    moved = asyncio.run(run())
    if as_json:
        print(json.dumps({"dry_run": dry_run, "tables": [asdict(one) for one in moved]}))
        return
    for one in moved:
        print(f"ok   {one.table:18} {one.rows:8,} rows, checksum {one.checksum[:16]} in both")
    if dry_run:
        print("All of it would arrive. Nothing was kept: this is a dry run.")
        return
    print(
        "Done. Set ORCHESTRA_PERSONA_STORE=sql and ORCHESTRA_DATABASE_URL, and start; memories "
        "are indexed anew at the first start."
    )


def schema(
    sql: Annotated[bool, typer.Option("--sql", help="Print the DDL.")] = False,
    dialect: Annotated[str, typer.Option(help="postgresql or sqlite.")] = "postgresql",
) -> None:
    """Print the tables of the database, as `open` makes them."""
    from orchestra.migrations import ddl

    if not sql or dialect not in {"postgresql", "sqlite"}:
        usage = "Say --sql, and --dialect postgresql or sqlite."
        raise typer.BadParameter(usage)
    print("\n\n".join(f"{statement.strip()};" for statement in ddl(dialect)))


async def _personas(
    settings: Settings, source: str, kept: Database | None
) -> tuple[Persona, ...] | None:
    """The personas of a source; None where they are rows of the database that is copied.

    Raises:
        PersonaStoreError: some of them cannot be read.
    """
    from orchestra.parts import open_roster
    from orchestra.transfer.migration import has_personas

    if source not in {"files", "notion"} and kept is not None and await has_personas(kept):
        return None
    has_table = bool(settings.notion_api_key and settings.notion_personas_db_id)
    wanted = "notion" if source == "notion" or (source != "files" and has_table) else "files"
    async with open_roster(settings.model_copy(update={"persona_store": wanted})) as roster:
        personas = await roster.reload()
    if personas.problems:
        message = f"Nothing was moved, mend this first: {' '.join(personas.problems)}"
        raise PersonaStoreError(message)
    return personas.members


def _named(name: str, option: str) -> dict[str, object]:
    """The settings of the database of that name; none for where the personas alone are named.

    Raises:
        SettingsError: it is no such name.
    """
    if name.startswith(("postgresql://", "postgres://")):
        return {"database_url": SecretStr(name)}
    if name.startswith("sqlite:"):
        folder = Path(name.removeprefix("sqlite:").removeprefix("//"))
        folder = folder.parent if folder.name == "orchestra.db" else folder
        if option == "--from" and not (folder / "orchestra.db").exists():
            message = f"{option} is '{name}', but there is no orchestra.db in {folder}."
            raise SettingsError(message)
        return {"database_url": None, "data_dir": folder}
    if option == "--from" and name in {"files", "notion", "sql"}:
        return {}
    known = _SOURCES if option == "--from" else "a PostgreSQL address, or sqlite:FOLDER"
    shown = "an address of another kind" if "://" in name else f"'{name}'"
    message = f"{option} is {shown}, but must be {known}."
    raise SettingsError(message)
