"""The lab for the page and for programs: compare answers, guess who wrote one."""

from __future__ import annotations

import csv
import io
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from orchestra.api.caller import CallerOf, House
from orchestra.api.wire import told
from orchestra.lab.comparing import LONGEST_QUESTION
from orchestra.types.lab import (
    BlindScore,
    Comparison,
    Guessed,
    Trial,
)

router = APIRouter(prefix="/api/v1/lab", tags=["lab"])

User = Annotated[str | None, Query(max_length=200, description="Who; ignored when signed in.")]


class Question(BaseModel):
    """What is to be compared."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(min_length=1, max_length=LONGEST_QUESTION)
    personas: list[str] = Field([], max_length=6, description="Who answers; nobody: everybody.")


class Vote(BaseModel):
    """Which answer was best."""

    model_config = ConfigDict(extra="forbid")

    best: str = Field(description="A column's key, 'tie' or 'none'.")


class Guess(BaseModel):
    """Whose answer it is."""

    model_config = ConfigDict(extra="forbid")

    persona: str


@router.post("/compare", response_model=None)
async def compare(
    question: Question, house: House, caller: CallerOf, user: User = None
) -> StreamingResponse:
    """Let everybody answer at once: `comparison, columntext…, columnover…, comparison`, or `error`.

    The last one is the first with the answers in it, as it can be voted on.
    """
    tester = caller.acting_for(user)
    events = house.lab.comparer.compare(tester, question.message.strip(), question.personas)
    first = await anext(events)  # an unknown persona is an error, not a stream
    return StreamingResponse(told(first, events), media_type="text/event-stream")


@router.get("/comparisons/{comparison}")
async def show_comparison(
    comparison: str, house: House, caller: CallerOf, user: User = None
) -> Comparison:
    """Answers that were compared, and what was voted."""
    return await house.lab.comparer.get(caller.acting_for(user), comparison)


@router.post("/comparisons/{comparison}/vote", status_code=HTTPStatus.NO_CONTENT)
async def vote(
    comparison: str, given: Vote, house: House, caller: CallerOf, user: User = None
) -> Response:
    """Say which answer was best; the first vote counts."""
    await house.lab.comparer.vote(caller.acting_for(user), comparison, given.best)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.get("/votes")
async def votes(house: House, caller: CallerOf) -> dict[str, int]:
    """How often each persona, 'tie' and 'none' was voted for."""
    del caller
    return await house.lab.comparer.votes()


@router.post("/blind")
async def next_trial(house: House, caller: CallerOf, user: User = None) -> Trial:
    """Give an answer to guess; never whose it is."""
    return await house.lab.blind.next(caller.acting_for(user))


@router.post("/blind/{trial}/guess")
async def guess(
    trial: str, given: Guess, house: House, caller: CallerOf, user: User = None
) -> Guessed:
    """Take a guess; the first one counts."""
    return await house.lab.blind.guess(caller.acting_for(user), trial, given.persona)


@router.get("/blind/score")
async def score(
    house: House, caller: CallerOf, of: Literal["me", "all"] = "me", user: User = None
) -> BlindScore:
    """How well the caller, or everybody, tells them apart."""
    return await house.lab.blind.score(caller.acting_for(user) if of == "me" else None)


@router.get("/blind/export", response_class=Response)
async def export(house: House, caller: CallerOf, user: User = None) -> Response:
    """Give every guess as CSV: the caller's own, or everybody's to an administrator."""
    rows = await house.lab.blind.guesses(None if caller.is_admin else caller.acting_for(user))
    text = io.StringIO()
    table = csv.DictWriter(
        text,
        "tester question text persona guess wording revision model guessed_at seconds".split(),
    )
    table.writeheader()
    table.writerows(rows)
    return Response(
        text.getvalue(),
        media_type="text/csv",
        headers={"content-disposition": "attachment; filename=blind-test.csv"},
    )
