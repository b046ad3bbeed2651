"""A whole reply of the model, piece by piece, asked for again where it was cut half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from orchestra.database import now
from orchestra.errors import LLMReplyError, LLMUnavailableError
from orchestra.llm.chat import Reply, Speaker
from orchestra.precedence import PRECEDENCE
from orchestra.types.conversation import Prompt, Usage
from orchestra.types.task_events import StepDelta, StepFinished

TRIES = 4
"""Times that a model is asked for one reply. The client itself tries again before the first word;
this is for streams that are cut half-way, and for replies that are none."""
PAUSE_SECONDS = 0.5
"""Before the second try; twice as long before each further one."""


@dataclass
class Listener:
    """Listens on behalf of one step of a task, and counts."""

    speaker: Speaker
    step_id: str
    heard: Callable[[StepDelta], None]
    """Is given each piece as it comes."""
    usage: Usage = field(default_factory=Usage)
    model_calls: int = 0

    async def ask(
        self, prompt: Prompt, problem_of: Callable[[Reply], str | None] = lambda _: None
    ) -> Reply:
        """Return a whole reply.

        Args:
            prompt: What to ask.
            problem_of: Says what is wrong with a reply; None: nothing.

        Raises:
            LLMUnavailableError: the model does not answer to the end.
            LLMReplyError: it answers with nothing, or with what is not good.
            LLMRefusedError: it will not answer this.
        """
        attempt = 1
        while True:
            try:
                return await self._once(prompt, problem_of, anew=attempt > 1)
            except (LLMUnavailableError, LLMReplyError):
                if attempt == TRIES:
                    raise
            await asyncio.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
            attempt += 1

    async def _once(
        self, prompt: Prompt, problem_of: Callable[[Reply], str | None], *, anew: bool
    ) -> Reply:
        reply = Reply()
        await PRECEDENCE.give_way()
        self.model_calls += 1
        try:
            async with aclosing(self.speaker.stream(prompt, reply)) as pieces:
                async for piece in pieces:
                    self.heard(StepDelta(at=now(), step_id=self.step_id, text=piece, anew=anew))
                    anew = False
                    await PRECEDENCE.give_way()
        finally:
            self.usage = self.usage.plus(reply.usage)
        if not reply.text.strip() and not reply.tool_calls:
            message = "The model sent an empty reply."
            raise LLMReplyError(message)
        if problem := problem_of(reply):
            raise LLMReplyError(problem)
        return reply

    def finished(self, output: str, *, ok: bool = True) -> StepFinished:
        """The end of the step."""
        return StepFinished(
            at=now(),
            step_id=self.step_id,
            ok=ok,
            output=output,
            usage=self.usage,
            model_calls=self.model_calls,
        )
