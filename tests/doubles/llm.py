"""An OpenAI-compatible server on loopback: scripted replies and faults, a record of requests."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.doubles.served import Served


@dataclass
class Reply:
    """One scripted answer."""

    text: str = "Start with the customer. Then decide."
    quotes: str = ""
    """A pattern: the answer is what the messages say there."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    html: str | None = None
    cut_after: int | None = None
    """Words after which the stream breaks off."""
    hang_after: int | None = None
    """Words after which nothing more comes; 0: not even the first."""
    until: threading.Event | None = None
    """Set by a test: the rest comes after all."""
    pause_seconds: float = 0.0
    """Between words."""
    refuses: str = ""
    """A field of the request that this model does not take, as OpenAI's own refuse it."""
    code: str = "unsupported_parameter"
    """The word for that refusal."""
    tools: list[tuple[str, dict[str, Any] | str]] = field(default_factory=list)
    """Tools that the model asks for instead of words: name, and arguments or what passes for it."""
    ends_with: str = "stop"
    """Why the model ended."""


Choose = Callable[[dict[str, Any]], Reply]


class ModelServer(Served):
    """The double; a context manager."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        """Bodies of all requests, oldest first."""
        self.aborted = threading.Event()
        """Set when a client went away in the middle of a stream."""
        self._script: deque[Reply] = deque()
        self._default = Reply()
        self._choose: Choose | None = None
        super().__init__(
            Starlette(
                routes=[
                    Route("/v1/models", self._models),
                    Route("/v1/chat/completions", self._complete, methods=["POST"]),
                ]
            )
        )

    @property
    def base_url(self) -> str:
        """What to set as OPENAI_BASE_URL."""
        return f"{self.url}/v1"

    def enqueue(self, *replies: Reply) -> None:
        """The next requests get these, in order; later ones the default."""
        self._script.extend(replies)

    def always(self, reply: Reply) -> None:
        """Every request gets this."""
        self._default = reply

    def choose(self, choose: Choose) -> None:
        """Every request that nothing was enqueued for gets what this makes of its body."""
        self._choose = choose

    def reset(self) -> None:
        """Back to the beginning."""
        self._choose = None
        self.asked.clear()
        self._script.clear()
        self._default = Reply()
        self.aborted.clear()

    @property
    def last_turns(self) -> list[tuple[str, str]]:
        """Role and content of the last request's messages."""
        return [(one["role"], one["content"]) for one in self.asked[-1]["messages"]]

    async def _models(self, _request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    async def _complete(self, request: Request) -> Response:
        self.asked.append(await request.json())
        reply = self._next(self.asked[-1])
        if reply.html is not None:
            return HTMLResponse(reply.html, reply.status, reply.headers)
        if reply.refuses and reply.refuses in self.asked[-1]:
            message = f"Unsupported parameter: '{reply.refuses}' is not supported with this model."
            code = {"message": message, "param": reply.refuses, "code": reply.code}
            return JSONResponse({"error": code}, 400)
        if reply.status != 200:
            error = {"error": {"message": f"scripted {reply.status}", "type": "scripted"}}
            return JSONResponse(error, reply.status, reply.headers)
        if reply.tools:
            return StreamingResponse(_calls(reply), media_type="text/event-stream")
        if reply.hang_after == 0:
            await self._hang(reply)
        return StreamingResponse(self._stream(reply), media_type="text/event-stream")

    def _next(self, body: dict[str, Any]) -> Reply:
        if self._script:
            return self._script.popleft()
        return self._choose(body) if self._choose is not None else self._default

    async def _stream(self, reply: Reply) -> AsyncIterator[str]:
        text = reply.text
        if reply.quotes:
            found = re.search(reply.quotes, "\n".join(said for _, said in self.last_turns))
            text = found[0] if found else "nothing of the kind"
        words = text.split(" ")
        try:
            for number, word in enumerate(words):
                if number == reply.cut_after:
                    return
                if number == reply.hang_after:
                    await self._hang(reply)
                yield _chunk({"content": word if number == 0 else f" {word}"})
                await asyncio.sleep(reply.pause_seconds)
        except asyncio.CancelledError:
            self.aborted.set()
            raise
        yield _chunk({}, reply.ends_with)
        usage = {
            "prompt_tokens": 10,
            "completion_tokens": len(words),
            "total_tokens": 10 + len(words),
        }
        yield f"data: {json.dumps({**_HEAD, 'choices': [], 'usage': usage})}\n\n"
        yield "data: [DONE]\n\n"

    async def _hang(self, reply: Reply) -> None:
        goes_on = reply.until or self.released
        while not (goes_on.is_set() or self.released.is_set()):
            await asyncio.sleep(0.05)


_HEAD = {"id": "scripted", "object": "chat.completion.chunk", "created": 0, "model": "scripted"}


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return f"data: {json.dumps({**_HEAD, 'choices': [choice]})}\n\n"


async def _calls(reply: Reply) -> AsyncIterator[str]:
    for number, (name, arguments) in enumerate(reply.tools):
        said = arguments if isinstance(arguments, str) else json.dumps(arguments)
        for call in _call(number, name, said):
            yield _chunk({"tool_calls": [call]})
    yield _chunk({}, "tool_calls")
    yield "data: [DONE]\n\n"


def _call(number: int, name: str, arguments: str) -> list[dict[str, Any]]:
    """A call of a tool as servers send it: the name first, the arguments in pieces."""
    half = len(arguments) // 2
    head = {"index": number, "id": f"call_{number}", "type": "function"}
    return [
        {**head, "function": {"name": name, "arguments": ""}},
        {"index": number, "function": {"arguments": arguments[:half]}},
        {"index": number, "function": {"arguments": arguments[half:]}},
    ]
