"""A model server for crews that keeps its own time: what it took is told at /spent.

Verdicts come whole, everything else word by word. With a share of faults above 0, that many
requests are answered with 429 or 500, or cut off half-way.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

MODEL = "scripted"
FIRST_SECONDS = 0.020
NEXT_SECONDS = 0.005
WORDS = 20
SLOW = "take your time"
"""A task with these words is never answered to the end."""
_VERDICT = json.dumps({"approved": True, "reasons": "It does what was asked for."})


class CrewModel:
    """What was asked and how long it took."""

    def __init__(self, faults: float) -> None:
        self._faults = faults
        self._chance = random.Random(20261123)  # noqa: S311  # the same faults each time
        self._seconds = 0.0
        self._calls = 0
        self._aborted_at = 0.0
        self.application = Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/spent", self._spent),
            ]
        )

    async def _models(self, _request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    async def _spent(self, _request: Request) -> Response:
        told = {"seconds": self._seconds, "calls": self._calls, "aborted_at": self._aborted_at}
        return JSONResponse(told)

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        self._calls += 1
        fault = self._chance.choice((429, 500, 0)) if self._chance.random() < self._faults else None
        if fault:
            said = {"error": {"message": f"scripted {fault}", "type": "scripted"}}
            return JSONResponse(said, fault)
        pieces = self._pieces(body, is_cut=fault == 0)
        return StreamingResponse(pieces, media_type="text/event-stream")

    async def _pieces(self, body: dict[str, Any], *, is_cut: bool) -> AsyncIterator[bytes]:
        began = time.monotonic()
        told = body["messages"][-1]["content"]
        words = [f"word{number} " for number in range(WORDS)]
        if "Answer with nothing but JSON" in told:
            words = [_VERDICT]
        try:
            await asyncio.sleep(FIRST_SECONDS)
            for word in words[: len(words) // 2] if is_cut else words:
                yield _event({"content": word})
                await asyncio.sleep(NEXT_SECONDS)
            if SLOW in told:
                await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self._aborted_at = time.monotonic()
            raise
        finally:
            self._seconds += time.monotonic() - began
        if not is_cut:
            yield _event({}, "stop")
            yield b"data: [DONE]\n\n"


def _event(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": MODEL}
    return f"data: {json.dumps({**head, 'choices': [choice]})}\n\n".encode()


if __name__ == "__main__":
    model = CrewModel(float(sys.argv[2]))
    uvicorn.run(model.application, port=int(sys.argv[1]), lifespan="off", log_level="error")
