"""Does one task after the other step by step: each step once, in its time, and told as it goes."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

from orchestra.crews.limits import Limits
from orchestra.crews.recorder import Recorder
from orchestra.crews.toolbox import PATIENCE_SECONDS
from orchestra.crews.workflow import Events, Workflow
from orchestra.errors import CrewError, OrchestraError, StorageError, TaskLostError
from orchestra.types.task import Task
from orchestra.types.task_events import OUTCOMES, TaskAsked, TaskEvent

log = logging.getLogger(__name__)

MOST_CRASHES = 5
"""Workers that may die of one task."""


class Work:
    """What a worker does for a task, once it is this worker's."""

    def __init__(
        self,
        workflow: Workflow,
        limits: Limits,
        park: Callable[[str], Awaitable[None]],
        closing: asyncio.Event,
    ) -> None:
        """Prepare.

        Args:
            workflow: The journey.
            limits: How long a step and all of it may take.
            park: Called with a task that begins to wait for a person.
            closing: Set when this process stops.
        """
        self._workflow = workflow
        self._limits = limits
        self._park = park
        self._closing = closing

    async def failure_of(self, task: Task, recorder: Recorder) -> str | None:
        """Work to the end; what made that impossible, in words for people, or None.

        Raises:
            TaskLostError: another worker is at it.
            StorageError: it could not be written.
            CancelledError: this process stops, and what failed failed of that.
        """
        if task.crashes >= MOST_CRASHES:
            return f"{task.crashes} workers died in the middle of it; no further one tries."
        limit = self._limits.task_seconds
        clock = asyncio.timeout(limit)
        try:
            async with clock:
                await self._tell(task, recorder, clock)
        except (StorageError, TaskLostError):
            raise
        except OrchestraError as exc:
            return str(exc)
        except Exception as exc:
            if self._closing.is_set():
                raise asyncio.CancelledError from exc
            if isinstance(exc, TimeoutError) and clock.expired():
                return f"It took longer than {limit:g} seconds."
            error_id = uuid.uuid4().hex[:8]
            log.exception("Error %s in task %s", error_id, task.task_id)
            return f"Something went wrong that was not foreseen. Error id: {error_id}, see the log."
        return None

    async def _tell(self, task: Task, recorder: Recorder, clock: asyncio.Timeout) -> None:
        """Work, and write down what happens; a task that waits for a person frees its place."""
        async with aclosing(self._workflow.run(task, partial(self._once, recorder))) as events:
            async for event in events:
                if isinstance(event, TaskAsked) and event.stops_work:
                    await self._park(task.task_id)
                _wait_for_people(clock, event)
                await recorder.take(event)

    async def _once(self, recorder: Recorder, name: str, work: Callable[[], Events]) -> Events:
        """Do a step unless its outcome is known: yields its events, or the outcome alone.

        Raises:
            CrewError: it took too long.
            OrchestraError: it failed.
        """
        known = recorder.written(name)
        if known is not None:
            yield known
            return
        heard: asyncio.Queue[TaskEvent | None] = asyncio.Queue()
        step = asyncio.create_task(self._performed(name, work, heard.put_nowait))
        step.add_done_callback(lambda _: heard.put_nowait(None))
        try:
            while (event := await heard.get()) is not None:
                yield event
            step.result()
        finally:
            await stopped(step)

    async def _performed(
        self, name: str, work: Callable[[], Events], heard: Callable[[TaskEvent], None]
    ) -> None:
        """Do a step; its outcome bears its name, by which it is found again.

        Raises:
            CrewError: it took too long.
            OrchestraError: it failed.
            TimeoutError: something in it did, and did not say so.
        """
        limit = self._limits.step_seconds
        clock = asyncio.timeout(limit)
        try:
            async with clock, aclosing(work()) as events:
                async for event in events:
                    _wait_for_people(clock, event)
                    is_last = isinstance(event, OUTCOMES)
                    heard(event.model_copy(update={"id": name}) if is_last else event)
        except TimeoutError as exc:
            if not clock.expired():
                raise
            message = f"'{name}' took longer than {limit:g} seconds."
            raise CrewError(message) from exc


def _wait_for_people(clock: asyncio.Timeout, event: TaskEvent) -> None:
    """Let a clock run longer while a person thinks about a question."""
    if isinstance(event, TaskAsked) and (end := clock.when()) is not None:
        clock.reschedule(end + PATIENCE_SECONDS)


async def stopped(*tasks: asyncio.Task[Any]) -> None:
    """Stop tasks, and wait until they have."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
