"""A crew's task on the screen: nested steps while it works, its questions, its result and files.

A page shows what the task's events come to. Everything shown has an id that follows from the
task's, so a reload, a second tab and another server show, and keep, the same things.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import quote

from chainlit.context import context
from chainlit.data import get_data_layer
from chainlit.element import ElementDict, ElementType
from chainlit.server import sio
from chainlit.session import WebsocketSession
from chainlit.step import StepDict
from chainlit.types import ThreadDict

from orchestra.crews.runs import with_beats
from orchestra.crews.tools.charts import PLOTLY
from orchestra.database import now
from orchestra.errors import OrchestraError, TaskNotFoundError
from orchestra.house import Orchestra
from orchestra.screen.gathering import stamp
from orchestra.screen.history import History
from orchestra.screen.steps import actions
from orchestra.types.persona import Personas
from orchestra.types.task import (
    Artifact,
    Question,
    Request,
    Step,
    StepDelta,
    Task,
    TaskAsked,
    TaskEvent,
    after,
    as_submitted,
)

log = logging.getLogger(__name__)

BEAT_SECONDS = 3.0
"""How often a page shows that a crew still works, where nothing else does."""
_ICONS = {"plan": "list-todo", "review": "stamp", "agent": "user-round", "tool": "wrench"}
_MOST_SHOWN = 20_000
"""Characters of a step's text on the page; the whole lies in the task."""

_following: dict[tuple[str, str], asyncio.Task[None]] = {}
"""Who keeps a page up to date, by its session and the task."""


async def begin(house: Orchestra, request: Request) -> None:
    """Let a crew work, and show it on this page from now on; the composer stays free.

    Raises:
        TaskInvalidError: the request breaks a rule.
        OrchestraError: it could not be taken.
    """
    (task,) = await house.runs.submit([await house.intake.task(request)])
    run = context.current_run
    personas = await house.conversation.personas()
    picture = Picture(task, personas, context.session.thread_id, run.id if run else None)
    await _show(picture, picture.all())
    _keep(picture, picture.all())
    history = get_data_layer()
    if isinstance(history, History):
        await history.flush()
    # The page keeps its address at '/' where the list of conversations is closed: see orchestra.js.
    await context.emitter.send_window_message({"orchestraThread": context.session.thread_id})
    _follow(house, picture, 0)


async def resume(house: Orchestra, thread: ThreadDict, person: str) -> None:
    """Bring the tasks of a reopened conversation up to date, and follow those not yet over."""
    personas = await house.conversation.personas()
    unfinished = [
        (step["metadata"]["task"], step.get("parentId"))
        for step in thread["steps"]
        if "task" in (step.get("metadata") or {}) and step["type"] == "tool" and not step.get("end")
    ]
    for task_id, parent_id in unfinished:
        try:
            task = await house.runs.get(task_id, person)
        except TaskNotFoundError:
            continue  # it is older than tasks are kept
        picture = Picture(task, personas, thread["id"], parent_id)
        behind = 0
        for behind, event in await house.runs.events(task_id):  # noqa: B007  # the last one counts
            picture.take(event)
        steps = {step["id"]: step for step in thread["steps"]}
        elements = {one["id"]: one for one in thread["elements"] or ()}
        thread["steps"] = list((steps | picture.steps).values())
        thread["elements"] = list((elements | picture.elements).values())
        _keep(picture, picture.all())
        # Chainlit sends the page this thread when the one who called this is done.
        _follow(house, picture, behind, asyncio.current_task())


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
            metadata={"persona": task.orchestrator, "task": task.task_id, **kind},
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


def _follow(
    house: Orchestra, picture: Picture, behind: int, first: asyncio.Task[Any] | None = None
) -> None:
    """Keep this page up to date until the task is over or the page is gone.

    Args:
        house: Whose task it is.
        picture: What the page shows.
        behind: The number of the last event that it shows.
        first: To be waited for: until then the page shows something older.
    """
    key = context.session.id, picture.task.task_id
    if key not in _following:
        following = asyncio.create_task(_followed(house, picture, behind, first))
        _following[key] = following
        following.add_done_callback(lambda _: _following.pop(key))


