"""A message in, the events of its turn out, as server-sent events."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from orchestra.api.caller import CallerOf, House
from orchestra.api.wire import sse
from orchestra.errors import OrchestraError
from orchestra.types.conversation import Event, Message, ReplyLength

log = logging.getLogger(__name__)

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

    What was wrong with the request itself is told by the status; after that, by an `error` event.
    """
    message = Message(
        text=request.message,
        user_id=caller.acting_for(request.user),
        conversation_id=request.conversation,
        persona_id=request.persona,
        temperature=request.temperature,
        length=request.length,
    )
    events = house.conversation.answer(message)
    first = await anext(events)
    return StreamingResponse(_wire(first, events), media_type="text/event-stream")


async def _wire(first: Event, rest: AsyncGenerator[Event, None]) -> AsyncGenerator[str, None]:
    yield sse(type(first).__name__.lower(), first.model_dump_json())
    try:
        async with aclosing(rest):
            async for event in rest:
                yield sse(type(event).__name__.lower(), event.model_dump_json())
    except OrchestraError as exc:
        yield sse("error", json.dumps({"error": type(exc).__name__, "detail": str(exc)}))
    except Exception:
        error_id = uuid.uuid4().hex[:8]
        log.exception("Error %s in a stream of events", error_id)
        detail = f"Something went wrong here that was not foreseen. Error id: {error_id}."
        yield sse("error", json.dumps({"error": "InternalError", "detail": detail}))
