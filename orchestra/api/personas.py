"""Who answers, to read; and reading them anew."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from orchestra.api.caller import Admin, CallerOf, House
from orchestra.types.persona import Persona, Personas

router = APIRouter(tags=["personas"])


@router.get("/api/v1/personas")
async def list_personas(house: House, caller: CallerOf) -> list[dict[str, Any]]:
    """All personas, in short."""
    del caller  # only has to be somebody
    personas = await house.conversation.personas()
    return [summary(persona, personas) for persona in personas.members]


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
    """One persona, whole; its revision is the ETag."""
    del caller  # only has to be somebody
    persona = (await house.conversation.personas()).get(persona_id)
    response.headers["ETag"] = f'"{persona.revision}"'
    return persona


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
