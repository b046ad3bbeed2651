"""Asks personas what the lab wants to know: no routing, no memory, nothing kept."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from orchestra.database import now
from orchestra.errors import LLMReplyError
from orchestra.llm.chat import Reply, Speaker
from orchestra.prompts.compose import Composer, Turn, neutral
from orchestra.types.conversation import Exchange, Prompt, Route
from orchestra.types.persona import GENERAL, Persona, Personas


@dataclass
class Said:
    """What is known of a reply besides its pieces; filled in while it streams."""

    text: str = ""
    finished: bool = False
    seconds: float = 0.0


class Interviewer:
    """Lets a persona answer as it would in the chat, whoever the question is for."""

    def __init__(self, composer: Composer, speaker: Speaker) -> None:
        self._composer = composer
        self._speaker = speaker

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._speaker.name

    def ask(  # what a turn is made of
        self,
        persona: Persona,
        personas: Personas,
        question: str,
        said: Said,
        history: Sequence[Exchange] = (),
        revisable: bool = True,  # noqa: FBT001, FBT002  # as in a message
    ) -> AsyncGenerator[str, None]:
        """Yield a persona's reply piece by piece; `said.text` is the answer once it has ended.

        Args:
            persona: Who answers.
            personas: Among whom.
            question: What is asked.
            said: Filled in.
            history: What was said before.
            revisable: Whether the asker can still replace text that was shown.

        Returns:
            A generator that raises LLMError where the model does not answer.
        """
        turn = Turn(
            persona=persona,
            personas=personas,
            route=Route(domain=GENERAL, persona_id=persona.id, confidence=1, reason="asked"),
            text=question,
            memories=(),
            history=history,
            now=now(),
            revisable=revisable,
        )
        return self._spoken(self._composer.compose(turn), said)

    def ask_nobody(self, question: str, said: Said) -> AsyncGenerator[str, None]:
        """Yield the model's own reply, without any persona: what voices are compared with."""
        return self._spoken(neutral(question), said)

    async def _spoken(self, prompt: Prompt, said: Said) -> AsyncGenerator[str, None]:
        """Stream, and note how it went.

        Raises:
            LLMReplyError: the model sent nothing.
            LLMError: the model does not answer.
        """
        reply, started = Reply(), time.perf_counter()
        async with aclosing(self._speaker.stream(prompt, reply)) as pieces:
            async for piece in pieces:
                yield piece
        said.text, said.finished = reply.text.strip(), reply.finished
        said.seconds = round(time.perf_counter() - started, 3)
        if not said.text:
            message = f"{self._speaker.name} sent an empty reply."
            raise LLMReplyError(message)
