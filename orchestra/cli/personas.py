"""`personas …`: who answers."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from orchestra.cli.command import EXIT_FAILED, AsJson, DryRun, read_own_settings
from orchestra.errors import OrchestraError, SettingsError
from orchestra.settings import Settings

if TYPE_CHECKING:
    from orchestra.personas.editor import Editor
    from orchestra.personas.history import PersonaHistory
    from orchestra.personas.roster import Roster
    from orchestra.types.persona import Persona, Personas, Version

Result = TypeVar("Result")

app = typer.Typer(help="Who answers.", no_args_is_help=True)


@app.command("list")
def list_personas(as_json: AsJson = False) -> None:
    """List the personas."""
    personas = _load_personas(read_own_settings())
    rows = [
        {
            "id": one.id,
            "name": one.name,
            "role": one.role,
            "domains": list(one.domains),
            "revision": one.revision,
            "source": personas.source,
        }
        for one in personas.members
    ]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        print(f"{row['id']:10} {row['name']:10} {row['role']:36} {', '.join(row['domains'])}")


@app.command("show")
def show_persona(persona_id: str, as_json: AsJson = False) -> None:
    """Show one persona, whole."""
    from orchestra.personas.files import write_persona

    persona = _load_personas(read_own_settings()).get(persona_id)
    print(persona.model_dump_json() if as_json else write_persona(persona))


@app.command("check")
def check_personas(
    path: Annotated[
        Path | None, typer.Argument(help="A file or a folder; default: the one in use.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every persona; one line per problem."""
    from orchestra.personas.check import check, check_served

    settings = read_own_settings()
    if path is None and (settings.uses_notion or settings.persona_store == "sql"):
        findings = check_served(_load_personas(settings, afresh=True))
    else:
        findings = check(path or settings.personas_dir)
    if as_json:
        print(json.dumps([asdict(one) for one in findings], ensure_ascii=False))
    else:
        for one in findings:
            print(f"{'ok  ' if one.ok else 'FAIL'} {one.source}: {one.detail}")
    if not all(one.ok for one in findings):
        raise typer.Exit(EXIT_FAILED)


@app.command("reload")
def reload_personas(as_json: AsJson = False) -> None:
    """Tell the running server to read the personas now."""
    import httpx

    settings = read_own_settings()
    if settings.admin_token is None:
        message = "ORCHESTRA_ADMIN_TOKEN is not set; the server reloads on its own within the TTL."
        raise SettingsError(message)
    address = f"{settings.own_address}/api/v1/personas/reload"
    token = settings.admin_token.get_secret_value()
    try:
        answer = httpx.post(address, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        content = answer.json()
    except (httpx.HTTPError, ValueError) as exc:
        message = f"No server answers at {address} ({exc}). Start it with 'make run'."
        raise OrchestraError(message) from exc
    if answer.is_error:
        raise OrchestraError(content["detail"])
    print(
        json.dumps(content)
        if as_json
        else "\n".join(f"{one['id']} {one['revision']}" for one in content)
    )


@app.command("history")
def show_history(persona_id: str, as_json: AsJson = False) -> None:
    """Show every version of a persona, the newest first, with what it changed."""

    async def run(roster: Roster, history: PersonaHistory, _: Editor) -> list[Version]:
        await roster.reload()  # what nobody has seen yet is a version as well
        return await history.versions(persona_id)

    versions = _with_editor(run)
    if as_json:
        print(json.dumps([one.model_dump(mode="json") for one in versions], ensure_ascii=False))
        return
    for one in versions:
        who = f" by {one.author}" if one.author else ""
        note = f" ({one.note})" if one.note else ""
        when = one.seen_at.astimezone().strftime("%Y-%m-%d %H:%M")
        print(f"{one.version:4} {when} {one.source}{who}{note}: {', '.join(one.changes)}")


@app.command("rollback")
def roll_back(persona_id: str, version: int, as_json: AsJson = False) -> None:
    """Give a persona the content of an earlier version, where it lives; a server notices."""

    async def run(_: Roster, __: PersonaHistory, editor: Editor) -> Persona:
        from orchestra.personas.editor import ANY

        return await editor.roll_back(persona_id.lower(), version, ANY, _somebody())

    persona = _with_editor(run)
    said = f"{persona.name} is as in version {version} again, revision {persona.revision}."
    print(persona.model_dump_json() if as_json else said)


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="JSON document, or a card: NAME.json, NAME.png.")],
    persona: Annotated[
        str | None, typer.Option(help="Write this one as a character card instead.")
    ] = None,
    card: Annotated[int, typer.Option(help="The card's version: 2 or 3.", min=2, max=3)] = 3,
) -> None:
    """Write all personas into one JSON document, or one of them as a character card."""
    from orchestra.transfer import cards, document

    personas = _load_personas(read_own_settings(), afresh=True)
    if personas.unread:
        message = f"Not everybody can be read, mend this first: {' '.join(personas.problems)}"
        raise OrchestraError(message)
    if persona is None:
        said = json.dumps(document.written(personas), ensure_ascii=False, indent=2)
        content = said.encode()
    else:
        content = cards.written(personas.get(persona), card, as_picture=file.suffix == ".png")
    try:
        file.write_bytes(content)
    except OSError as exc:
        message = f"{file} cannot be written: {exc.strerror or exc}."
        raise OrchestraError(message) from exc
    print(f"Wrote {persona or ', '.join(personas.ids)} to {file}.", file=sys.stderr)


@app.command("import")
def bring_in(
    file: Annotated[Path, typer.Argument(help="A document, a card (JSON or PNG), or NAME.md.")],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Bring personas into the live store: all of a file, or nothing."""
    from orchestra.cli.notion import show
    from orchestra.transfer.copying import Step
    from orchestra.transfer.importing import bring, read_file

    coming = read_file(file)

    async def run(roster: Roster, _: PersonaHistory, __: Editor) -> list[Step]:
        return await bring(coming, roster, dry_run=dry_run)

    show(_with_editor(run), dry_run=dry_run, as_json=as_json)


def _with_editor(run: Callable[[Roster, PersonaHistory, Editor], Awaitable[Result]]) -> Result:
    from orchestra.parts import open_editor

    settings = read_own_settings()

    async def opened() -> Result:
        async with open_editor(settings) as parts:
            return await run(*parts)

    return asyncio.run(opened())


def _somebody() -> str:
    import getpass

    return f"{getpass.getuser()} at the command line"


def _load_personas(settings: Settings, *, afresh: bool = False) -> Personas:
    from orchestra.parts import open_roster

    async def current() -> Personas:
        async with open_roster(settings) as roster:
            return await (roster.reload() if afresh else roster.current())

    return asyncio.run(current())
