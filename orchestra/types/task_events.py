"""What happens to a task, in order.

A task is what its events come to: `after(task, event)` is the task one event later. Whoever shows
a task, live or later, tells the same story.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from orchestra.types.conversation import Usage
from orchestra.types.persona import Frozen
from orchestra.types.task import Answer, Artifact, Member, Question, Review, Step, StepKind, Task


class Happening(Frozen):
    """An event of a task: the kind says which, `at` when."""

    id: str = Field(default_factory=lambda: uuid.uuid4().hex[:16])
    """The same event told again has the same one."""
    at: datetime


class TaskStarted(Happening):
    """A worker begins, or goes on with, a task."""

    kind: Literal["task_started"] = "task_started"
    starts: int
    worker: str = ""


class TaskPaused(Happening):
    """A worker stops in an orderly way; another one goes on."""

    kind: Literal["task_paused"] = "task_paused"


class TeamFormed(Happening):
    """Who works."""

    kind: Literal["team_formed"] = "team_formed"
    members: tuple[Member, ...]


class StepStarted(Happening):
    """Somebody begins something."""

    kind: Literal["step_started"] = "step_started"
    step_id: str
    parent_id: str | None = None
    step: StepKind
    title: str
    who: str
    input: str = ""


class StepDelta(Happening):
    """A piece of what is being written."""

    kind: Literal["step_delta"] = "step_delta"
    step_id: str
    text: str
    anew: bool = False
    """Whether what came before is void: the model broke off and was asked again."""


class StepFinished(Happening):
    """Somebody is done, or failed."""

    kind: Literal["step_finished"] = "step_finished"
    step_id: str
    ok: bool = True
    output: str = ""
    usage: Usage = Usage()
    model_calls: int = 0


class Planned(Happening):
    """A plan was written."""

    kind: Literal["planned"] = "planned"
    plan: str


class Reviewed(Happening):
    """The persona gave a verdict."""

    kind: Literal["reviewed"] = "reviewed"
    review: Review


class TaskAsked(Happening):
    """The crew wants to know something from the person."""

    kind: Literal["task_asked"] = "task_asked"
    question: Question

    @property
    def stops_work(self) -> bool:
        """Whether nobody works on until there is an answer; else the one who asks waits a while."""
        return self.question.about == "plan"


class TaskAnswered(Happening):
    """The person said something to it, or nobody did in time."""

    kind: Literal["task_answered"] = "task_answered"
    answer: Answer


class Worked(Happening):
    """An agent handed in its part."""

    kind: Literal["worked"] = "worked"
    role: str
    text: str


class ArtifactMade(Happening):
    """A file came of the work."""

    kind: Literal["artifact_made"] = "artifact_made"
    artifact: Artifact


class TaskCompleted(Happening):
    """The result is there."""

    kind: Literal["task_completed"] = "task_completed"
    result: str
    notes: tuple[str, ...] = ()


class TaskFailed(Happening):
    """It could not be done; why, in words for people."""

    kind: Literal["task_failed"] = "task_failed"
    error: str


class TaskCancelled(Happening):
    """Somebody called it off."""

    kind: Literal["task_cancelled"] = "task_cancelled"


TaskEvent = (
    TaskStarted
    | TaskPaused
    | TeamFormed
    | StepStarted
    | StepDelta
    | StepFinished
    | Planned
    | Reviewed
    | TaskAsked
    | TaskAnswered
    | Worked
    | ArtifactMade
    | TaskCompleted
    | TaskFailed
    | TaskCancelled
)

OUTCOMES = (Planned, Reviewed, Worked, TaskCompleted)
"""What steps come to: each has one, and it is its last event, with the step's name as its id, so
that whoever goes on with a task finds it."""
LAST = (TaskCompleted, TaskFailed, TaskCancelled)
"""The events after which there are no more."""

EVENT: TypeAdapter[TaskEvent] = TypeAdapter(Annotated[TaskEvent, Field(discriminator="kind")])
"""Reads an event of whatever kind from JSON."""


def as_submitted(task: Task) -> Task:
    """The task as it was before anything happened to it."""
    return Task(
        task_id=task.task_id,
        description=task.description,
        domain=task.domain,
        complexity=task.complexity,
        complexity_reason=task.complexity_reason,
        orchestrator=task.orchestrator,
        user=task.user,
        conversation=task.conversation,
        files=task.files,
        asks_first=task.asks_first,
        writing=task.writing,
        created_at=task.created_at,
    )


def after(task: Task, event: TaskEvent) -> Task:  # noqa: C901, PLR0911, PLR0912, PLR0915  # one line each
    """The task once an event has happened."""
    match event:
        case TaskStarted():
            steps = tuple(_interrupted(step, event.at) for step in task.steps)
            begun = task.started_at or event.at
            crashes = task.crashes + (task.status == "running")
            now = {"status": "running", "starts": event.starts, "worker": event.worker}
            now |= {"crashes": crashes, "started_at": begun, "steps": steps, "question": None}
            return _with(task, **now)
        case TaskPaused():
            steps = tuple(_interrupted(step, event.at) for step in task.steps)
            return _with(task, status="pending", steps=steps, worker="", question=None)
        case TeamFormed():
            return _with(task, team=event.members)
        case StepStarted():
            step = Step(
                id=event.step_id,
                parent_id=event.parent_id,
                kind=event.step,
                title=event.title,
                who=event.who,
                started_at=event.at,
                input=event.input,
            )
            return _with(task, steps=(*task.steps, step))
        case StepDelta():
            return task
        case StepFinished():
            steps = tuple(_finished(one, event) for one in task.steps)
            usage = task.usage.plus(event.usage)
            calls = task.model_calls + event.model_calls
            return _with(task, steps=steps, usage=usage, model_calls=calls)
        case Planned():
            return _with(task, plan=event.plan)
        case Reviewed():
            last = {"plan": "plan_review", "result": "final_review"}[event.review.of]
            return _with(task, reviews=(*task.reviews, event.review), **{last: event.review})
        case TaskAsked():
            status = "waiting" if event.stops_work else task.status
            return _with(task, question=event.question, status=status)
        case TaskAnswered():
            status = "pending" if task.status == "waiting" else task.status
            is_open = task.question is not None and task.question.id != event.answer.question_id
            question = task.question if is_open else None
            answers = (*task.answers, event.answer)
            return _with(task, question=question, answers=answers, status=status)
        case Worked():
            return task
        case ArtifactMade():
            others = [one for one in task.artifacts if one.name != event.artifact.name]
            return _with(task, artifacts=(*others, event.artifact))
        case TaskCompleted():
            done = {"status": "completed", "result": event.result, "notes": event.notes}
            return _with(task, finished_at=event.at, **done)
        case TaskFailed():
            steps = tuple(_interrupted(step, event.at) for step in task.steps)
            over = {"status": "failed", "error": event.error, "finished_at": event.at}
            over["question"] = None
            return _with(task, steps=steps, **over)
        case TaskCancelled():
            steps = tuple(_interrupted(step, event.at) for step in task.steps)
            over = {"status": "cancelled", "question": None, "finished_at": event.at}
            return _with(task, steps=steps, **over)


def _with(task: Task, **changes: object) -> Task:
    return task.model_copy(update=changes)


def _finished(step: Step, event: StepFinished) -> Step:
    if step.id != event.step_id:
        return step
    status = "done" if event.ok else "failed"
    said = {"output": event.output, "usage": event.usage}
    return step.model_copy(update={"status": status, "finished_at": event.at, **said})


def _interrupted(step: Step, at: datetime) -> Step:
    if step.status != "running":
        return step
    return step.model_copy(update={"status": "interrupted", "finished_at": at})
