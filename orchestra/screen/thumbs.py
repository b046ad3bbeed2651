"""Answers as people look back on them: what was said, and thumbs, which decide what is recalled."""

from __future__ import annotations

import json
import uuid
from typing import Any

import sqlalchemy as sa

from orchestra import assembly
from orchestra.database import now
from orchestra.memory.records import rejection
from orchestra.screen import history
from orchestra.tables import feedbacks, people, steps, threads


async def rate(person: str, step_id: str, value: int, comment: str | None) -> str | None:
    """Keep a thumb; a second one on the same answer replaces the first.

    Returns:
        The thumb's id; None if the answer is not this person's.

    Raises:
        StorageError: it could not be kept.
    """
    await history.current().flush()
    own = (
        sa.select(steps.c.thread_id, steps.c.details)
        .join(threads, threads.c.id == steps.c.thread_id)
        .join(people, people.c.id == threads.c.person_id)
        .where(steps.c.id == step_id, people.c.name == person)
    )

    def replace(connection: sa.Connection) -> str | None:
        answer = connection.execute(own).one_or_none()
        if answer is None:
            return None
        rated = _rated(connection, answer)
        said = rated.get("metadata") or {}
        row = {
            "id": str(uuid.uuid4()),
            "step_id": step_id,
            "thread_id": answer.thread_id,
            "persona_id": said.get("persona"),
            "domain": said.get("domain"),
            "revision": said.get("revision"),
            "memory_id": said.get("memory"),
            "answer_id": rated["id"],
            "value": value,
            "comment": comment,
            "created_at": now(),
        }
        connection.execute(feedbacks.delete().where(feedbacks.c.step_id == step_id))
        connection.execute(feedbacks.insert().values(**row))
        if row["memory_id"]:
            connection.execute(rejection(person, row["memory_id"], rejected=value == 0))
        return str(row["id"])

    return await (await assembly.running()).database.write(replace)


async def unrate(person: str, thumb_id: str) -> bool:
    """Take a thumb back; False if it is not this person's.

    Raises:
        StorageError: the database refused.
    """
    own = (
        sa.select(threads.c.id)
        .join(people, people.c.id == threads.c.person_id)
        .where(people.c.name == person)
    )
    this = (feedbacks.c.id == thumb_id) & feedbacks.c.thread_id.in_(own)

    def take_back(connection: sa.Connection) -> bool:
        thumb = connection.execute(sa.select(feedbacks.c.memory_id).where(this)).one_or_none()
        if thumb is None:
            return False
        connection.execute(feedbacks.delete().where(this))
        if thumb.memory_id:
            connection.execute(rejection(person, thumb.memory_id, rejected=False))
        return True

    return await (await assembly.running()).database.write(take_back)


async def exchange(person: str, answer_id: str) -> tuple[str, str, str] | None:
    """Who gave an answer, to what, and the answer; None if it is not this person's.

    Raises:
        StorageError: the database does not answer.
    """
    await history.current().flush()
    of_thread = (
        sa.select(steps.c.thread_id)
        .join(threads, threads.c.id == steps.c.thread_id)
        .join(people, people.c.id == threads.c.person_id)
        .where(steps.c.id == answer_id, people.c.name == person)
    )
    said = sa.select(steps).where(steps.c.thread_id.in_(of_thread)).order_by(steps.c.created_at)
    asked = ""
    for row in await (await assembly.running()).database.fetch(said):
        step = json.loads(row.details)
        if step["type"] == "user_message":
            asked = row.text
        if row.id == answer_id:
            known = step.get("metadata") or {}
            return str(known.get("persona", "")), known.get("asked", asked), row.text
    return None


def _rated(connection: sa.Connection, named: sa.Row[Any, Any]) -> dict[str, Any]:
    """The answer as it is kept: the page may name its turn, and means the last answer in it."""
    step: dict[str, Any] = json.loads(named.details)
    if "persona" in (step.get("metadata") or {}):
        return step
    those = sa.select(steps.c.details).where(steps.c.thread_id == named.thread_id)
    for details in connection.scalars(those.order_by(steps.c.created_at.desc())):
        later: dict[str, Any] = json.loads(details)
        if later.get("parentId") == step["id"] and "persona" in (later.get("metadata") or {}):
            return later
    return step
