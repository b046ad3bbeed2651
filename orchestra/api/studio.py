"""Where authors shape personas on the page: what they teach goes to the live store."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel

from orchestra import screen
from orchestra.api.caller import AuthorOf, House
from orchestra.api.personas import count_change
from orchestra.types.persona import Example, Persona

router = APIRouter(prefix="/api/v1/studio", tags=["studio"])


_WITHOUT_VOICE = (
    "The built-in model has a trained voice for each persona as it was shipped. One that learns "
    "speaks without it, and less like itself: teach with a real model."
)


class Exchange(BaseModel):
    """An answer, and what it answers."""

    persona: str
    message: str
    reply: str
    warning: str = ""


@router.get("/answers/{answer_id}")
async def show_answer(answer_id: str, house: House, author: AuthorOf) -> Exchange:
    """One of the author's own answers, as it could be taught.

    Raises:
        HTTPException: there is none.
    """
    found = await screen.exchange(author.name, answer_id)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"You have no answer '{answer_id}'.")
    persona, message, reply = found
    warning = _WITHOUT_VOICE if house.settings.uses_embedded_model else ""
    return Exchange(persona=persona, message=message, reply=reply, warning=warning)


@router.post("/personas/{persona_id}/examples", status_code=HTTPStatus.CREATED)
async def teach(
    persona_id: str,
    example: Example,
    request: Request,
    house: House,
    author: AuthorOf,
    response: Response,
) -> Persona:
    """Add an exchange to those that show how a persona talks; its ETag is the new revision."""
    count_change(request, house)
    persona = await house.editor.teach(persona_id.lower(), example, author.name)
    response.headers["ETag"] = f'"{persona.revision}"'
    return persona
