"""Conversations across restarts: Chainlit's data layer on our own tables.

Steps and elements are kept as Chainlit's own JSON, so a new field of theirs needs no migration of
ours. Chainlit reports each change as it happens, several times per step; changes are gathered and
written together, off the way to the first token. `flush` writes at once: every answer ends with it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from typing import Any

import sqlalchemy as sa
from chainlit.context import context
from chainlit.data.base import BaseDataLayer
from chainlit.data.utils import queue_until_user_message
from chainlit.element import CustomElement, Element, ElementDict
from chainlit.step import StepDict
from chainlit.types import (
    Feedback,
    PageInfo,
    PaginatedResponse,
    Pagination,
    ThreadDict,
    ThreadFilter,
)
from chainlit.user import PersistedUser, User

from orchestra import assembly
from orchestra.database import Database, elements, feedbacks, now, people, steps, threads
from orchestra.errors import StorageError
from orchestra.types.conversation import shorten

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.25


class History(BaseDataLayer):
    """Threads, steps, elements and thumbs, each belonging to one person."""

    def __init__(self) -> None:
        self._changed: dict[str, StepDict] = {}
        self._touched: dict[str, str] = {}
        self._writer: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()

    # People

    async def get_user(self, identifier: str) -> PersistedUser | None:
        """The person of that name, if ever seen."""
        async with (await _database()).read() as connection:
            query = sa.select(people).where(people.c.name == identifier)
            row = (await connection.execute(query)).one_or_none()
        return _person(row) if row else None

    async def create_user(self, user: User) -> PersistedUser | None:
        """The person, made or brought up to date."""
        details = json.dumps(user.metadata)
        async with (await _database()).write() as connection:
            change = people.update().where(people.c.name == user.identifier).values(details=details)
            if not (await connection.execute(change)).rowcount:
                row = {
                    "id": str(uuid.uuid4()),
                    "name": user.identifier,
                    "details": details,
                    "created_at": _stamp(),
                }
                await connection.execute(people.insert().values(**row))
        return await self.get_user(user.identifier)

    # Threads

    async def get_thread_author(self, thread_id: str) -> str:
        """Name of whom a thread belongs to; empty for nobody."""
        query = sa.select(people.c.name).join(threads, threads.c.person_id == people.c.id)
        async with (await _database()).read() as connection:
            name = (await connection.execute(query.where(threads.c.id == thread_id))).scalar()
        return str(name or "")

    async def update_thread(
        self,
        thread_id: str,
        name: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        tags: list[str] | None = None,
    ) -> None:
        """Make a thread, or change what is given of it."""
        async with (await _database()).write() as connection:
            query = sa.select(threads.c.details).where(threads.c.id == thread_id)
            known = (await connection.execute(query)).scalar_one_or_none()
            details = {**json.loads(known or "{}"), **(metadata or {})}
            if tags is not None:
                details["tags"] = tags
            kept = {key: value for key, value in details.items() if value is not None}
            values: dict[str, Any] = {"details": json.dumps(kept), "changed_at": _stamp()}
            values |= {"name": shorten(_storable(name), 80)} if name is not None else {}
            if known is None and user_id is None:
                return  # a thread that was deleted while it was open stays deleted
            if known is None:
                values["person_id"] = user_id
                row = {"id": thread_id, "created_at": _stamp(), **values}
                await connection.execute(threads.insert().values(**row))
            else:
                change = threads.update().where(threads.c.id == thread_id)
                await connection.execute(change.values(**values))

    async def delete_thread(self, thread_id: str) -> None:
        """Delete a thread and all that it shows."""
        await self.flush()
        async with (await _database()).write() as connection:
            for table in (feedbacks, elements, steps):
                await connection.execute(table.delete().where(table.c.thread_id == thread_id))
            await connection.execute(threads.delete().where(threads.c.id == thread_id))
        await (await _database()).vacuum()

    async def list_threads(
        self, pagination: Pagination, filters: ThreadFilter
    ) -> PaginatedResponse[ThreadDict]:
        """A page of a person's threads, last changed first, without what they show."""
        query = (
            sa.select(threads, people.c.name.label("person"))
            .join(people, threads.c.person_id == people.c.id)
            .where(threads.c.person_id == filters.userId)
            .order_by(threads.c.changed_at.desc(), threads.c.id)
            .limit(pagination.first + 1)
        )
        if filters.search:
            wanted = f"%{filters.search.lower()}%"
            said = sa.select(steps.c.thread_id).where(sa.func.lower(steps.c.text).like(wanted))
            query = query.where(sa.func.lower(threads.c.name).like(wanted) | threads.c.id.in_(said))
        if filters.feedback is not None:
            rated = sa.select(feedbacks.c.thread_id).where(feedbacks.c.value == filters.feedback)
            query = query.where(threads.c.id.in_(rated))
        if pagination.cursor:
            last = sa.select(threads.c.changed_at).where(threads.c.id == pagination.cursor)
            query = query.where(threads.c.changed_at < last.scalar_subquery())
        async with (await _database()).read() as connection:
            rows = (await connection.execute(query)).all()
        page = [_thread(row) for row in rows[: pagination.first]]
        return PaginatedResponse(
            data=page,
            pageInfo=PageInfo(
                hasNextPage=len(rows) > pagination.first,
                startCursor=page[0]["id"] if page else None,
                endCursor=page[-1]["id"] if page else None,
            ),
        )

    async def get_thread(self, thread_id: str) -> ThreadDict | None:
        """A thread with all that it shows."""
        await self.flush()
        query = sa.select(threads, people.c.name.label("person")).where(threads.c.id == thread_id)
        query = query.join(people, threads.c.person_id == people.c.id)
        async with (await _database()).read() as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                return None
            thread = _thread(row)
            shown = sa.select(steps.c.id, steps.c.details).where(steps.c.thread_id == thread_id)
            shown = shown.order_by(steps.c.created_at, steps.c.id)
            kept = {one.id: json.loads(one.details) for one in await connection.execute(shown)}
            rated = sa.select(feedbacks).where(feedbacks.c.thread_id == thread_id)
            for one in await connection.execute(rated):
                if one.step_id in kept:
                    kept[one.step_id]["feedback"] = _thumb(one)
            attached = sa.select(elements.c.details).where(elements.c.thread_id == thread_id)
            thread["steps"] = list(kept.values())
            thread["elements"] = [
                json.loads(one) for one in (await connection.execute(attached)).scalars()
            ]
        return thread

    # Steps

    @queue_until_user_message()
    async def create_step(self, step_dict: StepDict) -> None:
        """Keep a step; written soon."""
        self._gather(step_dict)

    @queue_until_user_message()
    async def update_step(self, step_dict: StepDict) -> None:
        """Keep a step's new state; written soon."""
        self._gather(step_dict)

    @queue_until_user_message()
    async def delete_step(self, step_id: str) -> None:
        """Delete a step and what hangs on it."""
        await self.flush()
        async with (await _database()).write() as connection:
            await connection.execute(feedbacks.delete().where(feedbacks.c.step_id == step_id))
            await connection.execute(steps.delete().where(steps.c.id == step_id))

    async def get_favorite_steps(self, user_id: str) -> list[StepDict]:
        """Nothing: favourites are off."""
        del user_id
        return []

    # Elements

    @queue_until_user_message()
    async def create_element(self, element: Element) -> None:
        """Keep a custom element; others would need a place for their files."""
        if isinstance(element, CustomElement) and element.thread_id == context.session.thread_id:
            await self.keep_element(element.to_dict())

    async def keep_element(self, element: ElementDict) -> None:
        """Keep an element, or its new state."""
        row = {
            "id": element["id"],
            "thread_id": element["threadId"],
            "details": json.dumps(element),
        }
        async with (await _database()).write() as connection:
            own = (elements.c.id == row["id"]) & (elements.c.thread_id == row["thread_id"])
            await connection.execute(elements.delete().where(own))
            await connection.execute(elements.insert().values(**row))

    async def get_element(self, thread_id: str, element_id: str) -> ElementDict | None:
        """One element of a thread."""
        query = sa.select(elements.c.details).where(
            elements.c.id == element_id, elements.c.thread_id == thread_id
        )
        async with (await _database()).read() as connection:
            found = (await connection.execute(query)).scalar_one_or_none()
        return json.loads(found) if found else None

    @queue_until_user_message()
    async def delete_element(self, element_id: str, thread_id: str | None = None) -> None:
        """Delete an element."""
        own = (elements.c.id == element_id) & (elements.c.thread_id == thread_id)
        async with (await _database()).write() as connection:
            await connection.execute(elements.delete().where(own))

    # Thumbs

    async def upsert_feedback(self, feedback: Feedback) -> str:
        """Keep a thumb; a second one on the same answer replaces the first."""
        feedback_id = feedback.id or str(uuid.uuid4())
        row = {
            "id": feedback_id,
            "step_id": feedback.forId,
            "thread_id": feedback.threadId,
            "value": feedback.value,
            "comment": feedback.comment,
            "created_at": now(),
        }
        await self.flush()
        async with (await _database()).write() as connection:
            query = sa.select(steps.c.thread_id).where(steps.c.id == feedback.forId)
            row["thread_id"] = (await connection.execute(query)).scalar_one_or_none()
            await connection.execute(feedbacks.delete().where(feedbacks.c.id == feedback_id))
            await connection.execute(
                feedbacks.delete().where(feedbacks.c.step_id == feedback.forId)
            )
            await connection.execute(feedbacks.insert().values(**row))
        return feedback_id

    async def delete_feedback(self, feedback_id: str) -> bool:
        """Take a thumb back."""
        async with (await _database()).write() as connection:
            await connection.execute(feedbacks.delete().where(feedbacks.c.id == feedback_id))
        return True

    # Writing

    def _gather(self, step: StepDict) -> None:
        self._changed[step["id"]] = step
        self._touched[step["threadId"]] = _stamp()
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_soon())

    async def _write_soon(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        try:
            await self.flush()
        except StorageError as exc:
            log.error("Conversations cannot be kept: %s", exc)  # noqa: TRY400  # foreseen: the message says it all

    async def flush(self) -> None:
        """Write all that was gathered; when this returns, it survives a crash.

        Raises:
            StorageError: it could not be written; it is kept for the next try.
        """
        async with self._writing:
            changed, self._changed = self._changed, {}
            touched, self._touched = self._touched, {}
            if not changed:
                return
            try:
                try:
                    await self._write(changed, touched)
                except StorageError:
                    await self._write_singly(changed, touched)
            except BaseException:
                # Also when the turn that flushes is stopped: these are other people's steps too.
                self._changed = changed | self._changed
                self._touched = touched | self._touched
                raise

    async def _write_singly(self, changed: dict[str, StepDict], touched: dict[str, str]) -> None:
        """Write step by step, so that one the database refuses does not hold up the others.

        Raises:
            StorageError: the database refuses them all.
        """
        refused: list[StorageError] = []
        for step_id, step in changed.items():
            try:
                thread_id = step["threadId"]
                await self._write({step_id: step}, {thread_id: touched[thread_id]})
            except StorageError as exc:
                refused.append(exc)
        if len(refused) == len(changed):
            raise refused[0]
        for reason in refused:
            log.error("A step of a conversation is left out: %s", reason)

    async def _write(self, changed: dict[str, StepDict], touched: dict[str, str]) -> None:
        rows = [
            {
                "id": step["id"],
                "thread_id": step["threadId"],
                "created_at": step.get("createdAt") or _stamp(),
                "text": _storable(step.get("output") or ""),
                "details": json.dumps({**step, "streaming": False}),
            }
            for step in changed.values()
        ]
        async with (await _database()).write() as connection:
            for row in rows:  # by thread, too: a browser names its own messages
                own = (steps.c.id == row["id"]) & (steps.c.thread_id == row["thread_id"])
                await connection.execute(steps.delete().where(own))
            await connection.execute(steps.insert(), rows)
            change = threads.update().where(threads.c.id == sa.bindparam("thread"))
            change = change.values(changed_at=sa.bindparam("stamp"))
            stamps = [{"thread": thread, "stamp": stamp} for thread, stamp in touched.items()]
            await connection.execute(change, stamps)

    async def build_debug_url(self) -> str:
        """Nothing: there is no such page."""
        return ""

    async def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        await self.flush()


async def _database() -> Database:
    return (await assembly.running()).database


def _storable(text: str) -> str:
    """Text without what no database takes: NUL, and halves of characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _stamp() -> str:
    return now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _person(row: sa.Row[Any]) -> PersistedUser:
    return PersistedUser(
        id=row.id, identifier=row.name, createdAt=row.created_at, metadata=json.loads(row.details)
    )


def _thread(row: sa.Row[Any]) -> ThreadDict:
    details = json.loads(row.details)
    return ThreadDict(
        id=row.id,
        createdAt=row.changed_at,
        name=row.name,
        userId=row.person_id,
        userIdentifier=row.person,
        tags=details.pop("tags", None),
        metadata=details,
        steps=[],
        elements=[],
    )


def _thumb(row: sa.Row[Any]) -> dict[str, Any]:
    return {"id": row.id, "forId": row.step_id, "value": row.value, "comment": row.comment}
