"""A browser's part of Chainlit's socket protocol: connect, send a message, take in the answer."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx
import socketio

_CONNECT_SECONDS = 60
_ANSWER_SECONDS = 60


@dataclass
class Answer:
    """What the page would show, and how long the first word of it took."""

    first_token_ms: float | None = None
    text: str = ""
    """As it was streamed, word by word."""
    error: str | None = None


async def cookie_of(base_url: str) -> str:
    """The cookie of somebody who opened the page of a server that signs people in by itself."""
    async with httpx.AsyncClient(trust_env=False, timeout=_CONNECT_SECONDS) as client:
        answer = await client.post(f"{base_url}/auth/header")
        answer.raise_for_status()
        return "; ".join(f"{name}={value}" for name, value in answer.cookies.items())


class ChatClient:
    """One new conversation, from `async with` to its end."""

    def __init__(self, base_url: str, cookie: str = "") -> None:
        self._base_url = base_url
        self._headers = {"Origin": base_url} | ({"Cookie": cookie} if cookie else {})
        self._socket = socketio.AsyncClient(reconnection=False)
        self._socket.on("*", self._take)
        self._ready = asyncio.Event()
        self._done = asyncio.Event()
        self._message_id = ""
        self._sent_at = 0.0
        self._answer = Answer()

    async def __aenter__(self) -> Self:
        await self._socket.connect(
            self._base_url,
            headers=self._headers,
            socketio_path="/ws/socket.io",
            transports=["websocket"],
            auth={
                "clientType": "webapp",
                "sessionId": str(uuid.uuid4()),
                "threadId": "",
                "userEnv": "{}",
                "chatProfile": "",
            },
            wait_timeout=_CONNECT_SECONDS,
        )
        await self._socket.emit("connection_successful")
        async with asyncio.timeout(_CONNECT_SECONDS):
            await self._ready.wait()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._socket.disconnect()

    async def ask(self, text: str) -> Answer:
        """Send a message and wait for the end of its answer; a refusal is the answer's `error`."""
        self._message_id, self._answer = str(uuid.uuid4()), Answer()
        self._done.clear()
        message = {
            "id": self._message_id,
            "threadId": "",
            "name": "user",
            "type": "user_message",
            "output": text,
            "createdAt": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "metadata": {},
        }
        self._sent_at = time.perf_counter()
        await self._socket.emit("client_message", {"message": message, "fileReferences": []})
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._done.wait()
        except TimeoutError:
            self._answer.error = f"no end within {_ANSWER_SECONDS} s"
        return self._answer

    async def _take(self, event: str, data: object = None) -> None:
        step = data if isinstance(data, dict) else {}
        match event:
            case "task_end":
                self._ready.set()
            case "stream_start":
                self._add(step["output"])
            case "stream_token":
                self._add(step["token"])
            case "new_message" if step.get("isError"):
                self._answer.error = str(step["output"])
            case "update_message" if self._ends_the_turn(step):
                self._done.set()

    def _add(self, words: str) -> None:
        if self._answer.first_token_ms is None:
            self._answer.first_token_ms = (time.perf_counter() - self._sent_at) * 1000
        self._answer.text += words

    def _ends_the_turn(self, step: dict[str, Any]) -> bool:
        """Whether this is the end of the run that our message started."""
        return step.get("parentId") == self._message_id and bool(step.get("end"))
