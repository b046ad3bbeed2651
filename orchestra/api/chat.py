"""A message in, the events of its turn out, as server-sent events."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from orchestra.api.caller import CallerOf, House
from orchestra.api.wire import EventT, told
from orchestra.types.conversation import Message, ReplyLength

router = APIRouter(prefix="/api/v1", tags=["chat"])


class ChatRequest(BaseModel):
    """One message."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(description="What to answer.")
    persona: str | None = Field(None, description="Who answers; default: the router decides.")
    user: str | None = Field(None, description="Whose memory is used; ignored when signed in.")
    conversation: str | None = Field(
        None, max_length=200, description="Any name; messages under one name are one conversation."
    )
    temperature: float | None = Field(None, ge=0, le=2)
    length: ReplyLength = "medium"


@router.post("/chat", response_class=StreamingResponse)
async def chat(request: ChatRequest, house: House, caller: CallerOf) -> StreamingResponse:
    """Answer a message: events `routed`, `recalled`, `delta`…, `answered`, or `error`.

    A `consulted` comes among the deltas where the persona asked a colleague. What was wrong with
    the request itself is told by the status; after that, by an `error` event.
    """
    message = Message(
        text=request.message,
        user_id=caller.acting_for(request.user),
        conversation_id=request.conversation,
        persona_id=request.persona,
        temperature=request.temperature,
        length=request.length,
    )
    return await _streamed(house.conversation.answer(message))


class TableRequest(BaseModel):
    """One question for everybody."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(description="What they are to decide.")
    user: str | None = Field(None, description="Whose memory is used; ignored when signed in.")
    conversation: str | None = Field(None, max_length=200, description="As in a chat.")
    length: ReplyLength = "medium"


@router.post("/roundtable", response_class=StreamingResponse)
async def round_table(request: TableRequest, house: House, caller: CallerOf) -> StreamingResponse:
    """Let everybody speak on a question in turn: `seat` and the events of a chat, for each.

    Who fails is told by `seatempty`, and the others go on; the last seat decides.
    """
    message = Message(
        text=request.message,
        user_id=caller.acting_for(request.user),
        conversation_id=request.conversation or str(uuid.uuid4()),
        length=request.length,
    )
    return await _streamed(house.table.hold(message))


async def _streamed(events: AsyncGenerator[EventT, None]) -> StreamingResponse:
    first = await anext(events)
    return StreamingResponse(told(first, events), media_type="text/event-stream")
