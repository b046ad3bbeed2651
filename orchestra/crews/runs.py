"""Tasks from their submission to their end: taken, worked on, watched, called off, gone on with.

What happens to a task is written into the tables of `records` by whoever works on it, and read
from there by whoever watches, in this process or another: a reload, a second tab and a program
see the same. A worker that dies is noticed by its silence, and another one goes on where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING

from orchestra.crews.limits import Limits
from orchestra.crews.presence import is_gone, own_name
from orchestra.crews.recorder import Recorder
from orchestra.crews.records import TaskRecords
from orchestra.crews.workflow import Events, Workflow
from orchestra.database import now
from orchestra.errors import CrewError, OrchestraError, StorageError
from orchestra.types.task import (
    EVENT,
    LAST,
    OUTCOMES,
    Assignment,
    Task,
    TaskCancelled,
    TaskEvent,
    TaskFailed,
    TaskStarted,
    TaskStatus,
)

if TYPE_CHECKING:
    from orchestra.crews.durable import DurableQueue

log = logging.getLogger(__name__)

MOST_STARTS = 5
"""Workers that may die of one task."""
LOOK_SECONDS = 0.4
"""How soon another process is heard that called a task off, or that works on one."""
ALIVE_SECONDS = 3.0
SILENCE = timedelta(seconds=12)
"""After this a worker counts as dead."""
_CLEAN_UP_SECONDS = 3600.0


class CrewRuns:
    """Takes tasks, works on them, shows them, calls them off."""

    def __init__(
        self,
        records: TaskRecords,
        workflow: Workflow,
        address: str,
        limits: Limits,
    ) -> None:
        """Prepare; `open` begins to work.

        Args:
            records: The tables of tasks.
            workflow: The journey.
            address: Of the database that keeps the outcomes of steps.
            limits: How much is worked on at one time, and for how long.
        """
        self._records = records
        self._workflow = workflow
        self._address = address
        self._limits = limits
        self._worker_id = own_name()
        self._opened: DurableQueue | None = None
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._broken_off: set[str] = set()
        self._bells: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._keeping: list[asyncio.Task[None]] = []
        self._opening = asyncio.Lock()
        self._closing = False

    async def open(self) -> None:
        """Begin to work on what is waiting, and on what dead workers left; once is enough.

        Raises:
            StorageError: the database of outcomes cannot be used.
        """
        async with self._opening:
            if self._keeping:
                return
            from orchestra.crews.durable import DurableQueue  # noqa: PLC0415  # loads DBOS

            queue = DurableQueue(self._address, self._worker_id, self._run, self._limits)
            await queue.open()
            self._opened = queue
            rounds = (
                (self._stop_what_is_over, LOOK_SECONDS),
                (self._go_on_for_the_dead, ALIVE_SECONDS),
                (self._clean_up, _CLEAN_UP_SECONDS),
            )
            self._keeping = [asyncio.create_task(_every(pause, do)) for do, pause in rounds]

    @property
    def _queue(self) -> DurableQueue:
        if self._opened is None:
            message = "Nobody works on tasks here."
            raise StorageError(message)
        return self._opened

    async def close(self) -> None:
        """Stop to work; what is unfinished goes on elsewhere, or here at the next start."""
        self._closing = True
        tasks = (*self._keeping, *self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._opened is not None:
            await self._opened.close()
        await self._workflow.close()
        with contextlib.suppress(StorageError):  # then the others will notice the silence
            await self._records.sign_off(self._worker_id)

    async def submit(
        self, assignments: Sequence[Assignment], request_key: str | None = None
    ) -> list[Task]:
        """Take tasks, all or none; they are worked on as soon as there is room.

        Args:
            assignments: What is asked for, by one person.
            request_key: Names the request: the same one again returns the same tasks.

        Raises:
            StorageError: they could not be kept.
        """
        await self.open()
        tasks = await self._records.add([_new(one) for one in assignments], request_key)
        for task in tasks:
            if task.status == "pending":
                await self._queue.put(task.task_id, task.user)
        return tasks

    async def get(self, task_id: str, user_id: str | None = None) -> Task:
        """A task as it stands.

        Raises:
            TaskNotFoundError: this person has none with this id.
            StorageError: the database does not answer.
        """
        return await self._records.get(task_id, user_id)

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

    async def cancel(self, task_id: str, user_id: str | None = None) -> Task:
        """Call a task off; its request to the model is aborted within a second.

        Returns:
            The task; one that was over stays as it was.

        Raises:
            TaskNotFoundError: this person has none with this id.
            StorageError: it could not be kept.
        """
        await self._records.end(task_id, user_id, lambda _: TaskCancelled(at=now()))
        self._ring(task_id)
        await self._stop_what_is_over()
        return await self._records.get(task_id, user_id)

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
        bell = asyncio.Event()
        self._bells[task_id].add(bell)
        try:
            was_over = bool(await self._records.over([task_id]))
            while True:
                bell.clear()
                for number, event in await self._records.events(task_id, behind):
                    yield number, event
                    behind = number
                    was_over = was_over or isinstance(event, LAST)
                if was_over:
                    return
                with contextlib.suppress(TimeoutError):  # another process may be at work
                    await asyncio.wait_for(bell.wait(), LOOK_SECONDS)
        finally:
            self._bells[task_id].discard(bell)
            if not self._bells[task_id]:
                del self._bells[task_id]

    # At work

    async def _run(self, task_id: str) -> None:
        """What the queue runs: a task from where it was to its end.

        Raises:
            CancelledError: it was broken off, and is to go on later or elsewhere.
        """
        work = self._under_way[task_id] = asyncio.create_task(self._work(task_id))
        try:
            await asyncio.wait({work})
        finally:
            work.cancel()
            del self._under_way[task_id]
        failure = None if work.cancelled() else work.exception()
        if failure is not None:
            log.error("Task %s was broken off, and goes on soon: %s", task_id, failure)
            self._broken_off.add(task_id)
        if self._closing or failure is not None:
            raise asyncio.CancelledError

    async def _work(self, task_id: str) -> None:
        """Work on a task unless it is over, and write down what comes of it.

        Raises:
            StorageError: that could not be written.
        """
        task = await self._records.get(task_id)
        if task.is_over:
            return
        recorder = Recorder(self._records, task_id, lambda: self._ring(task_id))
        await recorder.open()
        try:
            started = {"starts": task.starts + 1, "worker": self._worker_id}
            await recorder.take(TaskStarted(at=now(), **started))
            failure = await self._failure_of(task, recorder)
            if failure is not None:
                await recorder.take(TaskFailed(at=now(), error=failure))
        finally:
            await recorder.close()

    async def _failure_of(self, task: Task, recorder: Recorder) -> str | None:
        """Work to the end; what made that impossible, in words for people, or None.

        Raises:
            StorageError: it could not be written.
        """
        if task.starts >= MOST_STARTS:
            return (
                f"{MOST_STARTS} workers stopped in the middle of this task; no further one tries."
            )
        limit = self._limits.task_seconds
        try:
            async with asyncio.timeout(limit):
                run = self._workflow.run(task.task_id, _assignment(task), self._once)
                async with aclosing(run) as events:
                    async for event in events:
                        await recorder.take(event)
        except TimeoutError:
            return f"It took longer than {limit:g} seconds."
        except StorageError:
            raise
        except OrchestraError as exc:
            return str(exc)
        except Exception:
            error_id = uuid.uuid4().hex[:8]
            log.exception("Error %s in task %s", error_id, task.task_id)
            return f"Something went wrong that was not foreseen. Error id: {error_id}, see the log."
        return None

    async def _once(self, name: str, work: Callable[[], Events]) -> Events:
        """Do a step unless its outcome is known: yields its events, or the outcome alone.

        Raises:
            CrewError: it took too long, or failed when it was done before.
            OrchestraError: it failed.
        """
        heard: asyncio.Queue[TaskEvent | None] = asyncio.Queue()
        limit = self._limits.step_seconds

        async def perform() -> str:
            outcome = ""
            try:
                async with asyncio.timeout(limit), aclosing(work()) as events:
                    async for event in events:
                        if isinstance(event, OUTCOMES):
                            outcome = EVENT.dump_json(event).decode()
                        else:
                            heard.put_nowait(event)
            except Exception:
                await heard.join()
                raise
            await heard.join()  # what led to the outcome is written before that is kept
            return outcome

        step = asyncio.create_task(self._queue.once(name, perform))
        step.add_done_callback(lambda _: heard.put_nowait(None))
        try:
            while (event := await heard.get()) is not None:
                yield event
                heard.task_done()
            outcome = EVENT.validate_json(step.result())
        except TimeoutError as exc:
            message = f"'{name}' took longer than {limit:g} seconds."
            raise CrewError(message) from exc
        finally:
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
        yield outcome

    def _ring(self, task_id: str) -> None:
        for bell in self._bells.get(task_id, ()):
            bell.set()

    # Rounds

    async def _stop_what_is_over(self) -> None:
        """Stop what somebody called off, here or in another process."""
        if self._under_way:
            for task_id in await self._records.over(list(self._under_way)):
                if task_id in self._under_way:
                    self._under_way[task_id].cancel()

    async def _go_on_for_the_dead(self) -> None:
        """Say that this worker lives; take over from those who do not."""
        noted = await self._records.sign_of_life(self._worker_id, SILENCE)
        alive = {one for one in noted if not is_gone(one)}
        left = {*await self._queue.left_by_others(alive), *self._broken_off}
        if left:
            log.warning("Tasks that were broken off go on: %s", ", ".join(sorted(left)))
            await self._queue.resume(sorted(left))
            self._broken_off -= left
        unfinished = await self._records.page(statuses=["pending", "running"])
        if unfinished:  # kept, but the queue never had them, or was another one
            known = await self._queue.known()
            for task in unfinished:
                if task.task_id not in known:
                    await self._queue.put(task.task_id, task.user)

    async def _clean_up(self) -> None:
        """Remove what is long over."""
        gone = await self._records.clean_up(timedelta(days=self._limits.keep_days))
        if gone:
            await self._queue.forget(gone)


async def _every(seconds: float, do: Callable[[], Coroutine[None, None, None]]) -> None:
    """Do something again and again; a failure is told, and the next round tries anew."""
    while True:
        try:
            await do()
        except OrchestraError as exc:
            log.warning("Tasks: %s It is tried again.", exc)
        await asyncio.sleep(seconds)


def _new(asked: Assignment) -> Task:
    return Task(
        task_id=str(uuid.uuid4()),
        description=asked.description,
        domain=asked.domain,
        complexity=asked.complexity,
        complexity_reason=asked.complexity_reason,
        orchestrator=asked.orchestrator,
        user=asked.user_id,
        conversation=asked.conversation_id,
        created_at=now(),
    )


def _assignment(task: Task) -> Assignment:
    return Assignment(
        description=task.description,
        domain=task.domain,
        complexity=task.complexity,
        complexity_reason=task.complexity_reason,
        orchestrator=task.orchestrator,
        user_id=task.user,
        conversation_id=task.conversation,
    )
