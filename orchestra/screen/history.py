"""Conversations across restarts: Chainlit's data layer on our own tables.

Steps and elements are kept as Chainlit's own JSON, so a new field of theirs needs no migration of
ours. Writing is left to `gathering`; every answer ends with a `flush`.
"""

from __future__ import annotations

import json
import logging
import uuid
from typing import Any, cast

import sqlalchemy as sa
from chainlit.context import context
from chainlit.data import get_data_layer
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
from orchestra.database import Database
from orchestra.errors import StorageError, TaskNotFoundError
from orchestra.screen.gathering import Gathering, ThreadChange, stamp
from orchestra.tables import attachments, elements, feedbacks, people, steps, threads

log = logging.getLogger(__name__)


class History(BaseDataLayer):
    """Threads, steps, elements and thumbs, each belonging to one person."""

    def __init__(self) -> None:
        self._gathering = Gathering(_database)
        self._deleted: set[str] = set()
        """Threads whose crews may still have something to show for a moment."""

    # People

    async def get_user(self, identifier: str) -> PersistedUser | None:
        """The person of that name, if ever seen."""
        query = sa.select(people).where(people.c.name == identifier)
        return next((_person(row) for row in await (await _database()).fetch(query)), None)

    async def create_user(self, user: User) -> PersistedUser | None:
        """The person, made or brought up to date."""
        details = json.dumps(user.metadata)
        row = {
            "id": str(uuid.uuid4()),
            "name": user.identifier,
            "details": details,
            "created_at": stamp(),
        }
        change = people.update().where(people.c.name == user.identifier).values(details=details)

        def keep(connection: sa.Connection) -> None:
            if not connection.execute(change).rowcount:
                connection.execute(people.insert().values(**row))

        await (await _database()).write(keep)
        return await self.get_user(user.identifier)

    # Threads

    async def get_thread_author(self, thread_id: str) -> str:
        """Name of whom a thread belongs to; empty for nobody."""
        await self.flush()
        query = sa.select(people.c.name).join(threads, threads.c.person_id == people.c.id)
        rows = await (await _database()).fetch(query.where(threads.c.id == thread_id))
        return str(rows[0].name) if rows else ""

    async def update_thread(
        self,
        thread_id: str,
        name: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        tags: list[str] | None = None,
    ) -> None:
        """Make a thread, or change what is given of it."""
        details = {**(metadata or {}), **({} if tags is None else {"tags": tags})}
        self._gathering.add_thread(thread_id, ThreadChange(name, user_id, details))
        if user_id is None:
            await self.flush()  # somebody waits for it; else it comes with a conversation's start

    async def delete_thread(self, thread_id: str) -> None:
        """Delete a thread and all that it shows, and call off what its crews still do."""
        await self.flush()
        await self._call_off(thread_id)
        self._deleted.add(thread_id)
        await self.flush()

        def delete(connection: sa.Connection) -> None:
            for table in (feedbacks, elements, steps):
                connection.execute(table.delete().where(table.c.thread_id == thread_id))
            files = attachments.c.conversation_id == thread_id
            connection.execute(attachments.delete().where(files))
            connection.execute(threads.delete().where(threads.c.id == thread_id))

        database = await _database()
        await database.write(delete)
        try:
            await database.vacuum()
        except StorageError as exc:  # the thread is gone; its traces go with the next one
            log.warning("A deleted conversation is not overwritten yet: %s", exc)

    async def _call_off(self, thread_id: str) -> None:
        thread = await self.get_thread(thread_id)
        if thread is None:
            return
        shown = [step.get("metadata") or {} for step in thread["steps"]]
        runs = (await assembly.running()).runs
        for task_id in {details["task"] for details in shown if "task" in details}:
            try:
                await runs.cancel(task_id, thread["userIdentifier"])
            except (TaskNotFoundError, StorageError) as exc:
                log.warning("Of a deleted conversation: %s", exc)

    async def list_threads(
        self, pagination: Pagination, filters: ThreadFilter
    ) -> PaginatedResponse[ThreadDict]:
        """A page of a person's threads, last changed first, without what they show."""
        await self.flush()
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
        rows = await (await _database()).fetch(query)
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
        shown = sa.select(steps.c.id, steps.c.details).where(steps.c.thread_id == thread_id)
        shown = shown.order_by(steps.c.created_at, steps.c.id)
        rated = sa.select(feedbacks).where(feedbacks.c.thread_id == thread_id)
        attached = sa.select(elements.c.details).where(elements.c.thread_id == thread_id)

        def gather(connection: sa.Connection) -> ThreadDict | None:
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            thread = _thread(row)
            kept = {one.id: json.loads(one.details) for one in connection.execute(shown)}
            for one in connection.execute(rated):
                if one.step_id in kept:
                    kept[one.step_id]["feedback"] = _thumb(one)
            thread["steps"] = list(kept.values())
            thread["elements"] = [json.loads(one) for one in connection.scalars(attached)]
            return thread

        return await (await _database()).read(gather)

    # Steps

    @queue_until_user_message()
    async def create_step(self, step_dict: StepDict) -> None:
        """Keep a step; written soon."""
        self._gathering.add_step(step_dict)

    @queue_until_user_message()
    async def update_step(self, step_dict: StepDict) -> None:
        """Keep a step's new state; written soon."""
        self._gathering.add_step(step_dict)

    def keep_step(self, step: StepDict) -> None:
        """Keep a step, or its new state, of a conversation that has begun; written soon."""
        if step["threadId"] not in self._deleted:
            self._gathering.add_step(step)

    @queue_until_user_message()
    async def delete_step(self, step_id: str) -> None:
        """Delete a step and what hangs on it."""
        await self.flush()

        step_of = sa.select(steps.c.thread_id).where(steps.c.id == step_id)
        query = sa.select(elements).where(elements.c.thread_id.in_(step_of))

        def delete(connection: sa.Connection) -> None:
            hanging = [
                one.id
                for one in connection.execute(query)
                if json.loads(one.details).get("forId") == step_id
            ]
            connection.execute(elements.delete().where(elements.c.id.in_(hanging)))
            connection.execute(feedbacks.delete().where(feedbacks.c.step_id == step_id))
            connection.execute(steps.delete().where(steps.c.id == step_id))

        await (await _database()).write(delete)

    async def get_favorite_steps(self, user_id: str) -> list[StepDict]:
        """Nothing: favourites are off."""
        del user_id
        return []

    # Elements

    @queue_until_user_message()
    async def create_element(self, element: Element) -> None:
        """Keep a custom element; others would need a place for their files."""
        if isinstance(element, CustomElement) and element.thread_id == context.session.thread_id:
            self.keep_element(element.to_dict())

    def keep_element(self, element: ElementDict) -> None:
        """Keep an element, or its new state; written soon."""
        if element["threadId"] not in self._deleted:
            self._gathering.add_element(element)

    async def get_element(self, thread_id: str, element_id: str) -> ElementDict | None:
        """One element of a thread."""
        await self.flush()
        query = sa.select(elements.c.details).where(
            elements.c.id == element_id, elements.c.thread_id == thread_id
        )
        rows = await (await _database()).fetch(query)
        return json.loads(rows[0].details) if rows else None

    @queue_until_user_message()
    async def delete_element(self, element_id: str, thread_id: str | None = None) -> None:
        """Delete an element."""
        await self.flush()
        own = (elements.c.id == element_id) & (elements.c.thread_id == thread_id)
        change = elements.delete().where(own)
        await (await _database()).write(lambda connection: connection.execute(change))

    async def drop_panels(self, thread_id: str) -> list[str]:
        """Delete what a thread shows at the side.

        Returns:
            The ids of these elements.
        """
        await self.flush()
        query = sa.select(elements).where(elements.c.thread_id == thread_id)

        def drop(connection: sa.Connection) -> list[str]:
            shown = connection.execute(query).all()
            panels = [one.id for one in shown if json.loads(one.details)["display"] == "side"]
            connection.execute(elements.delete().where(elements.c.id.in_(panels)))
            return panels

        return await (await _database()).write(drop)

    # Thumbs

    async def upsert_feedback(self, feedback: Feedback) -> str:
        """Never called: the API's own routes rate, and check whose the answer is.

        Raises:
            StorageError: always.
        """
        message = f"A thumb on {feedback.forId} came past the API; it is not kept."
        raise StorageError(message)

    async def delete_feedback(self, feedback_id: str) -> bool:
        """Never called, likewise."""
        del feedback_id
        return False

    async def flush(self) -> None:
        """Write all that was gathered; when this returns, it survives a crash.

        Raises:
            StorageError: it could not be written; it is kept for the next try.
        """
        await self._gathering.flush()

    async def build_debug_url(self) -> str:
        """Nothing: there is no such page."""
        return ""

    async def close(self) -> None:
        """Write what is left."""
        await self._gathering.close()


def current() -> History:
    """The one that Chainlit uses in this process."""
    return cast("History", get_data_layer())


async def name_page() -> None:
    """Let the page's address be the conversation's, so that a reload shows it.

    Where the list of conversations is closed, Chainlit leaves it at '/': see orchestra.js.
    """
    await context.emitter.send_window_message({"orchestraThread": context.session.thread_id})


async def _database() -> Database:
    return (await assembly.running()).database


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
