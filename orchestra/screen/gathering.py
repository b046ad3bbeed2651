"""What a conversation shows, gathered and written together.

Chainlit reports each change as it happens, several times per step; written one by one, they would
stand between a message and the first word of its answer. Only the newest state of each thing is
kept, for a quarter of a second at most, or until somebody calls `flush`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from orchestra.database import Database, now
from orchestra.errors import StorageError
from orchestra.tables import elements, steps, threads
from orchestra.types.conversation import shorten

if TYPE_CHECKING:
    from chainlit.element import ElementDict
    from chainlit.step import StepDict

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.25


@dataclass
class ThreadChange:
    """What is new about a thread; None: nothing."""

    name: str | None = None
    person_id: str | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def after(self, earlier: ThreadChange) -> ThreadChange:
        """Both changes as one."""
        return ThreadChange(
            name=self.name if self.name is not None else earlier.name,
            person_id=self.person_id or earlier.person_id,
            details=earlier.details | self.details,
        )


@dataclass
class _Waiting:
    """Whole steps and elements by thread and id, and parts of threads by theirs."""

    steps: dict[tuple[str, str], StepDict] = field(default_factory=dict)
    elements: dict[tuple[str, str], ElementDict] = field(default_factory=dict)
    threads: dict[str, ThreadChange] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.steps or self.elements or self.threads)

    def after(self, earlier: _Waiting) -> _Waiting:
        """Both as one, the newer state of each thing."""
        both = earlier.threads | self.threads
        for thread_id in earlier.threads.keys() & self.threads.keys():
            both[thread_id] = self.threads[thread_id].after(earlier.threads[thread_id])
        return _Waiting(earlier.steps | self.steps, earlier.elements | self.elements, both)

    def singly(self) -> Iterator[_Waiting]:
        """Each change by itself, threads first."""
        for thread_id, change in self.threads.items():
            yield _Waiting(threads={thread_id: change})
        for key, step in self.steps.items():
            yield _Waiting(steps={key: step})
        for key, element in self.elements.items():
            yield _Waiting(elements={key: element})

    def write(self, connection: sa.Connection) -> None:
        """Write all of it."""
        for thread_id, change in self.threads.items():
            _write_thread(connection, thread_id, change)
        _replace(connection, steps, [_step_row(one) for one in self.steps.values()])
        _replace(connection, elements, [_element_row(one) for one in self.elements.values()])
        touched = {str(one["threadId"]) for one in self.steps.values()}
        if touched:
            own = threads.c.id.in_(touched)
            connection.execute(threads.update().where(own).values(changed_at=stamp()))


class Gathering:
    """Gathers changes and writes them soon."""

    def __init__(self, database: Callable[[], Awaitable[Database]]) -> None:
        self._database = database
        self._waiting = _Waiting()
        self._writer: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()

    def add_step(self, step: StepDict) -> None:
        """Keep a step, or its new state."""
        self._waiting.steps[str(step["threadId"]), str(step["id"])] = step
        self._write_later()

    def add_element(self, element: ElementDict) -> None:
        """Keep an element, or its new state."""
        self._waiting.elements[str(element["threadId"]), str(element["id"])] = element
        self._write_later()

    def add_thread(self, thread_id: str, change: ThreadChange) -> None:
        """Keep what is new about a thread."""
        earlier = self._waiting.threads.get(thread_id, ThreadChange())
        self._waiting.threads[thread_id] = change.after(earlier)
        self._write_later()

    async def flush(self) -> None:
        """Write all that was gathered; when this returns, it survives a crash.

        Raises:
            StorageError: it could not be written; it is kept for the next try.
        """
        async with self._writing:
            waiting, self._waiting = self._waiting, _Waiting()
            if not waiting:
                return
            database = await self._database()
            try:
                try:
                    await database.write(waiting.write)
                except StorageError:
                    await self._write_singly(database, waiting)
            except BaseException:
                # Also when the turn that flushes is stopped: these are other people's steps too.
                self._waiting = self._waiting.after(waiting)
                raise

    async def close(self) -> None:
        """Write what is left.

        Raises:
            StorageError: it could not be written.
        """
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        await self.flush()

    def _write_later(self) -> None:
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_soon())

    async def _write_soon(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        try:
            await self.flush()
        except StorageError as exc:
            log.error("Conversations cannot be kept: %s", exc)  # noqa: TRY400  # foreseen: the message says it all

    async def _write_singly(self, database: Database, waiting: _Waiting) -> None:
        """Write change by change, so that one the database refuses does not hold up the others.

        Raises:
            StorageError: the database refuses them all.
        """
        refused: list[StorageError] = []
        changes = list(waiting.singly())
        for change in changes:
            try:
                await database.write(change.write)
            except StorageError as exc:
                refused.append(exc)
        if len(refused) == len(changes):
            raise refused[0]
        for reason in refused:
            log.error("A part of a conversation is left out: %s", reason)


def storable(text: str) -> str:
    """Text without what no database takes: NUL, and halves of characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def stamp(moment: dt.datetime | None = None) -> str:
    """A moment, by default the present one, as Chainlit writes it."""
    return (moment or now()).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _write_thread(connection: sa.Connection, thread_id: str, change: ThreadChange) -> None:
    own = threads.c.id == thread_id
    known = connection.execute(sa.select(threads.c.details).where(own)).scalar()
    if known is None and change.person_id is None:
        return  # a thread that was deleted while it was open stays deleted
    details = json.loads(known or "{}") | change.details
    kept = {key: value for key, value in details.items() if value is not None}
    values: dict[str, Any] = {"details": json.dumps(kept), "changed_at": stamp()}
    if change.name is not None:
        values["name"] = shorten(storable(change.name), 80)
    if known is None:
        row = {"id": thread_id, "person_id": change.person_id, "created_at": stamp(), **values}
        connection.execute(threads.insert().values(**row))
    else:
        connection.execute(threads.update().where(own).values(**values))


def _replace(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Put rows in the place of those with the same id in the same thread.

    By thread, too: a browser names its own messages.
    """
    if not rows:
        return
    own = (table.c.id == sa.bindparam("own_id")) & (table.c.thread_id == sa.bindparam("own_thread"))
    named = [{"own_id": row["id"], "own_thread": row["thread_id"]} for row in rows]
    connection.execute(table.delete().where(own), named)
    connection.execute(table.insert(), rows)


def _step_row(step: StepDict) -> dict[str, Any]:
    return {
        "id": step["id"],
        "thread_id": step["threadId"],
        "created_at": step.get("createdAt") or stamp(),
        "text": storable(step.get("output") or ""),
        "details": json.dumps({**step, "streaming": False}),
    }


def _element_row(element: ElementDict) -> dict[str, Any]:
    details = cast("dict[str, Any]", element)
    return {
        "id": details["id"],
        "thread_id": details["threadId"],
        "details": json.dumps(details),
    }
