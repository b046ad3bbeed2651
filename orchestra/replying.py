"""A persona's reply, in which it may ask a colleague: compose, stream, ask, go on."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from orchestra.errors import LLMError
from orchestra.llm.chat import Reply, Speaker
from orchestra.llm.embedding import Embedder
from orchestra.memory.keeper import RECALL_LIMIT, MemoryKeeper
from orchestra.prompts.compose import Composer, Turn
from orchestra.types.conversation import Consulted, Exchange, Prompt
from orchestra.types.memory import Owner
from orchestra.types.persona import Persona

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """What a reply, or a message, asks a colleague."""

    persona: Persona
    text: str
    end: int = 0
    """Where its line ends in the reply, if it stands in one."""


@dataclass
class _Draft:
    """A reply while it is made."""

    turn: Turn
    text: str = ""
    """Up to the question to a colleague."""
    asked: Question | None = None
    answer: Reply = field(default_factory=Reply)
    """The colleague's."""
    quoted: str = ""
    """The same as it stands in the reply."""

    def quote(self, piece: str) -> str:
        self.quoted += piece
        return piece

    @property
    def history(self) -> tuple[Exchange, ...]:
        """The conversation, with what has been said of this reply."""
        begun = Exchange(message=self.turn.text, reply=self.text, persona_id=self.turn.persona.id)
        return (*self.turn.history, begun)


class Replies:
    """Gives a turn its reply."""

    def __init__(
        self, composer: Composer, speaker: Speaker, embedder: Embedder, memory: MemoryKeeper
    ) -> None:
        self._composer = composer
        self._speaker = speaker
        self._embedder = embedder
        self._memory = memory
        self._reported: dict[str, str] = {}

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._speaker.name

    async def reply(
        self, turn: Turn, user_id: str, said: Reply
    ) -> AsyncGenerator[str | Consulted, None]:
        """Yield a reply piece by piece, and whom it asked in the middle of it.

        A colleague's answer stands in the reply as a quotation, so whoever reads the reply sees
        it. A colleague who fails is told among the pieces and in Consulted, and the reply goes on
        without a word of that: an error is no part of what was said.

        Args:
            turn: What is to be answered. The model chooses whom of the `colleagues` to ask where it
                can be told so; else one is asked whom the message wants to be asked.
            user_id: Whose memories a colleague recalls.
            said: Filled in; `said.text` is the reply once it has ended.

        Raises:
            LLMError: the model did not answer.
            StorageError: a colleague's memories could not be read.
        """
        way = self._by_choice if self._composer.lets_ask else self._by_wish
        async with aclosing(way(turn, user_id, said)) as happened:
            async for one in happened:
                yield one

    async def _by_choice(
        self, turn: Turn, user_id: str, said: Reply
    ) -> AsyncGenerator[str | Consulted, None]:
        """A reply that may ask somebody in its middle."""
        draft = _Draft(turn)
        async with aclosing(self._begun(draft, said)) as pieces:
            async for piece in pieces:
                yield piece
        if draft.asked is None:
            return
        async with aclosing(self._aside(draft, draft.asked, user_id)) as happened:
            async for one in happened:
                yield one
        rest = Reply()
        async with aclosing(self._spoken(_rest(draft, draft.asked), rest)) as pieces:
            async for piece in pieces:
                yield piece
        said.text = draft.text + draft.quoted + rest.text
        said.ended, said.finished = rest.ended, rest.finished
        said.usage = said.usage.plus(draft.answer.usage).plus(rest.usage)

    async def _by_wish(
        self, turn: Turn, user_id: str, said: Reply
    ) -> AsyncGenerator[str | Consulted, None]:
        """A reply, and behind it what somebody says whom the message wants to be asked."""
        wish = wish_in(turn.text, turn.colleagues)
        text = wish.text if wish else turn.text
        draft = _Draft(replace(turn, colleagues=(), text=text))
        async with aclosing(self._spoken(draft.turn, said)) as pieces:
            async for piece in pieces:
                yield piece
        if wish is None:
            return
        draft.text = said.text.rstrip()
        async with aclosing(self._aside(draft, wish, user_id)) as happened:
            async for one in happened:
                yield one
        said.text = (draft.text + draft.quoted).rstrip()
        said.usage = said.usage.plus(draft.answer.usage)

    async def _begun(self, draft: _Draft, said: Reply) -> AsyncGenerator[str, None]:
        """The reply, or its beginning with the question to a colleague."""
        text, colleagues = "", draft.turn.colleagues
        async with aclosing(self._spoken(draft.turn, said)) as pieces:
            async for piece in pieces:
                shown, text = len(text), text + piece
                draft.asked = question_in(text, colleagues)
                if draft.asked is not None:
                    yield text[shown : draft.asked.end]
                    break  # what it makes up of the answer is not wanted
                yield piece
        draft.asked = draft.asked or question_in(f"{text}\n", colleagues)
        if draft.asked is not None:
            draft.text = text[: draft.asked.end].rstrip()

    async def _aside(
        self, draft: _Draft, asked: Question, user_id: str
    ) -> AsyncGenerator[str | Consulted, None]:
        """The colleague's answer as a quotation; or that there is none."""
        name, error = asked.persona.name, ""
        yield draft.quote(f"\n\n> **{name}:** ")
        try:
            async with aclosing(self._colleague(draft, asked, user_id)) as pieces:
                async for piece in pieces:
                    yield draft.quote(piece.replace("\n", "\n> "))
        except LLMError as exc:
            error = str(exc)
            draft.quoted, draft.answer = "", Reply(usage=draft.answer.usage)
            yield f"*(did not answer: {exc})*"
        yield draft.quote("\n\n")
        yield Consulted(
            persona_id=asked.persona.id,
            persona_name=name,
            question=asked.text,
            answer=draft.answer.text.strip(),
            error=error,
        )

    async def _colleague(
        self, draft: _Draft, asked: Question, user_id: str
    ) -> AsyncGenerator[str, None]:
        """What the colleague answers, from what it remembers itself."""
        vector = await self._embedder.embed(asked.text)
        owner = Owner(user_id, asked.persona.id)
        memories = await self._memory.recall(owner, asked.text, vector, RECALL_LIMIT)
        theirs = replace(
            draft.turn,
            persona=asked.persona,
            text=asked.text,
            memories=memories,
            history=draft.history,
            length="short",
            instructions="",
            colleagues=(),
            briefing=f"{draft.turn.persona.name} asks you, in the middle of an answer.",
        )
        if not self._composer.lets_ask:  # it would repeat what it is shown of others
            theirs = replace(theirs, history=(), briefing="")
        async with aclosing(self._spoken(theirs, draft.answer)) as pieces:
            async for piece in pieces:
                yield piece

    def _spoken(self, turn: Turn, reply: Reply) -> AsyncGenerator[str, None]:
        prompt = self._composer.compose(turn)
        self._report_unknown(prompt, turn.persona)
        return self._speaker.stream(prompt, reply)

    def _report_unknown(self, prompt: Prompt, persona: Persona) -> None:
        """Say once, per revision of a persona, which of its placeholders nobody fills."""
        if prompt.unknown_placeholders and self._reported.get(persona.id) != persona.revision:
            self._reported[persona.id] = persona.revision
            names = ", ".join(f"[{name}]" for name in prompt.unknown_placeholders)
            log.warning("%s's template has %s, which nobody fills", persona.name, names)


