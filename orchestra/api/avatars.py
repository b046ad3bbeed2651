"""The picture of each persona: its own, its icon, or its initial in its colour."""

from __future__ import annotations

import re
from html import escape

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from orchestra.api.caller import House
from orchestra.settings import ROOT
from orchestra.types.persona import Persona, Personas

router = APIRouter(include_in_schema=False)

_FOLDER = ROOT / "public" / "avatars"
_HEADERS = {"Cache-Control": "no-cache"}
_LONGEST_NAME = 40
_GREY = "#6b7280"


@router.get("/public/avatars/of/{name}")  # pictures in the picker have to begin with /public
@router.get("/avatars/{name}")
async def show_avatar(name: str, house: House) -> Response:
    """The picture of whoever has this name or id; of somebody unknown, the initial.

    In the place of Chainlit's, which knows files alone and shows its own sign for who has none.
    """
    persona = _called(name, await house.conversation.personas())
    own = re.sub(r"[^a-z0-9_-]", "_", name.strip().lower())[:_LONGEST_NAME]
    path = ROOT / persona.avatar.lstrip("/") if persona else _FOLDER / f"{own}.svg"
    if (persona is None or persona.avatar) and path.is_file():
        return FileResponse(path, headers=_HEADERS)
    said = persona.icon or persona.name[0].upper() if persona else name.strip()[:1].upper()
    picture = _drawn(said, persona.accent if persona else _GREY, persona.name if persona else name)
    return Response(picture, media_type="image/svg+xml", headers=_HEADERS)


def _called(name: str, personas: Personas) -> Persona | None:
    wanted = name.strip().lower()
    for persona in personas.members:
        if wanted in {persona.name.lower(), persona.id}:
            return persona
    return None


def _drawn(said: str, accent: str, label: str) -> str:
    """A sign on a round ground."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96" role="img" '
        f'aria-label="{escape(label)}"><circle cx="48" cy="48" r="48" fill="{accent}"/>'
        f'<text x="48" y="50" text-anchor="middle" dominant-baseline="central" fill="#fff" '
        f'font-family="system-ui, sans-serif" font-weight="600" font-size="48">{escape(said)}'
        "</text></svg>"
    )
