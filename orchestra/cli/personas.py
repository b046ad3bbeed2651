"""`personas …`: who answers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestra.cli.command import EXIT_FAILED, AsJson, read_own_settings
from orchestra.errors import OrchestraError, SettingsError
from orchestra.settings import Settings

if TYPE_CHECKING:
    from orchestra.types.persona import Personas


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
    if path is None and settings.uses_notion:
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


def _load_personas(settings: Settings, *, afresh: bool = False) -> Personas:
    from orchestra.assembly import open_roster

    async def current() -> Personas:
        roster = open_roster(settings)
        try:
            return await (roster.reload() if afresh else roster.current())
        finally:
            await roster.close()

    return asyncio.run(current())