def question_in(text: str, colleagues: Sequence[Persona]) -> Question | None:
    """The first whole line of a reply that asks a colleague: '@Sophia is there evidence?'."""
    by_name = {one.name.lower(): one for one in colleagues}
    if not by_name or "@" not in text:
        return None
    names = "|".join(re.escape(name) for name in sorted(by_name, key=len, reverse=True))
    found = re.search(
        rf"^[ \t*_>-]*@({names})\b[\s*_,:]*(\S[^\n]*\?)[ \t*_]*\n",
        text,
        re.IGNORECASE | re.MULTILINE,
    )
    if found is None:
        return None
    return Question(by_name[found[1].lower()], found[2].strip(), found.end())


def wish_in(text: str, colleagues: Sequence[Persona]) -> Question | None:
    """The colleague whom a message wants to be asked, and the message without these words.

    'Should we? Ask Sophia whether it pays.' is 'Should we? whether it pays.' to both.
    """
    by_name = {one.name.lower(): one for one in colleagues}
    names = "|".join(re.escape(name) for name in sorted(by_name, key=len, reverse=True))
    found = names and re.search(
        r"(?<!not )(?<!n['’]t )(?<!never )"
        r"\b(?:ask|consult|check with|hear from|(what (?:does|would|will)))"
        rf"\s+({names})\b(?!['’])\s*",
        text,
        re.IGNORECASE,
    )
    if not found:
        return None
    instead = "what do you " if found[1] else ""
    rest = f"{text[: found.start()]}{instead}{text[found.end() :]}".strip()
    return Question(by_name[found[2].lower()], rest if re.search(r"\w", rest) else text)


def _rest(draft: _Draft, asked: Question) -> Turn:
    """The same turn after the colleague has answered."""
    name, answer = asked.persona.name, draft.answer.text.strip()
    return replace(
        draft.turn,
        text=f"{name} answers: {answer}" if answer else f"{name} cannot answer.",
        history=draft.history,
        colleagues=(),
        briefing=(
            "You are in the middle of your answer to the message before, and asked "
            f"{name}. Finish it for the person who asked, with what {name} says; do not repeat "
            "what you wrote."
        ),
    )
