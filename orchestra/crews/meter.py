"""Counts what a task took, while it happens."""

from __future__ import annotations

from orchestra import metrics
from orchestra.types.task import Task
from orchestra.types.task_events import LAST, StepFinished, TaskEvent, after


class Meter:
    """Of one task; what an earlier worker did counts too."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def note(self, event: TaskEvent) -> None:
        """Let an event happen, and count what it tells."""
        self._task = task = after(self._task, event)
        if isinstance(event, StepFinished):
            for step in task.steps:
                if step.id == event.step_id and step.finished_at is not None:
                    took = (step.finished_at - step.started_at).total_seconds()
                    ok = str(event.ok).lower()
                    metrics.task_step_seconds.labels(step.kind, ok).observe(took)
        elif isinstance(event, LAST):
            took = (event.at - (task.started_at or task.created_at)).total_seconds()
            metrics.task_seconds.labels(task.status).observe(took)
            metrics.task_model_calls.observe(task.model_calls)
            metrics.task_tokens.labels("prompt").observe(task.usage.prompt_tokens)
            metrics.task_tokens.labels("completion").observe(task.usage.completion_tokens)
