"""What is written at the persona's desk: the plan of whoever leads, and the persona's verdicts."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator, Callable
from typing import Literal

from pydantic import ValidationError

from orchestra.crews.listening import Listener
from orchestra.database import now
from orchestra.errors import LLMError
from orchestra.llm.chat import Reply, Speaker
from orchestra.prompts.crew import Brief, Refused, plan_prompt, review_prompt
from orchestra.types.conversation import Prompt
from orchestra.types.task import Review, StepKind, Verdict
from orchestra.types.task_events import Planned, Reviewed, StepDelta, StepStarted, TaskEvent

MOST_ATTEMPTS = 3
"""The first, and at most two more: of a plan, and of the work itself."""


class Desk:
    """Asks the model for plans and verdicts."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker

    async def plan(
        self, brief: Brief, attempt: int, refused: Refused | None
    ) -> AsyncGenerator[TaskEvent, None]:
        """Write a plan: yields StepStarted, StepDelta…, StepFinished, Planned.

        Raises:
            LLMError: the model did not answer.
        """
        lead = brief.team[-1].role
        title = "Plan" if attempt == 1 else f"Plan, version {attempt}"
        writing = _Writing(self._speaker, plan_prompt(brief, refused))
        async for event in writing.events("plan", title, lead):
            yield event
        yield writing.listener.finished(writing.reply.text)
        yield Planned(at=now(), plan=writing.reply.text.strip())

    async def review(
        self, brief: Brief, of: Literal["plan", "result"], attempt: int, text: str, plan: str = ""
    ) -> AsyncGenerator[TaskEvent, None]:
        """Let the persona judge: yields StepStarted, StepFinished, Reviewed.

        Raises:
            LLMError: the model did not answer, or with something else than a verdict.
        """
        persona = brief.persona
        title = f"{persona.name} reviews the {of}"
        writing = _Writing(self._speaker, review_prompt(brief, of, text, plan), _no_verdict)
        async for event in writing.events("review", title, persona.id):
            if not isinstance(event, StepDelta):  # half a JSON object tells nobody anything
                yield event
        verdict = _verdict(writing.reply.text)
        said = "Approved" if verdict.approved else "Sent back"
        yield writing.listener.finished(f"{said}. {verdict.reasons}".strip())
        review = Review(
            of=of,
            attempt=attempt,
            persona_id=persona.id,
            verdict=verdict,
            is_last=not verdict.approved and attempt == MOST_ATTEMPTS,
        )
        yield Reviewed(at=now(), review=review)


_ProblemOf = Callable[[Reply], str | None]


class _Writing:
    """One reply, with the events of its coming."""

    def __init__(
        self, speaker: Speaker, prompt: Prompt, problem_of: _ProblemOf = lambda _: None
    ) -> None:
        self.reply = Reply()
        self._heard: asyncio.Queue[TaskEvent | None] = asyncio.Queue()
        self.listener = Listener(speaker, uuid.uuid4().hex[:12], self._heard.put_nowait)
        self._prompt = prompt
        self._problem_of = problem_of

    async def events(self, step: StepKind, title: str, who: str) -> AsyncGenerator[TaskEvent, None]:
        """The beginning and each piece; a failure ends the step and is raised.

        Raises:
            LLMError: the model did not answer, or not properly.
        """
        step_id = self.listener.step_id
        yield StepStarted(at=now(), step_id=step_id, step=step, title=title, who=who)
        asking = asyncio.create_task(self.listener.ask(self._prompt, self._problem_of))
        asking.add_done_callback(lambda _: self._heard.put_nowait(None))
        try:
            while (event := await self._heard.get()) is not None:
                yield event
            self.reply = asking.result()
        except LLMError as exc:
            yield self.listener.finished(str(exc), ok=False)
            raise
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


def _verdict(text: str) -> Verdict:
    """The verdict in a reply, which may have words or a fence around it.

    Raises:
        ValidationError: there is none.
    """
    found = re.search(r"\{.*\}", text, re.DOTALL)
    return Verdict.model_validate_json(found[0] if found else text)


def _no_verdict(reply: Reply) -> str | None:
    try:
        _verdict(reply.text)
    except ValidationError as exc:
        problem = exc.errors()[0]["msg"]
        return f"The model's verdict is not of the asked shape ({problem}): {reply.text[:80]!r}."
    return None
