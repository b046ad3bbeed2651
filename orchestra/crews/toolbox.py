"""Uses tools: who gets which, arguments checked, time limited, what happens told."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Container, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from orchestra.crews.files import Artifacts, Attachments
from orchestra.crews.records import TaskRecords
from orchestra.crews.tools.tool import ALL, Arguments, Bench, Outcome, Tool
from orchestra.database import Database, now
from orchestra.errors import OrchestraError, ToolError
from orchestra.memory.keeper import MemoryKeeper
from orchestra.personas.notion.wire import NotionWire
from orchestra.types.conversation import Tool as ToolOffer
from orchestra.types.conversation import shorten
from orchestra.types.task import Answer, Artifact, File, Question, Task
from orchestra.types.task_events import (
    ArtifactMade,
    StepFinished,
    StepStarted,
    TaskAnswered,
    TaskAsked,
    TaskEvent,
)

log = logging.getLogger(__name__)

_MODULES = ("content", "data", "insights", "notion", "project", "research", "sales")
PATIENCE_SECONDS = 300.0
"""How long a person may take to allow a tool; it does not count as time of the work."""
_LOOK_SECONDS = 0.4
_MOST_CHARACTERS = 12_000
"""Of an outcome that a model is shown; whoever looks at the step sees no more either."""


class Toolbox:
    """All tools of the house."""

    def __init__(  # what tools are given, and how long
        self,
        database: Database,
        records: TaskRecords,
        memory: MemoryKeeper,
        notion: NotionWire | None,
        seconds: float = 60,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Prepare.

        Args:
            database: Where tools keep what they keep, and files come from and go to.
            records: Where people's answers are found.
            memory: What was decided before.
            notion: The connection, where there is one; closed with the toolbox.
            seconds: How long one use may take.
            patience_seconds: How long a person may take to allow one.
        """
        self._database = database
        self._artifacts = Artifacts(database)
        self._attachments = Attachments(database)
        self._records = records
        self._memory = memory
        self._notion = notion
        self._seconds = seconds
        self._patience_seconds = patience_seconds
        self._tools: dict[str, Tool] = {}
        for name in _MODULES:
            module = importlib.import_module(f"orchestra.crews.tools.{name}")
            self._tools |= {tool.name: tool for tool in module.TOOLS}
        self._offers = {name: _offer(tool) for name, tool in self._tools.items()}

    async def close(self) -> None:
        """Close the connection to Notion."""
        if self._notion is not None:
            await self._notion.close()

    def of(self, domain: str) -> list[Tool]:
        """The tools that an agent of a subject gets."""
        return [one for one in self._tools.values() if one.domains & {ALL, domain}]

    def offers(self, domain: str) -> list[ToolOffer]:
        """The same, as a model is told of them."""
        return [self._offers[one.name] for one in self.of(domain)]

    async def bench(self, task: Task) -> Bench:
        """Where the tools of a task are used.

        Raises:
            StorageError: the database does not answer.
        """
        attached = await self._attachments.all(task.user, task.conversation)
        files = {one.name: one for one in (*attached, *await self._artifacts.all(task.task_id))}
        return Bench(
            task.task_id,
            task.user,
            task.description,
            self._database,
            files,
            writing=task.writing,
            memory=self._memory,
            notion=self._notion,
        )

    def fitting(self, domain: str, bench: Bench) -> list[tuple[str, Mapping[str, Any]]]:
        """Tools that are of use before anybody has thought about the task, with arguments."""
        fits = [(one.name, one.fits(bench)) for one in self.of(domain)]
        return [(name, arguments) for name, arguments in fits if arguments is not None]

    async def use(
        self, name: str, arguments: Mapping[str, Any], bench: Bench, parent_id: str | None = None
    ) -> AsyncGenerator[TaskEvent | Outcome, None]:
        """Use a tool: yields StepStarted, ArtifactMade…, StepFinished, and the outcome.

        Between them TaskAsked, where the person must allow it. What cannot be done is an outcome
        too: it tells the agent why, and what would help.

        Args:
            name: Which.
            arguments: As the model made them up.
            bench: Where.
            parent_id: The step of the agent.
        """
        step_id = uuid.uuid4().hex[:12]
        told = json.dumps(arguments, ensure_ascii=False, default=str)
        yield StepStarted(
            at=now(),
            step_id=step_id,
            parent_id=parent_id,
            step="tool",
            title=name.replace("_", " "),
            who=name,
            input=shorten(told, 2_000),
        )
        try:
            tool, checked = self._checked(name, arguments)
            if tool.changes is not None:
                async with bench.asking:  # a person has one question at a time
                    async for event in self._allowed(tool.changes(checked), bench, step_id):
                        yield event
            outcome, ok = await self._used(tool, checked, bench), True
            for file in outcome.files:
                yield await self._kept(file, bench, step_id)
        except OrchestraError as exc:
            outcome, ok = Outcome(f"{name} failed: {exc}"), False
        if len(outcome.text) > _MOST_CHARACTERS:
            outcome = replace(outcome, text=f"{outcome.text[:_MOST_CHARACTERS]}\n… (cut)")
        yield StepFinished(at=now(), step_id=step_id, ok=ok, output=outcome.text)
        yield outcome

    def _checked(self, name: str, arguments: Mapping[str, Any]) -> tuple[Tool, Arguments]:
        """A tool and what it is given.

        Raises:
            ToolError: there is none of this name, or it cannot be used so.
        """
        tool = self._tools.get(name)
        if tool is None:
            message = f"There is no tool '{name}'. Known: {', '.join(sorted(self._tools))}."
            raise ToolError(message)
        try:
            return tool, tool.arguments.model_validate(dict(arguments))
        except ValidationError as exc:
            raise ToolError(_in_words(exc)) from exc

    async def _allowed(
        self, what: str, bench: Bench, step_id: str
    ) -> AsyncGenerator[TaskEvent, None]:
        """Ask the person, where that is to be done.

        Raises:
            ToolError: it is not allowed.
        """
        if bench.writing == "yes":
            return
        if bench.writing == "no":
            message = "Nothing outside of Orchestra may be changed for this task (may_write)."
            raise ToolError(message)
        yield TaskAsked(
            at=now(), question=Question(id=step_id, about="tool", text=f"May I {what}?")
        )
        answer = await self._answer(bench.task_id, step_id)
        if answer is None:
            silence = Answer(question_id=step_id, approved=False)
            yield TaskAnswered(at=now(), answer=silence)
            message = f"Nobody answered in {self._patience_seconds:g} seconds; nothing was done."
            raise ToolError(message)
        if not answer.approved:
            message = "The person said no; nothing was done."
            raise ToolError(message)

    async def _answer(self, task_id: str, question_id: str) -> Answer | None:
        """What the person said; None: nothing, for as long as anybody waits."""
        until = time.monotonic() + self._patience_seconds
        while True:
            is_late = time.monotonic() >= until
            answer = (await self._records.get(task_id)).answer_to(question_id)
            if answer is not None or is_late:
                return answer
            await asyncio.sleep(_LOOK_SECONDS)

    async def _kept(self, file: File, bench: Bench, step_id: str) -> ArtifactMade:
        """Keep a file that a tool made, under a name that nothing else on the bench has.

        Raises:
            FileRefusedError: it is empty or too large.
            StorageError: it could not be kept.
        """
        name = _free_name(file.name, bench.files)
        bench.files[name] = named = replace(file, name=name)  # others may name theirs right now
        await self._artifacts.put(bench.task_id, named)
        size = len(file.content)
        made = Artifact(name=name, content_type=file.content_type, size=size, step_id=step_id)
        return ArtifactMade(at=now(), artifact=made)

    async def _used(self, tool: Tool, checked: Arguments, bench: Bench) -> Outcome:
        """The outcome of a tool.

        Raises:
            ToolError: it cannot be used so, or not at all.
            OrchestraError: something that it needs does not work.
        """
        try:
            async with asyncio.timeout(self._seconds):
                return await tool.use(checked, bench)
        except TimeoutError as exc:
            message = f"It took longer than {self._seconds:g} seconds and was given up."
            raise ToolError(message) from exc
        except OrchestraError:
            raise
        except Exception as exc:
            log.exception("%s failed with %s", tool.name, checked)
            said = f"{type(exc).__name__}: {' '.join(str(exc).split())[:200]}"
            raise ToolError(said) from exc


def _offer(tool: Tool) -> ToolOffer:
    schema = json.dumps(tool.arguments.model_json_schema())
    return ToolOffer(name=tool.name, description=tool.description, parameters=schema)


def _free_name(wished: str, taken: Container[str]) -> str:
    """A name for a file that every disk takes, and that nothing else has."""
    printable = "".join(sign if sign.isprintable() and sign != "/" else "-" for sign in wished)
    stem, dot, ending = " ".join(printable.split())[-100:].partition(".")
    name, number = f"{stem}{dot}{ending}", 2
    while name in taken:
        name, number = f"{stem} {number}{dot}{ending}", number + 1
    return name


def _in_words(exc: ValidationError) -> str:
    """What is wrong with arguments, for the model that made them up."""
    lines = [
        f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in exc.errors()
    ]
    return f"The arguments are wrong. {'; '.join(lines[:5])}. Correct them and try again."
