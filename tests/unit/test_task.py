"""A task is what its events come to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestra.types.conversation import Usage
from orchestra.types.task import Review, Task, Verdict
from orchestra.types.task_events import (
    EVENT,
    Planned,
    Reviewed,
    StepDelta,
    StepFinished,
    StepStarted,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
    TaskStarted,
    after,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def task():
    return Task(
        task_id="t",
        description="A launch plan",
        domain="project",
        complexity="low",
        orchestrator="karen",
        created_at=NOON,
    )


def told(task, *events):
    for event in events:
        task = after(task, event)
    return task


def started(step_id, **more):
    return StepStarted(at=NOON, step_id=step_id, step="agent", title="At work", who="x", **more)


def reviewed(of, *, approved):
    verdict = Verdict(approved=approved, reasons="because")
    return Reviewed(at=NOON, review=Review(of=of, attempt=1, persona_id="karen", verdict=verdict))


def test_the_whole_story(task):
    usage = Usage(prompt_tokens=3, completion_tokens=2)
    done = told(
        task,
        TaskStarted(at=NOON, starts=1),
        started("s"),
        StepDelta(at=NOON, step_id="s", text="half"),
        StepFinished(at=NOON, step_id="s", output="whole", usage=usage, model_calls=2),
        Planned(at=NOON, plan="1. do"),
        reviewed("plan", approved=False),
        reviewed("plan", approved=True),
        reviewed("result", approved=True),
        TaskCompleted(at=NOON + timedelta(seconds=5), result="Done."),
    )
    assert (done.status, done.plan, done.result) == ("completed", "1. do", "Done.")
    assert [(one.id, one.status, one.output) for one in done.steps] == [("s", "done", "whole")]
    assert done.plan_review.verdict.approved
    assert [one.verdict.approved for one in done.reviews] == [False, True, True]
    assert done.final_review.of == "result"
    assert (done.usage, done.model_calls) == (usage, 2)
    assert done.finished_at == NOON + timedelta(seconds=5)
    assert done.is_over


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (TaskStarted(at=NOON, starts=2), "running"),
        (TaskFailed(at=NOON, error="no"), "failed"),
        (TaskCancelled(at=NOON), "cancelled"),
    ],
)
def test_what_was_under_way_is_interrupted(task, event, status):
    task = told(task, started("s"), event)
    assert task.status == status
    assert [one.status for one in task.steps] == ["interrupted"]


def test_a_step_that_failed_says_what_it_said(task):
    task = told(task, started("s"), StepFinished(at=NOON, step_id="s", ok=False, output="HTTP 500"))
    assert [(one.status, one.output) for one in task.steps] == [("failed", "HTTP 500")]


def test_every_event_is_read_back_from_json_as_it_was(task):
    for event in (started("s", parent_id="p"), reviewed("plan", approved=True)):
        assert EVENT.validate_json(event.model_dump_json()) == event
