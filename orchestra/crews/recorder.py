"""Writes down what happens to one task while it happens: words soon, everything else at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from orchestra.crews.records import TaskRecords
from orchestra.errors import OrchestraError
from orchestra.types.task import StepDelta, TaskEvent

_PAUSE_SECONDS = 0.1


class Recorder:
    """Of one task, as long as one worker is at it."""

    def __init__(
        self, records: TaskRecords, task_id: str, worker: str, ring: Callable[[], None]
    ) -> None:
        """Prepare.

        Args:
            records: Where it is written.
            task_id: Of which task.
            worker: Who is at it.
            ring: Called whenever there is something new to be read.
        """
        self._records = records
        self._task_id = task_id
        self._worker = worker
        self._ring = ring
        self._known: set[str] = set()
        self._words: list[StepDelta] = []
        self._writing: asyncio.Task[None] | None = None
        self._error: OrchestraError | None = None
        self._one_at_a_time = asyncio.Lock()

    async def open(self) -> None:
        """Learn what is written already.

        Raises:
            StorageError: the database does not answer.
        """
        self._known = {event.id for _, event in await self._records.events(self._task_id)}

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
            self._add(event)
            if self._writing is None:
                self._writing = asyncio.create_task(self._write_soon())
            return
        await self._write(event)

    async def close(self) -> None:
        """Write what is left; nobody waits for it to succeed."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    def _add(self, delta: StepDelta) -> None:
        last = self._words[-1] if self._words else None
        if last is not None and last.step_id == delta.step_id and not delta.anew:
            text = last.text + delta.text
            self._words[-1] = last.model_copy(update={"text": text})
        else:
            self._words.append(delta)

    async def _write_soon(self) -> None:
        try:
            while self._words:
                await asyncio.sleep(_PAUSE_SECONDS)
                await self._write()
        except OrchestraError as exc:
            self._error = exc
        finally:
            self._writing = None

    async def _write(self, *further: TaskEvent) -> None:
        """Write the words that were gathered, and what follows them."""
        async with self._one_at_a_time:
            words, self._words = self._words, []
            if not words and not further:  # somebody else was faster
                return
            await self._records.append(self._task_id, self._worker, [*words, *further])
            self._known |= {event.id for event in further}
        self._ring()
