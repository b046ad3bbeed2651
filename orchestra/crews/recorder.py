"""Writes down what happens to one task while it happens, and counts it.

What must be there before anything else goes on is written at once; the rest is written beside the
work, words gathered for a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from orchestra.crews.meter import Meter
from orchestra.crews.records import TaskRecords
from orchestra.precedence import PRECEDENCE
from orchestra.types.task import Task
from orchestra.types.task_events import (
    LAST,
    OUTCOMES,
    StepDelta,
    TaskAsked,
    TaskEvent,
    TaskPaused,
)

_PAUSE_SECONDS = 0.1
"""For which words are gathered."""
_SOON_SECONDS = 0.02
"""For which everything else is: what happens together is written together."""
_AT_ONCE = (TaskPaused, TaskAsked, *OUTCOMES, *LAST)
"""What people are asked, what a step came to: only then it counts as done."""


class Recorder:
    """Of one task, as long as one worker is at it."""

    def __init__(
        self, records: TaskRecords, task: Task, worker: str, ring: Callable[[], None]
    ) -> None:
        """Prepare.

        Args:
            records: Where it is written.
            task: Of which task, as it stands.
            worker: Who is at it.
            ring: Called whenever there is something new to be read.
        """
        self._records = records
        self._task_id = task.task_id
        self._meter = Meter(task)
        self._worker = worker
        self._ring = ring
        self._known: dict[str, TaskEvent] = {}
        self._waiting: list[TaskEvent] = []
        self._writers: set[asyncio.Task[None]] = set()
        self._error: Exception | None = None
        self._one_at_a_time = asyncio.Lock()

    async def catch_up(self) -> None:
        """Learn what earlier workers have written.

        Raises:
            StorageError: the database does not answer.
        """
        written = await self._records.events(self._task_id)
        self._known = {event.id: event for _, event in written}

    def written(self, event_id: str) -> TaskEvent | None:
        """The event of that id; None: there is none yet."""
        return self._known.get(event_id)

    async def take(self, event: TaskEvent) -> None:
        """Write an event; one that is written already is not written again.

        Raises:
            TaskLostError: this worker is not at it any more.
            StorageError: it, or an earlier one, could not be written.
        """
        if self._error is not None:
            raise self._error
        if event.id in self._known:
            return
        if isinstance(event, StepDelta):
            if not self._joins(event):
                self._waiting.append(event)
                self._write_within(_PAUSE_SECONDS)
            return
        self._known[event.id] = event
        self._waiting.append(event)
        if isinstance(event, _AT_ONCE):
            await self._write()
        else:
            self._write_within(_SOON_SECONDS)

    async def close(self) -> None:
        """Stop writing: what is left is of a task that is over, or another worker's by now."""
        for writer in self._writers:
            writer.cancel()
        await asyncio.gather(*self._writers, return_exceptions=True)

    def _joins(self, delta: StepDelta) -> bool:
        """Whether words went on where the last ones end that are not written yet."""
        last = self._waiting[-1] if self._waiting else None
        if not isinstance(last, StepDelta) or last.step_id != delta.step_id or delta.anew:
            return False
        self._waiting[-1] = last.model_copy(update={"text": last.text + delta.text})
        return True

    def _write_within(self, seconds: float) -> None:
        writer = asyncio.create_task(self._write_later(seconds))
        self._writers.add(writer)
        writer.add_done_callback(self._writers.discard)

    async def _write_later(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        with contextlib.suppress(Exception):  # whoever takes the next event is told
            await self._write()

    async def _write(self) -> None:
        """Write all that waits, in order.

        Raises:
            TaskLostError: this worker is not at it any more.
            StorageError: it could not be written.
            Exception: as it was the last time.
        """
        await PRECEDENCE.give_way()
        async with self._one_at_a_time:
            if self._error is not None:  # what is missing now must not be skipped over
                raise self._error
            events, self._waiting = self._waiting, []
            if not events:  # somebody else was faster
                return
            try:
                await self._records.append(self._task_id, self._worker, events)
            except Exception as exc:
                self._error = exc
                raise
            for event in events:
                self._meter.note(event)
        self._ring()
