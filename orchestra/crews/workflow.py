"""The journey of a task: team, plan, the persona's verdict, work, the persona's verdict, result."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Protocol

from orchestra.crews.reviews import MOST_ATTEMPTS, Desk
from orchestra.crews.team import team_for
from orchestra.database import now
from orchestra.errors import StorageError
from orchestra.memory.importance import DECISIVE
from orchestra.memory.keeper import MemoryKeeper
from orchestra.personas.roster import Roster
from orchestra.prompts.crew import Brief, Contribution, Duty, Refused, Room, duty_of
from orchestra.types.memory import Owner, Record
from orchestra.types.task import (
    Assignment,
    Planned,
    Reviewed,
    TaskCompleted,
    TaskEvent,
    TeamFormed,
    Verdict,
    Worked,
)

Events = AsyncGenerator[TaskEvent, None]
Once = Callable[[str, Callable[[], Events]], Events]
"""Does a step once, for good: yields its events, the last of which is its outcome; of a step that
was done before, the outcome alone."""


class Workers(Protocol):
    """Those who let agents work: crewai's."""

    def load(self) -> object:
        """Begin to load what work needs."""
        ...

    def work(self, duty: Duty) -> Events:
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

    async def run(self, task_id: str, asked: Assignment, once: Once) -> Events:
        """Work on a task to its end: yields what happens, TaskCompleted last.

        Closing the generator stops whatever is under way.

        Raises:
            PersonaError: no personas could be read at all.
            LLMError: the model did not answer.
            CrewError: an agent failed.
        """
        personas = await self._roster.current()
        persona = personas.find(asked.orchestrator) or personas.for_domain(asked.domain)
        team = team_for(asked.domain, asked.complexity)
        brief = Brief(asked, persona, team, self._room)
        self._agents.load()  # while the plan is written
        yield TeamFormed(at=now(), members=team)

        plan = ""
        async for event in self._plan(brief, once):
            plan = event.plan if isinstance(event, Planned) else plan
            yield event

        earlier: list[Contribution] = []
        for member in team[:-1]:
            duty = duty_of(brief, member, plan, earlier)
            async for event in once(f"work of {member.role}", partial(self._agents.work, duty)):
                if isinstance(event, Worked):
                    earlier.append(Contribution(event.role, event.text))
                yield event

        result, verdict = "", Verdict(approved=False)
        async for event in self._result(brief, plan, earlier, once):
            result = event.text if isinstance(event, Worked) else result
            verdict = event.review.verdict if isinstance(event, Reviewed) else verdict
            yield event

        keep = partial(self._complete, task_id, brief, result, verdict)
        async for event in once("remember", keep):
            yield event

    async def _plan(self, brief: Brief, once: Once) -> Events:
        """A plan that the persona agrees to, or the last of those that it was shown."""
        refused = None
        for attempt in range(1, MOST_ATTEMPTS + 1):
            plan, verdict = "", Verdict(approved=False)
            write = partial(self._desk.plan, brief, attempt, refused)
            async for event in once(f"plan {attempt}", write):
                plan = event.plan if isinstance(event, Planned) else plan
                yield event
            review = partial(self._desk.review, brief, "plan", attempt, plan)
            async for event in once(f"review of plan {attempt}", review):
                verdict = event.review.verdict if isinstance(event, Reviewed) else verdict
                yield event
            if verdict.approved:
                return
            refused = Refused(plan, verdict.reasons)

    async def _result(
        self, brief: Brief, plan: str, earlier: list[Contribution], once: Once
    ) -> Events:
        """A result that the persona stands behind, or the last of those that it was shown."""
        refused = None
        for attempt in range(1, MOST_ATTEMPTS + 1):
            result, verdict = "", Verdict(approved=False)
            duty = duty_of(brief, brief.team[-1], plan, earlier, refused)
            async for event in once(f"result {attempt}", partial(self._agents.work, duty)):
                result = event.text if isinstance(event, Worked) else result
                yield event
            review = partial(self._desk.review, brief, "result", attempt, result, plan)
            async for event in once(f"review of result {attempt}", review):
                verdict = event.review.verdict if isinstance(event, Reviewed) else verdict
                yield event
            if verdict.approved:
                return
            refused = Refused(result, verdict.reasons)

    async def _complete(self, task_id: str, brief: Brief, result: str, verdict: Verdict) -> Events:
        """Keep what was decided; a failure of that is told beside the result, which stands."""
        asked, persona = brief.asked, brief.persona
        record = Record(
            owner=Owner(asked.user_id, persona.id),
            conversation_id=asked.conversation_id,
            domain=asked.domain,
            task=asked.description,
            decision=result,
            importance=DECISIVE,
            created_at=now(),
            message_id=task_id,
        )
        notes = []
        if not verdict.approved:
            notes.append(f"{persona.name} would still have it different: {verdict.reasons}")
        try:
            await self._memory.remember(record)
        except StorageError as exc:
            notes.append(f"This result will not be remembered. {exc}")
        yield TaskCompleted(at=now(), result=result, notes=tuple(notes))
