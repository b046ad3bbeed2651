"""Tasks as the doors see them: taken, shown, watched, called off.

What happens to a task is written into the tables of `records` by whoever works on it, and read
from there by whoever watches, in this process or another: a reload, a second tab and a program
see the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar, cast

from orchestra.crews.bells import Bells
from orchestra.crews.files import Artifacts
from orchestra.crews.records import TaskRecords
from orchestra.crews.worker import Worker
from orchestra.database import now
from orchestra.errors import StorageError
from orchestra.types.task import Answer, File, Task, TaskStatus
from orchestra.types.task_events import LAST, TaskCancelled, TaskEvent

log = logging.getLogger(__name__)

Item = TypeVar("Item")
_END = object()
_LOOK_SECONDS = 0.4
"""How soon is seen what another process writes."""


class CrewRuns:
    """Takes tasks, shows them, calls them off."""

    def __init__(
        self, records: TaskRecords, artifacts: Artifacts, worker: Worker, bells: Bells
    ) -> None:
        """Prepare; `open` begins to work.

        Args:
            records: The tables of tasks.
            artifacts: The files that came of them.
            worker: Of this process.
            bells: Rung by it whenever something was written.
        """
        self._records = records
        self._artifacts = artifacts
        self._worker = worker
        self._bells = bells

    async def open(self) -> None:
        """Begin to work on what is waiting, and on what dead workers left; once is enough.

        Raises:
            StorageError: the database of the queue cannot be used.
        """
        await self._worker.open()

    async def check(self) -> str:
        """Say how many tasks are worked on here.

        Raises:
            StorageError: nobody works on tasks here.
        """
        return await self._worker.check()

    async def close(self) -> None:
        """Stop to work; what is unfinished goes on elsewhere, or here at the next start."""
        await self._worker.close()

    async def submit(self, coming: Sequence[Task], request_key: str | None = None) -> list[Task]:
        """Take tasks, all or none; they are worked on as soon as there is room.

        Args:
            coming: What `Intake` made of what one person asks for.
            request_key: Names the request: the same one again returns the same tasks.

        Raises:
            StorageError: they could not be kept.
        """
        await self.open()
        tasks = await self._records.add(coming, request_key)
        for task in tasks:
            if task.status == "pending":
                try:
                    await self._worker.put(task)
                except StorageError as exc:  # it is kept: a round gives it to the queue
                    log.warning("Task %s waits: %s", task.task_id, exc)
        return tasks

    async def get(self, task_id: str, user_id: str | None = None) -> Task:
        """A task as it stands.

        Raises:
            TaskNotFoundError: this person has none with this id.
            StorageError: the database does not answer.
        """
        return await self._records.get(task_id, user_id)

    async def counts(self) -> dict[str, int]:
        """How many tasks of everybody's are kept, by status.

        Raises:
            StorageError: the database does not answer.
        """
        return await self._records.counts()

    async def page(
        self,
        user_id: str | None = None,
        statuses: Sequence[TaskStatus] = (),
        limit: int = 50,
        before: str | None = None,
    ) -> Sequence[Task]:
        """Tasks, the newest first; as `TaskRecords.page`.

        Raises:
            TaskInvalidError: there is no task with the id that the page is to follow.
            StorageError: the database does not answer.
        """
        return await self._records.page(user_id, statuses, limit, before)

    async def file(self, task_id: str, name: str, user_id: str | None = None) -> File:
        """A file that came of a task.

        Raises:
            TaskNotFoundError: this person has no such task, or it no such file.
            StorageError: the database does not answer.
        """
        task = await self._records.get(task_id, user_id)
        return await self._artifacts.get(task.task_id, name)

    async def cancel(self, task_id: str, user_id: str | None = None) -> Task:
        """Call a task off; its request to the model is aborted within a second.

        Returns:
            The task; one that was over stays as it was.

        Raises:
            TaskNotFoundError: this person has none with this id.
            StorageError: it could not be kept.
        """
        await self._records.end(task_id, user_id, TaskCancelled(at=now()))
        self._bells.ring(task_id)
        await self._worker.stop_what_is_not_ours()
        return await self._records.get(task_id, user_id)

    async def answer(self, task_id: str, user_id: str | None, answer: Answer) -> Task:
        """Answer what a crew asked; a plan that is refused ends the task.

        Returns:
            The task as it stands then.

        Raises:
            TaskNotAskingError: the task has no such question now.
            TaskNotFoundError: this person has none with this id.
            StorageError: it could not be kept.
        """
        task = await self._records.answer(task_id, user_id, answer)
        self._bells.ring(task_id)
        if task.status == "pending":
            try:
                await self._worker.resume(task_id)
            except StorageError as exc:  # a round lets it go on
                log.warning("Task %s waits: %s", task_id, exc)
        return task

    async def events(self, task_id: str) -> Sequence[tuple[int, TaskEvent]]:
        """What happened to a task so far, in order, each with its number.

        Raises:
            StorageError: the database does not answer.
        """
        return await self._records.events(task_id)

    async def watch(
        self, task_id: str, behind: int = 0
    ) -> AsyncGenerator[tuple[int, TaskEvent], None]:
        """Yield what happened, and happens, to a task, until it is over; each with its number.

        Args:
            task_id: Which.
            behind: The number of the last event that is known already.

        Raises:
            StorageError: the database does not answer.
        """
        with self._bells.hung_up(task_id) as bell:
            is_over = False
            while True:
                bell.clear()
                events = await self._records.events(task_id, behind)
                for number, event in events:
                    yield number, event
                    behind = number
                    if isinstance(event, LAST):
                        return
                if is_over and not events:
                    return
                is_over = not events and await self._records.is_over(task_id)
                if not is_over:
                    with contextlib.suppress(TimeoutError):  # another process may be at work
                        await asyncio.wait_for(bell.wait(), _LOOK_SECONDS)


async def with_beats(
    events: AsyncGenerator[Item, None], seconds: float
) -> AsyncGenerator[Item | None, None]:
    """Yield the same, and None whenever nothing came for so long.

    Raises:
        OrchestraError: the events broke off.
    """
    async with aclosing(events):
        coming = asyncio.ensure_future(anext(events, _END))
        try:
            while True:
                done, _ = await asyncio.wait({coming}, timeout=seconds)
                if not done:
                    yield None
                    continue
                item = coming.result()
                if item is _END:
                    return
                yield cast("Item", item)
                coming = asyncio.ensure_future(anext(events, _END))
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
