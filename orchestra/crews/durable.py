"""A queue whose work survives the worker: DBOS lives here, and is loaded when this is.

DBOS knows which work waits, which is under way and where, and how much there may be at one time.
What it leaves to us: to notice that a worker is gone, and to let its work go on (`begun`,
`resume`). Its own steps are not used: what a step came to is an event of the task, which is
written anyway, and two records of it would cost two transactions more.

DBOS is one per process, and so is a queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dbos import (
    DBOS,
    DBOSPortableJSONSerializer,
    SetEnqueueOptions,
    run_dbos_database_migrations,
)
from dbos import SetWorkflowID as NamedRun

# DBOS's own round over a queue, for which it offers no public way in: see `_Bell`.
from dbos._queue import queue_worker_thread

from orchestra.crews.limits import Limits
from orchestra.errors import OrchestraError, StorageError

VERSION = "1"
"""Of the journey: what a worker of another version began waits for one of that version."""
_QUEUE = "crews"
_POLL_SECONDS = 0.2
"""How soon is seen what another process has put, and that there is room again."""
_JOIN_SECONDS = 10.0
_LISTENING_SECONDS = 0.05
"""How often DBOS looks for its own messages, of which we send none: closing waits for one look."""


Workflow = Callable[[str], Coroutine[Any, Any, None]]


class DurableQueue:
    """Runs named works, each once, on whichever worker has room."""

    def __init__(
        self,
        address: str,
        place: str,
        worker_id: str,
        run: Callable[[str], Awaitable[None]],
        limits: Limits,
    ) -> None:
        """Prepare; nothing is touched before `open`.

        Args:
            address: Of the database that keeps the queue, as SQLAlchemy writes it.
            place: The same for people, without a password.
            worker_id: Names this process, and no other, now or later.
            run: Does the work of this name; called again, on some worker, where it was broken off.
            limits: How much at one time.
        """
        self._address = address
        self._place = place
        self._worker_id = worker_id
        self._do = run
        self._limits = limits
        self._workflow: Workflow | None = None
        self._bell = _Bell()
        self._looking: threading.Thread | None = None

    async def open(self) -> None:
        """Begin to take work.

        Raises:
            StorageError: the database cannot be used.
        """
        with self._errors():
            await asyncio.to_thread(_prepare, self._address)
            try:
                await self._launch()
            except BaseException:
                await self.close()  # else DBOS would count as launched, and never be
                raise

    async def _launch(self) -> None:
        dbos = DBOS(
            config={
                "name": "orchestra",
                "system_database_url": self._address,
                "application_version": VERSION,
                "executor_id": self._worker_id,
                "serializer": DBOSPortableJSONSerializer(),
                "notification_listener_polling_interval_sec": _LISTENING_SECONDS,
                "log_level": "CRITICAL",
            }
        )
        self._workflow = self._registered()
        DBOS.listen_queues([])  # a thread of ours looks into it
        DBOS.launch()  # for a tenth of a second, on this loop: the one that work then runs on
        queue = await DBOS.register_queue_async(
            _QUEUE,
            worker_concurrency=min(self._limits.per_process, self._limits.in_all),
            partition_concurrency=min(self._limits.per_person, self._limits.in_all),
            global_concurrency=self._limits.in_all,
            polling_interval_sec=_POLL_SECONDS,
            on_conflict="always_update",
        )
        self._looking = threading.Thread(
            target=queue_worker_thread,
            args=(self._bell, dbos, queue),
            name="crews-queue",
            daemon=True,  # as DBOS's own: a process that dies without closing must not hang
        )
        self._looking.start()

    async def close(self) -> None:
        """Take no more; what is under way has been stopped by now, and waits for another worker."""
        self._bell.set()
        if self._looking is not None:
            await asyncio.to_thread(self._looking.join, _JOIN_SECONDS)
        await asyncio.to_thread(lambda: DBOS.destroy(destroy_registry=True))
        # DBOS made its own threads the loop's, and has stopped them; who closes next needs some.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())

    async def put(self, name: str, person: str) -> None:
        """Let a work be done; the same name twice is one work.

        Raises:
            StorageError: it could not be kept.
        """
        if self._workflow is None:
            message = "The queue is not open."
            raise StorageError(message)
        with (
            self._errors(),
            NamedRun(name),
            SetEnqueueOptions(queue_partition_key=person),
        ):
            await DBOS.enqueue_workflow_async(_QUEUE, self._workflow, name)
        self._bell.ring()

    async def begun(self) -> dict[str, str]:
        """Who is at each work that was begun, by its name.

        Raises:
            StorageError: the database does not answer.
        """
        with self._errors():
            begun = await DBOS.list_workflows_async(status="PENDING", load_input=False)
        return {one.workflow_id: str(one.executor_id) for one in begun}

    async def known(self) -> set[str]:
        """Names of the works that wait or are under way.

        Raises:
            StorageError: the database does not answer.
        """
        with self._errors():
            found = await DBOS.list_workflows_async(
                status=["ENQUEUED", "PENDING"], load_input=False
            )
        return {one.workflow_id for one in found}

    async def park(self, name: str) -> None:
        """Inside a run that ends right afterwards: free its place until it is resumed.

        Raises:
            StorageError: the database does not answer.
        """
        with self._errors():
            # In a context of its own: inside a run, DBOS would make a step of it, and keep that.
            apart = contextvars.Context()
            await asyncio.create_task(DBOS.cancel_workflow_async(name), context=apart)

    async def parked(self) -> set[str]:
        """Names of the works that were parked.

        Raises:
            StorageError: the database does not answer.
        """
        with self._errors():
            found = await DBOS.list_workflows_async(status="CANCELLED", load_input=False)
        return {one.workflow_id for one in found}

    async def resume(self, names: Sequence[str]) -> None:
        """Let somebody go on with these.

        Raises:
            StorageError: the database does not answer.
        """
        with self._errors():
            await DBOS.resume_workflows_async(list(names), queue_name=_QUEUE)
        self._bell.ring()

    async def forget(self, names: Sequence[str]) -> None:
        """Remove works that are over.

        Raises:
            StorageError: the database does not answer.
        """
        with self._errors():
            await DBOS.delete_workflows_async(list(names))

    def _registered(self) -> Workflow:
        """Our work as DBOS wants one: a function of its own, known before the launch."""

        @DBOS.workflow(name="crew")
        async def crew(name: str) -> None:
            await self._do(name)

        return crew

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Translate whatever DBOS and its database raise.

        Raises:
            StorageError: it does not work.
            OrchestraError: what was translated before.
        """
        try:
            yield
        except OrchestraError:
            raise
        except Exception as exc:
            said = " ".join(str(exc).split())[:200]
            message = f"The queue of tasks cannot be kept in {self._place}: {said}"
            raise StorageError(message) from exc


class _Bell(threading.Event):
    """What DBOS waits on between two looks into its queue; rung, it looks at once.

    Set, it stops, as DBOS means it. Without this a task would wait for half a pause on average,
    and to make the pause shorter costs an idle server much: 18 % of a core at 0.05 seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rung = threading.Event()

    def ring(self) -> None:
        """End the pause."""
        self._rung.set()

    def set(self) -> None:
        """Stop."""
        super().set()
        self.ring()

    def wait(self, timeout: float | None = None) -> bool:
        """Pause until the time is over or somebody rings; whether to stop."""
        self._rung.wait(timeout)
        self._rung.clear()
        return self.is_set()


def _prepare(address: str) -> None:
    """Make what DBOS would make on the event loop; let SQLite write ahead.

    DBOS does not ask for the latter, and a step costs six times as much without.
    """
    if address.startswith("sqlite:///"):
        path = Path(address.removeprefix("sqlite:///"))
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    run_dbos_database_migrations(address)
