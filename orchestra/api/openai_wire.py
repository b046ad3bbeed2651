"""The OpenAI wire: any client that takes a base URL can talk to the personas."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from orchestra.api.caller import CallerOf, House
from orchestra.api.problems import status_of
from orchestra.errors import MessageError, OrchestraError, PersonaNotFoundError
from orchestra.routing.addressing import has_no_subject
from orchestra.types.conversation import Answered, Delta, Event, Exchange, Message

router = APIRouter(prefix="/v1", tags=["OpenAI wire"])

AUTO = "orchestra"
"""The model that lets the router decide."""

_NOBODY_LISTENS = 499
"""Nobody reads it; it is for the log."""


class WireMessage(BaseModel):
    """One entry of `messages`."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        """The words, without images and other parts that nobody here can read."""
        if isinstance(self.content, list):
            return "\n".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


class CompletionRequest(BaseModel):
    """The fields of a chat completion that mean something here; others are ignored."""

    model_config = ConfigDict(extra="ignore")

    model: str = AUTO
    messages: list[WireMessage] = Field(min_length=1)
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    user: str | None = None


@router.get("/models")
async def models(house: House, caller: CallerOf) -> dict[str, Any]:
    """The personas as models, and `orchestra`, which routes."""
    del caller  # only has to be somebody
    personas = await house.conversation.personas()
    created = 1_700_000_000
    names = [AUTO, *personas.ids]
    data = [{"id": name, "object": "model", "created": created, "owned_by": AUTO} for name in names]
    return {"object": "list", "data": data}


@router.post("/chat/completions", response_model=None)
async def complete(
    request: CompletionRequest, house: House, caller: CallerOf, connection: Request
) -> Response:
    """Answer the last user message; the ones before it are the conversation."""
    try:
        message = _message(request, caller.acting_for(request.user), await _persona_ids(house))
        message = await _with_speaker(message, house)
        events = house.conversation.answer(message)
        if request.stream:
            opening = [event async for event in _until_first_words(events)]
            body = _chunks(request, opening, events)
            return StreamingResponse(body, media_type="text/event-stream")
        answered = await _last(events, connection)
    except OrchestraError as exc:
        return JSONResponse(_error(exc), _status(exc))
    if answered is None:
        return Response(status_code=_NOBODY_LISTENS)
    return JSONResponse(_completion(request, answered))


async def _persona_ids(house: House) -> tuple[str, ...]:
    return (await house.conversation.personas()).ids


def _message(request: CompletionRequest, user: str, persona_ids: tuple[str, ...]) -> Message:
    asked = [index for index, one in enumerate(request.messages) if one.role == "user"]
    if not asked:
        message = "messages has no entry with the role 'user'."
        raise MessageError(message)
    name = request.model.lower()
    if name != AUTO and name not in persona_ids:
        raise PersonaNotFoundError(request.model, (AUTO, *persona_ids))
    persona_id = None if name == AUTO else name
    before = request.messages[: asked[-1]]
    instructions = [one.text for one in before if one.role in {"system", "developer"}]
    return Message(
        text=request.messages[asked[-1]].text,
        user_id=user,
        persona_id=persona_id,
        history=_exchanges(before, persona_id or ""),
        instructions="\n".join(instructions),
        temperature=request.temperature,
        max_tokens=request.max_completion_tokens or request.max_tokens,
        revisable=False,
    )


def _exchanges(before: list[WireMessage], persona_id: str) -> tuple[Exchange, ...]:
    """Pairs of a user's message and the assistant's reply to it, oldest first."""
    exchanges, asked = [], None
    for one in before:
        if one.role == "user":
            asked = one.text
        elif one.role == "assistant" and asked is not None:
            exchanges.append(Exchange(message=asked, reply=one.text, persona_id=persona_id))
            asked = None
    return tuple(exchanges)


async def _with_speaker(message: Message, house: House) -> Message:
    """Under `orchestra`, name who answered last: whoever its message would be routed to."""
    if message.persona_id is not None or not message.history:
        return message
    asked = [one.message for one in message.history if not has_no_subject(one.message)]
    if not asked or not asked[-1].strip():
        return message
    question = Message(text=asked[-1], user_id=message.user_id, history=())
    speaker = (await house.conversation.route(question)).persona_id
    history = tuple(one.model_copy(update={"persona_id": speaker}) for one in message.history)
    return message.model_copy(update={"history": history})


async def _last(events: AsyncGenerator[Event, None], connection: Request) -> Answered | None:
    """The end of a turn; None when whoever asked has gone, which stops the model."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Answered):
                return event
            if await connection.is_disconnected():
                return None
    return None


async def _until_first_words(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """The events up to the first words: a model that fails by then gives an error status."""
    async for event in events:
        yield event
        if isinstance(event, Delta | Answered):
            return


async def _chunks(
    request: CompletionRequest, opening: list[Event], events: AsyncGenerator[Event, None]
) -> AsyncGenerator[str, None]:
    head = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": request.model,
    }

    def chunk(delta: dict[str, str], finish_reason: str | None = None, **more: object) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _data({**head, "choices": [choice], **more})

    yield chunk({"role": "assistant", "content": ""})
    try:
        async with aclosing(_all(opening, events)) as turn:
            async for event in turn:
                if isinstance(event, Delta):
                    yield chunk({"content": event.text})
                elif isinstance(event, Answered):
                    yield chunk({}, _finish_reason(event), orchestra=_extra(event))
                    if (request.stream_options or {}).get("include_usage"):
                        yield _data({**head, "choices": [], "usage": _usage(event)})
    except OrchestraError as exc:
        yield _data(_error(exc))
        return
    yield "data: [DONE]\n\n"


async def _all(
    opening: list[Event], rest: AsyncGenerator[Event, None]
) -> AsyncGenerator[Event, None]:
    async with aclosing(rest):
        for event in opening:
            yield event
        async for event in rest:
            yield event


def _completion(request: CompletionRequest, answered: Answered) -> dict[str, Any]:
    reply = {"role": "assistant", "content": answered.answer}
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.model,
        "choices": [{"index": 0, "message": reply, "finish_reason": _finish_reason(answered)}],
        "usage": _usage(answered),
        "orchestra": _extra(answered),
    }


def _extra(answered: Answered) -> dict[str, Any]:
    """What clients may show beside the answer: who spoke, on what subject, who wrote the words."""
    return {
        "persona": answered.persona_id,
        "domain": answered.domain,
        "model": answered.model,
        "notes": list(answered.notes),
    }


def _finish_reason(answered: Answered) -> str:
    return "stop" if answered.finished else "length"


def _usage(answered: Answered) -> dict[str, int]:
    used = answered.usage
    total = used.prompt_tokens + used.completion_tokens
    return {**used.model_dump(), "total_tokens": total}


def _error(exc: OrchestraError) -> dict[str, Any]:
    kind = "invalid_request_error" if _status(exc) < 500 else "server_error"  # noqa: PLR2004  # HTTP's own line
    return {"error": {"message": str(exc), "type": kind, "code": type(exc).__name__, "param": None}}


def _status(exc: OrchestraError) -> int:
    return status_of(exc).value


def _data(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
