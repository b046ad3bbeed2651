"""Who answers: to read, to change where they live, and as they were before."""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from orchestra import metrics
from orchestra.api.caller import Admin, CallerOf, House
from orchestra.house import Orchestra
from orchestra.personas.editor import ANY
from orchestra.personas.rules import checked
from orchestra.transfer import document
from orchestra.types.persona import Persona, Personas, Version

router = APIRouter(tags=["personas"])

_MINUTE_SECONDS = 60.0


class Rollback(BaseModel):
    """Which version is to be the current one."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1)


async def admit(request: Request, house: House, admin: Admin) -> None:
    """Let an administrator change something, not too often.

    Raises:
        HTTPException: too many changes within the minute.
    """
    del admin  # only has to be one
    count_change(request, house)


def count_change(request: Request, house: Orchestra) -> None:
    """Note that somebody is about to change a persona.

    Raises:
        HTTPException: too many changes within the minute.
    """
    moment = time.monotonic()
    changes: deque[float] = request.app.state.changes
    while changes and changes[0] <= moment - _MINUTE_SECONDS:
        changes.popleft()
    limit = house.settings.admin_changes_per_minute
    if len(changes) >= limit:
        wait = int(changes[0] + _MINUTE_SECONDS - moment) + 1
        detail = f"More than {limit} changes within a minute. Wait {wait} seconds."
        raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, detail, {"Retry-After": str(wait)})
    changes.append(moment)


async def expected_revision(if_match: Annotated[str | None, Header()] = None) -> str:
    """The revision that a change is meant for.

    Raises:
        HTTPException: the request does not say.
    """
    if if_match is None:
        detail = (
            "Send If-Match with the ETag that you read, as in 'If-Match: \"0123456789ab\"', so "
            "that nobody's change is lost; or 'If-Match: *' for whichever."
        )
        raise HTTPException(HTTPStatus.PRECONDITION_REQUIRED, detail)
    given = if_match.strip().removeprefix("W/").strip('"')
    return ANY if given == "*" else given


async def author_of(request: Request) -> str:
    """Who says to be behind a change: the From header, or else where it comes from."""
    said = re.sub(r"[^ -~]", "", request.headers.get("from", "")).strip()[:150]
    address = request.client.host if request.client else "unknown"
    return said or f"administrator at {address}"


Change = Depends(admit)
Expected = Annotated[str, Depends(expected_revision)]
Author = Annotated[str, Depends(author_of)]


@router.get("/api/v1/personas")
async def list_personas(house: House, caller: CallerOf, response: Response) -> list[dict[str, Any]]:
    """All personas, in short; the revision of the set is the ETag."""
    del caller  # only has to be somebody
    personas = await house.conversation.personas()
    response.headers["ETag"] = f'"{personas.revision}"'
    return [summary(persona, personas) for persona in personas.members]


@router.post("/api/v1/personas", status_code=HTTPStatus.CREATED, dependencies=[Change])
async def create_persona(
    fields: dict[str, Any], house: House, author: Author, response: Response
) -> Persona:
    """Add a persona to the live store."""
    persona = checked("persona", fields)
    created = await house.editor.create(persona, author)
    response.headers["Location"] = f"/api/v1/personas/{created.id}"
    return _tagged(created, response)


@router.post("/api/v1/personas/reload")
async def reload_personas(house: House, admin: Admin) -> list[dict[str, Any]]:
    """Read the personas again, now."""
    del admin  # only has to be one
    personas = await house.roster.reload()
    return [summary(persona, personas) for persona in personas.members]


@router.get("/api/v1/personas/{persona_id}")
async def show_persona(
    persona_id: str, house: House, caller: CallerOf, response: Response
) -> Persona:
    """One persona, whole; its revision is the ETag.

    As it serves; for an administrator, who may be about to change it, as it is in the store.
    """
    personas = await (house.roster.reload() if caller.is_admin else house.conversation.personas())
    return _tagged(personas.get(persona_id), response)


@router.put("/api/v1/personas/{persona_id}", dependencies=[Change])
async def replace_persona(
    persona_id: str,
    fields: dict[str, Any],
    house: House,
    expected: Expected,
    author: Author,
    response: Response,
) -> Persona:
    """Replace a persona in the live store.

    Raises:
        HTTPException: the body names another persona than the address.
    """
    persona = checked("persona", {"id": persona_id.lower(), **fields})
    if persona.id != persona_id.lower():
        detail = f"id: it is '{persona.id}', but the address says '{persona_id}'."
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    return _tagged(await house.editor.replace(persona, expected, author), response)


@router.delete(
    "/api/v1/personas/{persona_id}", status_code=HTTPStatus.NO_CONTENT, dependencies=[Change]
)
async def remove_persona(persona_id: str, house: House, expected: Expected, author: Author) -> None:
    """Remove a persona from the live store; its versions stay."""
    await house.editor.remove(persona_id.lower(), expected, author)


@router.get("/api/v1/personas/{persona_id}/versions")
async def show_versions(persona_id: str, house: House, caller: CallerOf) -> list[Version]:
    """Every version of a persona, the newest first, with what it changed."""
    del caller  # only has to be somebody
    return await house.history.versions(persona_id)


@router.post("/api/v1/personas/{persona_id}/rollback", dependencies=[Change])
async def roll_back(
    persona_id: str,
    wanted: Rollback,
    house: House,
    expected: Expected,
    author: Author,
    response: Response,
) -> Persona:
    """Give a persona the content of an earlier version, in the live store."""
    persona = await house.editor.roll_back(persona_id.lower(), wanted.version, expected, author)
    return _tagged(persona, response)


@router.get("/api/v1/personas/{persona_id}/audit")
async def show_audit(persona_id: str, house: House, admin: Admin) -> list[dict[str, Any]]:
    """What administrators did, or tried to do, to a persona; the newest first."""
    del admin  # only has to be one
    return [asdict(act) for act in await house.history.acts(persona_id.lower())]


@router.get("/api/v1/personas/{persona_id}/stats")
async def show_statistics(persona_id: str, house: House, caller: CallerOf) -> dict[str, Any]:
    """What a persona did, what it remembers, and what people thought of its answers."""
    del caller  # only has to be somebody
    persona = (await house.conversation.personas()).get(persona_id)
    figures = await house.statistics.of(persona)
    return {
        "id": persona.id,
        "name": persona.name,
        "revision": persona.revision,
        **asdict(figures),
        "answers_since_start": metrics.answers_of(persona.id),
    }


@router.get("/api/v1/export")
async def export(house: House, caller: CallerOf) -> dict[str, Any]:
    """All personas as one document, which `orchestra personas import` reads."""
    del caller  # only has to be somebody
    return document.written(await house.conversation.personas())


@router.get("/personas.css", include_in_schema=False)
async def labels(house: House) -> Response:
    """Name, role and colour of each persona for the chat screen's style sheet."""
    personas = await house.conversation.personas()
    rules = [_label(persona) for persona in personas.members]
    if house.settings.uses_embedded_model:
        notice = "Small built-in model. For better answers set OPENAI_API_KEY in .env and restart."
        rules.append(f':root{{--orchestra-notice:"{_escaped(notice)}"}}')
    content = "\n".join(rules)
    return Response(content, media_type="text/css", headers={"Cache-Control": "no-cache"})


def _tagged(persona: Persona, response: Response) -> Persona:
    response.headers["ETag"] = f'"{persona.revision}"'
    return persona


def summary(persona: Persona, personas: Personas) -> dict[str, Any]:
    """A persona in one line of a list."""
    return {
        "id": persona.id,
        "name": persona.name,
        "role": persona.role,
        "domains": list(persona.domains),
        "revision": persona.revision,
        "source": personas.source,
    }


def _label(persona: Persona) -> str:
    label = f"{_escaped(persona.name)} \\b7  {_escaped(persona.role)}"
    chosen = f'.ai-message:has(> span img[alt="Avatar for {_escaped(persona.name)}"])'
    return f'{chosen}{{--persona-label:"{label}";--persona-accent:{persona.accent}}}'


def _escaped(text: str) -> str:
    """Text for a CSS string: whatever is not a letter, digit or space of ASCII is escaped."""
    return "".join(
        c if c.isascii() and (c.isalnum() or c == " ") else f"\\{ord(c):x} " for c in text
    )
