"""Where authors shape personas on the page: try a draft, publish it to the live store."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from orchestra import screen
from orchestra.api.caller import AuthorOf, Caller, House
from orchestra.api.personas import Expected, count_change
from orchestra.api.wire import told
from orchestra.lab.comparing import LONGEST_QUESTION
from orchestra.lab.trying import trying
from orchestra.personas.rules import checked
from orchestra.types.persona import Example, Persona

router = APIRouter(prefix="/api/v1/studio", tags=["studio"])


async def admit_author(request: Request, house: House, author: AuthorOf) -> Caller:
    """Let an author change something, not too often."""
    count_change(request, house)
    return author


Changing = Annotated[Caller, Depends(admit_author)]

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


class Stored(BaseModel):
    """All personas as the store has them, which the gate may still hold back."""

    personas: list[Persona]
    problems: list[str]
    waiting: list[str]
    """Ids of those whom the gate holds back: what is here does not serve yet."""


@router.get("/personas")
async def show_stored(house: House, author: AuthorOf) -> Stored:
    """Everybody as they are in the store, read now, and what is wrong with them."""
    del author  # only has to be one
    personas = await house.roster.reload()
    serving = await house.roster.current()
    return Stored(
        personas=list(personas.members),
        problems=list(serving.problems),
        waiting=[one.id for one in personas.members if one != serving.find(one.id)],
    )


@router.get("/personas/{persona_id}")
async def show_stored_persona(
    persona_id: str, house: House, author: AuthorOf, response: Response
) -> Persona:
    """One persona as it is in the store, read now; its revision is the ETag."""
    del author  # only has to be one
    persona = (await house.roster.reload()).get(persona_id)
    response.headers["ETag"] = f'"{persona.revision}"'
    return persona


class Draft(BaseModel):
    """A persona as it could be, and what it is asked."""

    model_config = ConfigDict(extra="forbid")

    persona: dict[str, Any]
    message: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_QUESTION),
    ]


class Publication(BaseModel):
    """A persona as it is to be, and why."""

    model_config = ConfigDict(extra="forbid")

    persona: dict[str, Any]
    note: str = Field("", max_length=200)


@router.post("/try", response_model=None)
async def try_draft(draft: Draft, house: House, author: AuthorOf) -> StreamingResponse:
    """Let a draft and the persona as it is answer side by side; nothing is written.

    Events `columntext` and `columnover`, with the keys 'current' and 'draft'.
    """
    del author  # only has to be one
    edited = checked("draft", draft.persona)
    personas = await house.roster.current()
    events = trying(house.lab.interviewer, personas, edited, draft.message)
    first = await anext(events)
    return StreamingResponse(told(first, events), media_type="text/event-stream")


@router.put("/personas/{persona_id}")
async def publish(
    persona_id: str,
    given: Publication,
    house: House,
    author: Changing,
    expected: Expected,
    response: Response,
) -> Persona:
    """Replace a persona in the live store, with a note for its history."""
    edited = checked("persona", {**given.persona, "id": persona_id.lower()})
    persona = await house.editor.replace(edited, expected, author.name, given.note)
    response.headers["ETag"] = f'"{persona.revision}"'
    return persona


@router.post("/personas/{persona_id}/examples", status_code=HTTPStatus.CREATED)
async def teach(
    persona_id: str,
    example: Example,
    house: House,
    author: Changing,
    response: Response,
) -> Persona:
    """Add an exchange to those that show how a persona talks; its ETag is the new revision."""
    persona = await house.editor.teach(persona_id.lower(), example, author.name)
    response.headers["ETag"] = f'"{persona.revision}"'
    return persona
