"""Works on tasks: takes them from the queue, writes down what happens, follows those who died.

A worker that dies is noticed by its silence, and another one goes on where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from orchestra.crews.bells import Bells
from orchestra.crews.limits import Limits
from orchestra.crews.presence import Presence
from orchestra.crews.recorder import Recorder
from orchestra.crews.records import TaskRecords
from orchestra.crews.work import Work, stopped
from orchestra.crews.workflow import Workflow
from orchestra.database import now
from orchestra.errors import (
    OrchestraError,
    StorageError,
    TaskLostError,
    TaskNotFoundError,
)
from orchestra.types.task import Task
from orchestra.types.task_events import (
    TaskFailed,
    TaskPaused,
)

if TYPE_CHECKING:
    from orchestra.crews.durable import DurableQueue

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.4
"""How soon a worker hears that somebody called a task off in another process."""
ALIVE_SECONDS = 3.0
_CLEAN_UP_SECONDS = 3600.0


class Worker:
    """Of one process; works on a few tasks at one time."""

    def __init__(  # what it works with, in order of use
        self,
        records: TaskRecords,
        workflow: Workflow,
        presence: Presence,
        database: tuple[str, str],
        limits: Limits,
        bells: Bells,
    ) -> None:
        """Prepare; `open` begins to work.

        Args:
            records: The tables of tasks.
            workflow: The journey.
            presence: This worker among the others.
            database: Of the queue: its address, and the same for people.
            limits: How much is worked on at one time, and for how long.
            bells: Rung whenever something was written.
        """
        self._records = records
        self._workflow = workflow
        self._presence = presence
        self._database = database
        self._limits = limits
        self._bells = bells
        self._opened: DurableQueue | None = None
        self._work: Work
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._begun: set[str] = set()
        """Of those under way, the ones that are noted as this worker's."""
        self._broken_off: set[str] = set()
        self._parked: set[str] = set()
        """Of those under way, the ones that have just begun to wait for a person."""
        self._unknown: set[str] = set()
        self._last_round = time.monotonic()
        self._keeping: list[asyncio.Task[None]] = []
        self._opening = asyncio.Lock()
        self._closing = asyncio.Event()

    async def open(self) -> None:
        """Begin to work on what is waiting, and on what dead workers left; once is enough.

        Raises:
            StorageError: the database of the queue cannot be used.
        """
        async with self._opening:
            if self._keeping:
                return
            from orchestra.crews.durable import DurableQueue  # noqa: PLC0415  # loads DBOS

            await self._presence.sign()
            name = self._presence.name
            queue = DurableQueue(*self._database, name, self._run, self._limits)
            await queue.open()
            self._opened = queue
            self._work = Work(self._workflow, self._limits, self._park, self._closing)
            self._last_round = time.monotonic()
            rounds = (
                (self.stop_what_is_not_ours, LOOK_SECONDS),
                (self._presence.sign, ALIVE_SECONDS),
                (self._go_on_for_the_dead, ALIVE_SECONDS),
                (self._clean_up, _CLEAN_UP_SECONDS),
            )
            self._keeping = [asyncio.create_task(_every(pause, do)) for do, pause in rounds]

    async def check(self) -> str:
        """Say how many tasks are worked on here.

        Raises:
            StorageError: nobody works on tasks here.
        """
        self._at_work()
        return f"{len(self._under_way)} at work here"

    def _at_work(self) -> DurableQueue:
        if self._opened is None:
            message = "Nobody works on tasks in this process."
            raise StorageError(message)
        return self._opened

    async def close(self) -> None:
        """Stop to work; what is unfinished goes on elsewhere, or here at the next start."""
        self._closing.set()
        await stopped(*self._keeping, *self._under_way.values())
        if self._opened is not None:
            await self._opened.close()
            await stopped(*self._under_way.values())  # begun while the queue was closing
            with contextlib.suppress(StorageError):  # then the others will notice the silence
                await self._presence.sign_off()
        await self._workflow.close()

    async def put(self, task: Task) -> None:
        """Let a new task be worked on, here or by another worker.

        Raises:
            StorageError: the queue cannot be used; a later round gives it the task.
        """
        await self._at_work().put(task.task_id, task.user)

    async def resume(self, task_id: str) -> None:
        """Let a task go on that waited for a person.

        Raises:
            StorageError: the queue cannot be used; a later round lets it go on.
        """
        await self._at_work().resume([task_id])

    async def _run(self, task_id: str) -> None:
        """What the queue runs: a task from where it was to its end.

        Raises:
            CancelledError: it was broken off, or waits for a person, and is to go on later.
        """
        if self._closing.is_set():
            raise asyncio.CancelledError
        work = self._under_way[task_id] = asyncio.create_task(self._take_up(task_id))
        try:
            await asyncio.wait({work})
        finally:
            await stopped(work)
            if self._under_way[task_id] is work:  # it was parked, answered, and is under way again
                del self._under_way[task_id]
                self._begun.discard(task_id)
        failure = None if work.cancelled() else work.exception()
        if isinstance(failure, TaskLostError | TaskNotFoundError):
            log.info("%s", failure)
            return
        if failure is not None:
            log.error("Task %s was broken off, and goes on soon: %s", task_id, failure)
            self._broken_off.add(task_id)
        if self._closing.is_set() or failure is not None or task_id in self._parked:
            self._parked.discard(task_id)
            raise asyncio.CancelledError

    async def _take_up(self, task_id: str) -> None:
        """Work on a task, and write down what comes of it.

        Raises:
            TaskLostError: it is over, or another worker is at it.
            TaskNotFoundError: there is no such task any more.
            StorageError: something could not be written.
            CancelledError: it is to stop.
        """
        name, ring = self._presence.name, partial(self._bells.ring, task_id)
        task = await self._records.begin(task_id, name)
        self._begun.add(task_id)
        ring()
        recorder = Recorder(self._records, task, name, ring)
        try:
            if task.starts > 1:
                await recorder.catch_up()
            failure = await self._work.failure_of(task, recorder)
            if failure is not None:
                await recorder.take(TaskFailed(at=now(), error=failure))
        except asyncio.CancelledError:
            if self._closing.is_set():
                with contextlib.suppress(OrchestraError):  # then it counts as a crash
                    await asyncio.shield(recorder.take(TaskPaused(at=now())))
            raise
        finally:
            await recorder.close()

    async def _park(self, task_id: str) -> None:
        """Let a task wait for a person: its place is free as soon as its work ends.

        Raises:
            StorageError: the queue cannot be used.
        """
        await self._at_work().park(task_id)
        self._parked.add(task_id)

    # Rounds

    async def stop_what_is_not_ours(self) -> None:
        """Stop what somebody called off, here or in another process, and what another works on."""
        if self._begun:
            name = self._presence.name
            for task_id in await self._records.to_stop(list(self._begun), name):
                if task_id in self._under_way:
                    self._under_way[task_id].cancel()

    async def _go_on_for_the_dead(self) -> None:
        """Take over from workers who are gone, and give the queue what it does not know."""
        late = time.monotonic() - self._last_round > 2 * ALIVE_SECONDS
        self._last_round = time.monotonic()
        if late:  # this process, or all of the machine, was asleep: first let everybody sign
            return
        begun = await self._at_work().begun()
        gone = await self._presence.claim(set(begun.values()))
        left = {task_id for task_id, name in begun.items() if name in gone} | self._broken_off
        if left:
            log.warning("Tasks that were broken off go on: %s", ", ".join(sorted(left)))
            await self._at_work().resume(sorted(left))
            self._broken_off -= left
        unfinished = await self._records.unfinished()
        unknown = set(unfinished) - (await self._at_work().known() if unfinished else set())
        lost = unknown & self._unknown  # twice: it is not just being submitted, or ending
        parked = lost & await self._at_work().parked() if lost else set()
        if parked:  # somebody answered while the queue could not be used
            await self._at_work().resume(sorted(parked))
        for task_id in lost - parked:
            await self._at_work().forget([task_id])
            await self._at_work().put(task_id, unfinished[task_id])
        self._unknown = unknown

    async def _clean_up(self) -> None:
        """Remove what is long over."""
        old = await self._records.long_over(timedelta(days=self._limits.keep_days))
        if old:
            await self._at_work().forget(old)
            await self._records.remove(old)


async def _every(seconds: float, do: Callable[[], Coroutine[None, None, None]]) -> None:
    """Do something again and again; a failure is told, and the next round tries anew."""
    while True:
        try:
            await do()
        except OrchestraError as exc:
            log.warning("Tasks: %s It is tried again.", exc)
        except Exception:
            log.exception("A round of tasks failed, and is tried again")
        await asyncio.sleep(seconds)
