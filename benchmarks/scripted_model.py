"""A model server whose timing is known: the first token after 20 ms, then one every 10 ms.

It speaks the OpenAI wire as far as streaming clients need it, as a bare ASGI application, so that
it takes as little as possible of the processor that the measured programs share with it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

MODEL = "scripted"
WORDS = tuple(f"word{number} " for number in range(31))
FIRST_SECONDS = 0.020
NEXT_SECONDS = 0.010


def _event(choices: list[dict[str, Any]], **further: object) -> bytes:
    chunk = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": MODEL,
        "choices": choices,
        **further,
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()


_EVENTS = tuple(
    _event([{"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}])
    for word in WORDS
)
_USAGE = {"prompt_tokens": 10, "completion_tokens": len(WORDS), "total_tokens": 10 + len(WORDS)}
_END = (
    _event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    + _event([], usage=_USAGE)
    + b"data: [DONE]\n\n"
)
_MODELS = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer /v1/models, and everything else as a chat completion."""
    if scope["path"].endswith("/models"):
        await _start(send, b"application/json")
        await send({"type": "http.response.body", "body": _MODELS})
        return
    while (await receive()).get("more_body"):
        pass
    clock = asyncio.get_running_loop()
    due = clock.time() + FIRST_SECONDS
    await _start(send, b"text/event-stream")
    for event in _EVENTS:
        await asyncio.sleep(due - clock.time())
        await send({"type": "http.response.body", "body": event, "more_body": True})
        due += NEXT_SECONDS
    await send({"type": "http.response.body", "body": _END})


async def _start(send: Send, content_type: bytes) -> None:
    headers = [(b"content-type", content_type)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


if __name__ == "__main__":
    uvicorn.run(application, port=int(sys.argv[1]), lifespan="off", log_level="warning")
