"""What a page shows of a crew's task: nested steps, questions, its result and files.

Everything shown has an id that follows from the task's, so a reload, a second tab and another
server show, and keep, the same things.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import quote

from chainlit.element import ElementDict, ElementType
from chainlit.step import StepDict

from orchestra.crews.tools.charts import PLOTLY
from orchestra.database import now
from orchestra.screen.gathering import stamp
from orchestra.types.memory import Owner
from orchestra.types.persona import Personas
from orchestra.types.task import Artifact, Question, Step, Task
from orchestra.types.task_events import StepDelta, TaskAsked, TaskEvent, after, as_submitted

_ICONS = {"plan": "list-todo", "review": "stamp", "agent": "user-round", "tool": "wrench"}
_MOST_SHOWN = 20_000
"""Characters of a step's text on the page; the whole lies in the task."""


class Picture:
    """What a page shows of one task, as Chainlit's steps and elements, by their ids."""

    def __init__(
        self, task: Task, personas: Personas, thread_id: str, parent_id: str | None
    ) -> None:
        """Draw a task before anything happened to it; `take` what did.

        Args:
            task: As it is now, or was at any time.
            personas: Who leads it is one of them, if nobody deleted it.
            thread_id: The conversation.
            parent_id: Of the turn in which it was asked for.
        """
        self.task = as_submitted(task)
        self.steps: dict[str, StepDict] = {}
        self.elements: dict[str, ElementDict] = {}
        lead = personas.find(task.orchestrator)
        self._lead = lead.name if lead else task.orchestrator
        self._thread_id = thread_id
        self._parent_id = parent_id
        self._asked: dict[str, TaskAsked] = {}
        self._written: dict[str, str] = {}
        self._draw()

    def all(self) -> list[str]:
        """Ids of everything."""
        return [*self.steps, *self.elements]

    def take(self, event: TaskEvent) -> list[str]:
        """Let an event happen; returns the ids of what looks different now."""
        self.task = after(self.task, event)
        if isinstance(event, StepDelta):
            written = "" if event.anew else self._written.get(event.step_id, "")
            self._written[event.step_id] = written + event.text
            return self._redrawn(event.step_id)
        if isinstance(event, TaskAsked):
            self._asked[event.question.id] = event
        return self._draw()

    def _redrawn(self, step_id: str) -> list[str]:
        """Draw one step anew: words come often, and change nothing else."""
        for step in self.task.steps:
            if step.id == step_id:
                drawn = self._step(step)
                self.steps[drawn["id"]] = drawn
                return [drawn["id"]]
        return []

    def beat(self) -> list[str]:
        """Let time pass."""
        return self._draw()

    def id_of(self, what: str) -> str:
        """The id of a part of the picture: of a step, or of 'crew'."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.task.task_id} {what}"))

    def _draw(self) -> list[str]:
        steps = {step["id"]: step for step in self._drawn_steps()}
        elements = {one["id"]: one for one in self._drawn_elements()}
        changed = [key for key, step in steps.items() if self.steps.get(key) != step]
        changed += [key for key, one in elements.items() if self.elements.get(key) != one]
        self.steps, self.elements = steps, elements
        return changed

    def _drawn_steps(self) -> Iterator[StepDict]:
        task = self.task
        yield self._crew()
        if task.team:
            yield self._team()
        for step in task.steps:
            yield self._step(step)
        for asked in self._asked.values():
            part = f"question {asked.question.id}"
            yield self._message(part, _asking(asked), asked.at, is_question=True)
        if task.finished_at is not None and task.status == "completed":
            notes = "".join(f"\n\n*{note}*" for note in task.notes)
            yield self._message("result", f"{task.result}{notes}", task.finished_at)
        elif task.finished_at is not None and task.status == "failed":
            text = f"{task.error} The task is kept: hand it over again when that is mended."
            yield {**self._message("result", text, task.finished_at), "isError": True}

    def _drawn_elements(self) -> Iterator[ElementDict]:
        task = self.task
        yield self._element("crew", "Crew", "custom", props={"task": task.task_id})
        for asked in self._asked.values():
            part = f"question {asked.question.id}"
            props = {"task": task.task_id, "question": asked.question.id}
            yield self._element(part, "Question", "custom", props=props)
        if task.is_over:
            for made in task.artifacts:
                yield self._file(made)

    def _crew(self) -> StepDict:
        task = self.task
        started = task.started_at or task.created_at
        return self._drawn(
            "crew",
            f"{self._lead}'s crew on {task.domain}: {self._state()}",
            "",
            parentId=self._parent_id,
            metadata={"icon": "users-round", "task": task.task_id},
            createdAt=stamp(task.created_at),
            start=stamp(started),
            end=stamp(task.finished_at) if task.finished_at else None,
            isError=task.status == "failed",
            defaultOpen=True,
        )

    def _team(self) -> StepDict:
        task = self.task
        at = stamp(task.started_at)
        roles = "\n".join(f"- {one.role}" for one in task.team)
        size = task.complexity_reason.replace("given", "as it was asked for")
        return self._drawn(
            "team",
            f"Team: {', '.join(one.role for one in task.team)}",
            f"{roles}\n\nSize of the work: {task.complexity}, {size}.",
            parentId=self.id_of("crew"),
            metadata={"icon": "users-round"},
            createdAt=at,
            start=at,
            end=at,
        )

    def _state(self) -> str:
        task = self.task
        if task.status == "pending":
            return "waiting for its turn"
        if task.status == "waiting":
            return "waiting for you"
        took = _time((task.finished_at or now()) - (task.started_at or task.created_at))
        if task.status == "running":
            return f"at work for {took}"
        tokens = f"{task.usage.completion_tokens:,} tokens"
        calls = f"{task.model_calls} model call{'s' if task.model_calls != 1 else ''}"
        how = {"completed": "done", "failed": "failed", "cancelled": "called off"}[task.status]
        return f"{how} after {took}, {calls}, {tokens}"

    def _step(self, step: Step) -> StepDict:
        if step.finished_at is None:
            title, output = step.title, self._written.get(step.id, "")
        else:
            took = _time(step.finished_at - step.started_at)
            title, output = f"{step.title}{_end_of(step)}, {took}", step.output
        parent = self.id_of(step.parent_id) if step.parent_id else self.id_of("crew")
        is_tool = step.kind == "tool"
        return self._drawn(
            step.id,
            title,
            output if len(output) <= _MOST_SHOWN else f"{output[:_MOST_SHOWN]} … (cut)",
            parentId=parent,
            input=step.input if is_tool else "",
            showInput="json" if is_tool else False,
            metadata={"icon": _ICONS[step.kind]},
            createdAt=stamp(step.started_at),
            start=stamp(step.started_at),
            end=stamp(step.finished_at) if step.finished_at else None,
            isError=step.status == "failed",
        )

    def _message(
        self, part: str, text: str, at: datetime, *, is_question: bool = False
    ) -> StepDict:
        task = self.task
        kind = {"question": True} if is_question else {"asked": task.description}
        return self._drawn(
            part,
            self._lead,
            text,
            type="assistant_message",
            parentId=self._parent_id,
            metadata={
                "persona": task.orchestrator,
                "domain": task.domain,
                "memory": Owner(task.user, task.orchestrator).memory_id(task.task_id),
                "task": task.task_id,
                **kind,
            },
            createdAt=stamp(at),
        )

    def _drawn(self, part: str, name: str, output: str, **more: object) -> StepDict:
        drawn: dict[str, object] = {
            "id": self.id_of(part),
            "threadId": self._thread_id,
            "name": name,
            "type": "tool",
            "input": "",
            "output": output,
            "showInput": False,
            "streaming": False,
            "isError": False,
            "defaultOpen": False,
            "autoCollapse": False,
        }
        return StepDict(**{**drawn, **more})  # type: ignore[typeddict-item]  # as Chainlit keeps them

    def _file(self, made: Artifact) -> ElementDict:
        kind: ElementType = "file"
        if made.content_type == PLOTLY:
            kind = "plotly"
        elif made.content_type.startswith("image/") and not self._is_live_too(made):
            kind = "image"
        url = f"/api/v1/tasks/{self.task.task_id}/artifacts/{quote(made.name)}"
        return self._element("result", made.name, kind, url=url, mime=made.content_type)

    def _is_live_too(self, made: Artifact) -> bool:
        """Whether a picture shows what a chart on the page shows as well."""
        stem = made.name.rpartition(".")[0]
        return any(one.name == f"{stem}.plotly.json" for one in self.task.artifacts)

    def _element(self, part: str, name: str, kind: ElementType, **more: object) -> ElementDict:
        key = self.id_of(f"element {part} {name}")
        shown: dict[str, object] = {
            "id": key,
            "threadId": self._thread_id,
            "type": kind,
            "chainlitKey": key,
            "name": name,
            "display": "inline",
            "size": "large",
            "forId": self.id_of(part),
        }
        return ElementDict(**{**shown, **more})  # type: ignore[typeddict-item]  # as Chainlit keeps them


def _asking(asked: TaskAsked) -> str:
    question: Question = asked.question
    if question.about == "plan":
        return f"{question.text}\n\nThis is the plan. Shall they start?"
    return question.text


def _end_of(step: Step) -> str:
    """How a step ended, where that is not simply that it is done."""
    if step.status in {"interrupted", "failed"}:
        return {"interrupted": ", broken off", "failed": ", failed"}[step.status]
    if step.kind == "review":
        return f": {step.output.partition('.')[0].lower()}"
    return ""


def _time(passed: timedelta) -> str:
    """How long something took, for people."""
    seconds = passed.total_seconds()
    if seconds < 9.95:  # noqa: PLR2004  # one digit behind the point is enough
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
