"""The OpenAI wire: one async client for every model, real or embedded.

The wire is the port. A real server, the embedded model and the tests' double differ in their
address alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
import openai

from orchestra.errors import LLMRefusedError, LLMUnavailableError
from orchestra.types.conversation import ChatTurn, Prompt, Tool, ToolCall, Usage

log = logging.getLogger(__name__)

RETRIES = 2
"""Further attempts after a 408, 409, 429, 5xx or a connection that failed, before any text came;
the waiting time doubles from half a second, or is what Retry-After says, up to a minute."""


@dataclass
class Reply:
    """What is known about a reply besides its text; filled in while it streams."""

    text: str = ""
    """The reply as it stands; once the stream has ended, this and not the pieces is the answer."""
    ended: bool = False
    """Whether the server said that the reply is over."""
    finished: bool = False
    """Whether the model ended by itself rather than at the token limit."""
    usage: Usage = field(default_factory=Usage)
    tool_calls: dict[int, ToolCall] = field(default_factory=dict)
    """What the model wants done before it goes on, by number, where it was offered tools."""


class Speaker(Protocol):
    """A model that can be listened to: a real one, or the embedded voices."""

    @property
    def name(self) -> str:
        """Name of the model."""
        ...

    def stream(self, prompt: Prompt, reply: Reply) -> AsyncGenerator[str, None]:
        """Yield the reply piece by piece; `reply.text` is the answer once it has ended."""
        ...


class ChatModel:
    """Asks one model on one server."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        timeout_seconds: float = 60,
        concurrency: int = 32,
    ) -> None:
        """Prepare; no request is made.

        Args:
            base_url: Where the server's /chat/completions lives.
            api_key: Sent as bearer token.
            model: Name of the model.
            timeout_seconds: Longest silence of the server, before and between tokens.
            concurrency: Requests under way at one time; further ones wait their turn.
        """
        self.name = model
        self.base_url = re.sub(r"//[^/@]*@", "//", base_url)
        self._timeout_seconds = timeout_seconds
        self._limit_name = "max_tokens"
        self._takes_temperature = True
        self._turnstile = asyncio.Semaphore(concurrency)
        timeout = httpx.Timeout(timeout_seconds, connect=min(10.0, timeout_seconds))
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key,
            max_retries=RETRIES,
            timeout=timeout,
            http_client=openai.DefaultAsyncHttpxClient(
                timeout=timeout,
                limits=httpx.Limits(max_connections=concurrency + 4, keepalive_expiry=20),
            ),
        )

    @property
    def description(self) -> str:
        """Which model, where; never a key."""
        return f"{self.name} at {self.base_url}"

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def stream(
        self, prompt: Prompt, reply: Reply, extra: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[str, None]:
        """Yield the reply piece by piece; closing the iterator aborts the request.

        Args:
            prompt: What to ask.
            reply: Filled in with the text, its usage and how it ended.
            extra: Further fields of the request body, for servers that know them.

        Raises:
            LLMUnavailableError: no answer, silence beyond the timeout, or a stream cut half-way.
            LLMRefusedError: the server will not answer this request.
        """
        async with self._turnstile:
            async with AsyncExitStack() as stack:
                with self._errors():
                    response = await self._begin(stack, prompt, extra or {})
                    async for piece in _pieces(response.iter_lines(), reply):
                        yield piece
            if not reply.ended:
                message = f"{self.description} stopped in the middle of its reply. Try again."
                raise LLMUnavailableError(message)

    async def _begin(
        self, stack: AsyncExitStack, prompt: Prompt, extra: Mapping[str, Any]
    ) -> openai.AsyncAPIResponse[Any]:
        """Send the request; a model that refuses one of our limits is asked again without it.

        Raises:
            BadRequestError: it refuses for another reason.
        """
        while True:
            body: dict[str, Any] = {
                "messages": [_wire(turn) for turn in prompt.turns],
                self._limit_name: prompt.max_tokens,
            }
            if prompt.tools:
                body["tools"] = [_offered(tool) for tool in prompt.tools]
            if prompt.temperature is not None and self._takes_temperature:
                body["temperature"] = prompt.temperature
            try:
                return await stack.enter_async_context(
                    self._client.chat.completions.with_streaming_response.create(
                        messages=(),
                        model=self.name,
                        stream=True,
                        stream_options={"include_usage": True},
                        # Given here, the messages skip the package's own walk over every one of
                        # them, and the lines its models of every chunk: a third of our work.
                        extra_body={**body, **extra},
                    )
                )
            except openai.BadRequestError as exc:
                if not self._learn_from(exc, body):
                    raise

    def _learn_from(self, refusal: openai.BadRequestError, sent: Mapping[str, Any]) -> bool:
        """Whether the model does not know a limit that was sent; it is asked without from now on.

        Source: OpenAI's reasoning models take max_completion_tokens for max_tokens, and no
        temperature but their own. A value that is merely too large is refused in other words.
        """
        unknown = {"unsupported_parameter", "unsupported_value"}
        if refusal.code not in unknown or refusal.param not in sent:
            return False
        if refusal.param == "max_tokens":
            self._limit_name = "max_completion_tokens"
        elif refusal.param == "temperature":
            self._takes_temperature = False
        else:
            return False
        log.info("%s takes no %s", self.description, refusal.param)
        return True

    async def check(self) -> str:
        """Ask the server which models it has; returns a sentence for people.

        Raises:
            LLMUnavailableError: no answer.
            LLMRefusedError: the key or the address is wrong.
        """
        with self._errors():
            models = await self._client.with_options(timeout=10, max_retries=0).models.list()
        names = [one.id for one in models.data]
        if self.name in names or not names:
            return self.description
        return f"{self.description} (the server lists {', '.join(names[:5])})"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Translate what the openai package raises; nothing of it passes this floor.

        Raises:
            LLMUnavailableError: trying again may help.
            LLMRefusedError: it will not.
        """
        try:
            yield
        except (openai.APITimeoutError, httpx.TimeoutException) as exc:
            message = (
                f"{self.description} was silent for {self._timeout_seconds:g} seconds. Try again, "
                "or set ORCHESTRA_MODEL_TIMEOUT_SECONDS."
            )
            raise LLMUnavailableError(message) from exc
        except openai.APIStatusError as exc:
            raise self._for_status(exc) from exc
        except (openai.APIError, httpx.HTTPError, ValueError) as exc:
            # ValueError: what the server sent as a stream was not JSON.
            message = (
                f"{self.description} did not answer properly ({_reason(exc)}). "
                "Check that it is running and that OPENAI_BASE_URL is right."
            )
            raise LLMUnavailableError(message) from exc

    def _for_status(self, exc: openai.APIStatusError) -> LLMRefusedError | LLMUnavailableError:
        said = _reason(exc)
        if exc.status_code == httpx.codes.TOO_MANY_REQUESTS:
            message = (
                f"{self.description} is overloaded or the quota is used up ({said}). Try later."
            )
            return LLMUnavailableError(message)
        if exc.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            message = f"{self.description} failed with HTTP {exc.status_code} ({said}). Try again."
            return LLMUnavailableError(message)
        advice = {
            401: "Check OPENAI_API_KEY.",
            403: "Check OPENAI_API_KEY.",
            404: "Check ORCHESTRA_MODEL and OPENAI_BASE_URL.",
        }.get(exc.status_code, "A shorter message or another model may help.")
        message = f"{self.description} refused with HTTP {exc.status_code} ({said}). {advice}"
        return LLMRefusedError(message)


def _wire(turn: ChatTurn) -> dict[str, Any]:
    said: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.tool_calls:
        said["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in turn.tool_calls
        ]
    if turn.tool_call_id is not None:
        said["tool_call_id"] = turn.tool_call_id
    return said


def _offered(tool: Tool) -> dict[str, Any]:
    told = {"name": tool.name, "description": tool.description}
    return {"type": "function", "function": {**told, "parameters": json.loads(tool.parameters)}}


async def _pieces(lines: AsyncIterator[str], reply: Reply) -> AsyncGenerator[str, None]:
    """Read the server-sent chunks of a reply.

    Raises:
        LLMUnavailableError: the server sent an error instead of a chunk.
        ValueError: a chunk is not a JSON object.
    """
    async for line in lines:
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        chunk = json.loads(data)
        if not isinstance(chunk, dict):
            message = f"a chunk is not an object: {data[:80]}"
            raise ValueError(message)  # noqa: TRY004  # bad data, as if it were no JSON
        _note(chunk, reply)
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            _note_tools(delta.get("tool_calls") or (), reply)
            piece = delta.get("content")
            if piece:
                reply.text += piece
                yield piece


def _note(chunk: dict[str, Any], reply: Reply) -> None:
    """Note what a chunk says besides words.

    Raises:
        LLMUnavailableError: it is an error.
    """
    error = chunk.get("error")
    if error:
        said = error.get("message") if isinstance(error, dict) else error
        message = f"The model server broke off: {said}"
        raise LLMUnavailableError(message)
    used = chunk.get("usage")
    if used:
        reply.usage = Usage(
            prompt_tokens=used.get("prompt_tokens") or 0,
            completion_tokens=used.get("completion_tokens") or 0,
        )
    counted = chunk.get("timings")  # llama.cpp's, at every token if it was asked for them
    if counted and not used:
        reply.usage = Usage(
            prompt_tokens=counted.get("cache_n", 0) + counted.get("prompt_n", 0),
            completion_tokens=counted.get("predicted_n", 0),
        )
    for choice in chunk.get("choices") or ():
        if choice.get("finish_reason"):
            by_itself = choice["finish_reason"] in {"stop", "tool_calls"}
            reply.ended, reply.finished = True, by_itself


def _note_tools(deltas: Iterable[Mapping[str, Any]], reply: Reply) -> None:
    """Add what a chunk says of tools: a call comes in pieces, each with the call's number."""
    for delta in deltas:
        number, said = delta.get("index") or 0, delta.get("function") or {}
        before = reply.tool_calls.get(number, ToolCall())
        reply.tool_calls[number] = ToolCall(
            id=delta.get("id") or before.id,
            name=said.get("name") or before.name,
            arguments=before.arguments + (said.get("arguments") or ""),
        )


def _reason(exc: Exception) -> str:
    """The server's own words, on one line, bounded."""
    body = getattr(exc, "body", None)
    said = body.get("message") if isinstance(body, dict) else None
    line = " ".join(str(said or str(exc) or type(exc).__name__).split())
    return line if len(line) <= 200 else line[:199] + "…"  # noqa: PLR2004  # an HTML page is not a reason