async def _followed(
    house: Orchestra, picture: Picture, behind: int, first: asyncio.Task[Any] | None
) -> None:
    if first is not None:
        await asyncio.wait({first})
    session = cast("WebsocketSession", context.session)
    socket_id = session.socket_id
    try:
        while await _is_connected(session):
            if session.socket_id != socket_id:  # what was sent to the old connection is lost
                socket_id = session.socket_id
                await _show(picture, picture.all())
            if picture.task.is_over:
                await _offer_actions(house, picture)
                if session.socket_id == socket_id and _has_page(session):
                    return
            behind, is_all = await _shown_on(socket_id, session, house, picture, behind)
            if is_all and not picture.task.is_over:
                return  # the task is not kept any more
    except OrchestraError as exc:
        log.warning("A page no longer follows task %s: %s", picture.task.task_id, exc)
        await context.emitter.send_toast(f"{exc} Reload the page to see how the crew is.", "error")


async def _shown_on(
    socket_id: str, session: WebsocketSession, house: Orchestra, picture: Picture, behind: int
) -> tuple[int, bool]:
    """Show what happens for as long as one connection lasts.

    Returns:
        The number of the last event, and whether there will be no more.
    """
    watched = with_beats(house.runs.watch(picture.task.task_id, behind), BEAT_SECONDS)
    drawn_at = time.monotonic()
    async with aclosing(watched) as events:
        async for numbered in events:
            if numbered is not None:
                behind = numbered[0]
                await _show_event(picture, numbered[1])
            if session.socket_id != socket_id or not _has_page(session):
                break
            if time.monotonic() - drawn_at >= BEAT_SECONDS:
                drawn_at = time.monotonic()
                await _show(picture, picture.beat(), set(picture.steps))
        else:
            return behind, True
    return behind, False


async def _is_connected(session: WebsocketSession) -> bool:
    """Wait until the page is there; False once it will not come back."""
    while WebsocketSession.get_by_id(session.id) is session:
        if _has_page(session):
            return True
        await asyncio.sleep(BEAT_SECONDS)
    return False


def _has_page(session: WebsocketSession) -> bool:
    return bool(sio.manager.is_connected(session.socket_id, "/"))


async def _show_event(picture: Picture, event: TaskEvent) -> None:
    known = set(picture.steps)
    changed = picture.take(event)
    if isinstance(event, StepDelta):
        for step_id in changed:
            if event.anew:
                await context.emitter.update_step(picture.steps[step_id])
            else:
                await context.emitter.send_token(step_id, event.text)
        return
    await _show(picture, changed, known)
    _keep(picture, changed)


async def _offer_actions(house: Orchestra, picture: Picture) -> None:
    """Put below a result what is below every answer."""
    task, result = picture.task, picture.id_of("result")
    if task.status != "completed":
        return
    personas = await house.conversation.personas()
    for action in actions(result, task.orchestrator, personas, task.description):
        await action.remove()  # a page that lost its connection still shows it
        await action.send(for_id=result)


async def _show(
    picture: Picture, changed: list[str], known: set[str] | frozenset[str] = frozenset()
) -> None:
    """Show what looks different."""
    emitter = context.emitter
    for key in changed:
        if key in picture.elements:
            await emitter.send_element(picture.elements[key])
        elif key in known:
            await emitter.update_step(picture.steps[key])
        else:
            await emitter.send_step(picture.steps[key])


def _keep(picture: Picture, changed: list[str]) -> None:
    history = get_data_layer()
    if not isinstance(history, History):
        return
    for key in changed:
        if key in picture.elements:
            history.keep_element(picture.elements[key])
        else:
            history.keep_step(picture.steps[key])


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
