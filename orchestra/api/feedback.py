"""Thumbs on answers; in the place of Chainlit's routes, which let anybody rate anybody's."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, StringConstraints

from orchestra import screen
from orchestra.api.caller import CallerOf

router = APIRouter(tags=["screen"], include_in_schema=False)

Id = Annotated[str, StringConstraints(max_length=64)]


class Thumb(BaseModel):
    """As the page sends it."""

    model_config = ConfigDict(extra="ignore")

    forId: Id  # noqa: N815  # the page's name
    value: Literal[0, 1]
    comment: Annotated[str, StringConstraints(max_length=10_000)] | None = None


class Rating(BaseModel):
    """What the page wraps a thumb in."""

    feedback: Thumb


class Unrating(BaseModel):
    """Takes a thumb back."""

    feedbackId: Id  # noqa: N815  # the page's name


@router.put("/feedback")
async def rate(caller: CallerOf, rating: Rating) -> dict[str, bool | str]:
    """Keep a thumb on one of the caller's own answers.

    Raises:
        HTTPException: the answer is not the caller's.
    """
    thumb = rating.feedback
    kept = await screen.rate(caller.name, thumb.forId, thumb.value, thumb.comment)
    if kept is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"You have no answer '{thumb.forId}'.")
    return {"success": True, "feedbackId": kept}


@router.delete("/feedback")
async def unrate(caller: CallerOf, unrating: Unrating) -> dict[str, bool]:
    """Take one of the caller's own thumbs back.

    Raises:
        HTTPException: the thumb is not the caller's.
    """
    if not await screen.unrate(caller.name, unrating.feedbackId):
        raise HTTPException(HTTPStatus.NOT_FOUND, f"You have no thumb '{unrating.feedbackId}'.")
    return {"success": True}
