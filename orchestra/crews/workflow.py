"""The journey of a task: team, plan, the persona's verdict, work, the persona's verdict, result."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

from orchestra.crews.reviews import MOST_ATTEMPTS, Desk
from orchestra.crews.team import team_for
from orchestra.database import now
from orchestra.errors import StorageError
from orchestra.memory.importance import DECISIVE
from orchestra.memory.keeper import MemoryKeeper
from orchestra.personas.roster import Roster
from orchestra.prompts.crew import Brief, Contribution, Duty, Refused, Room, duty_of
from orchestra.types.memory import Owner, Record
from orchestra.types.task import Question, Task, Verdict
from orchestra.types.task_events import (
    Planned,
    Reviewed,
    TaskAsked,
    TaskCompleted,
    TaskEvent,
    TeamFormed,
    Worked,
)

PLAN = "plan"
"""Id of the question about the plan."""
Events = AsyncGenerator[TaskEvent, None]
Once = Callable[[str, Callable[[], Events]], Events]
"""Does a step once, for good: yields its events, the last of which is its outcome; of a step that
was done before, the outcome alone."""


class Workers(Protocol):
    """Those who let agents work: crewai's."""

    def load(self) -> object:
        """Begin to load what work needs."""
        ...

    def work(self, task: Task, duty: Duty) -> Events:
        """Yield what one agent does; the last event is what it hands in."""
        ...

    async def close(self) -> None:
        """Let nobody work any more."""
        ...


class Workflow:
    """Tells the journey; whoever runs it says what 'once' means."""

    def __init__(
        self, roster: Roster, desk: Desk, agents: Workers, memory: MemoryKeeper, room: Room
    ) -> None:
        self._roster = roster
        self._desk = desk
        self._agents = agents
        self._memory = memory
        self._room = room

    async def close(self) -> None:
        """Send the agents home."""
        await self._agents.close()

    async def run(self, task: Task, once: Once) -> Events:
        """Work on a task to its end: yields what happens, TaskCompleted last.

        Where the person wants to see the plan first, TaskAsked is the last event until the task has
        an answer: run it again then.

        Closing the generator stops whatever is under way.

        Raises:
            PersonaError: no personas could be read at all.
            LLMError: the model did not answer.
            CrewError: an agent failed.
        """
        personas = await self._roster.current()
        persona = personas.find(task.orchestrator) or personas.for_domain(task.domain)
        team = team_for(task.domain, task.complexity)
        brief = Brief(task, persona, team, self._room)
        self._agents.load()  # while the plan is written
        yield TeamFormed(at=now(), members=team)

        agreed, done = _Outcome(), _Outcome()
        stages = (
            self._planning(brief, agreed, once),
            self._working(brief, agreed, done, once),
            once("remember", partial(self._complete, brief, done)),
        )
        for stage in stages:
            async with aclosing(stage) as events:
                async for event in events:
                    yield event
                    if isinstance(event, TaskAsked) and event.stops_work:
                        return

    async def _planning(self, brief: Brief, agreed: _Outcome, once: Once) -> Events:
        """A plan that the persona agrees to, and the person where it is asked."""
        plan = partial(self._desk.plan, brief)
        async with aclosing(self._reviewed("plan", brief, plan, agreed, once)) as events:
            async for event in events:
                yield event
        answer = brief.task.answer_to(PLAN)
        if brief.task.asks_first and answer is None:
            question = Question(id=PLAN, about="plan", text=agreed.text)
            yield TaskAsked(at=now(), question=question)
        elif answer is not None and answer.text:
            agreed.text = answer.text
            yield Planned(id="plan as changed", at=now(), plan=answer.text)

    async def _working(self, brief: Brief, agreed: _Outcome, done: _Outcome, once: Once) -> Events:
        """What everybody hands in, and a result that the persona stands behind."""
        *others, leader = brief.team
        earlier: list[Contribution] = []
        for member in others:
            duty = duty_of(brief, member, agreed.text, earlier)
            work = once(f"work of {member.role}", partial(self._agents.work, brief.task, duty))
            async with aclosing(work) as events:
                async for event in events:
                    if isinstance(event, Worked):
                        earlier.append(Contribution(event.role, event.text))
                    yield event

        def lead(attempt: int, refused: Refused | None) -> Events:
            del attempt  # the agent is told what was refused
            duty = duty_of(brief, leader, agreed.text, earlier, refused)
            return self._agents.work(brief.task, duty)

        review = self._reviewed("result", brief, lead, done, once, agreed.text)
        async with aclosing(review) as events:
            async for event in events:
                yield event

    async def _reviewed(  # one journey, told of a plan and of a result
        self,
        of: Literal["plan", "result"],
        brief: Brief,
        write: Callable[[int, Refused | None], Events],
        outcome: _Outcome,
        once: Once,
        plan: str = "",
    ) -> Events:
        """Let something be written until the persona agrees, or has refused it often enough."""
        for attempt in range(1, MOST_ATTEMPTS + 1):
            review = partial(self._review, of, brief, attempt, outcome, plan)
            steps = {
                f"{of} {attempt}": partial(write, attempt, outcome.refused),
                f"review of {of} {attempt}": review,
            }
            for name, step in steps.items():
                async with aclosing(once(name, step)) as events:
                    async for event in events:
                        outcome.note(event)
                        yield event
            if outcome.verdict.approved:
                return

    def _review(
        self,
        of: Literal["plan", "result"],
        brief: Brief,
        attempt: int,
        outcome: _Outcome,
        plan: str,
    ) -> Events:
        return self._desk.review(brief, of, attempt, outcome.text, plan)

    async def _complete(self, brief: Brief, done: _Outcome) -> Events:
        """Keep what was decided; a failure of that is told beside the result, which stands."""
        task, persona = brief.task, brief.persona
        record = Record(
            owner=Owner(task.user, persona.id),
            conversation_id=task.conversation,
            domain=task.domain,
            task=task.description,
            decision=done.text,
            importance=DECISIVE,
            created_at=now(),
            message_id=task.task_id,
        )
        notes = []
        if not done.verdict.approved:
            notes.append(f"{persona.name} would still have it different: {done.verdict.reasons}")
        try:
            await self._memory.remember(record)
        except StorageError as exc:
            notes.append(f"This result will not be remembered. {exc}")
        yield TaskCompleted(at=now(), result=done.text, notes=tuple(notes))


@dataclass
class _Outcome:
    """What was written last, and what the persona thinks of it."""

    text: str = ""
    verdict: Verdict = field(default_factory=lambda: Verdict(approved=False))
    refused: Refused | None = None

    def note(self, event: TaskEvent) -> None:
        if isinstance(event, Planned):
            self.text = event.plan
        elif isinstance(event, Worked):
            self.text = event.text
        elif isinstance(event, Reviewed):
            self.verdict = event.review.verdict
            self.refused = Refused(self.text, self.verdict.reasons)
