"""Thumbs on answers: kept with what they say, and for whose answer."""

from __future__ import annotations

import json
import uuid
from typing import Any

import sqlalchemy as sa

from orchestra import assembly
from orchestra.database import now
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
        row = {
            "id": str(uuid.uuid4()),
            "step_id": step_id,
            "thread_id": answer.thread_id,
            "persona_id": _persona_of(connection, answer, step_id),
            "value": value,
            "comment": comment,
            "created_at": now(),
        }
        connection.execute(feedbacks.delete().where(feedbacks.c.step_id == step_id))
        connection.execute(feedbacks.insert().values(**row))
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
    change = feedbacks.delete().where(feedbacks.c.id == thumb_id, feedbacks.c.thread_id.in_(own))
    gone = await (await assembly.running()).database.write(
        lambda connection: connection.execute(change).rowcount
    )
    return gone > 0


def _persona_of(connection: sa.Connection, rated: sa.Row[Any, Any], step_id: str) -> str | None:
    """Whose answer a thumb is on: the page names the turn, and means the last answer in it."""
    said = (json.loads(rated.details).get("metadata") or {}).get("persona")
    if said is not None:
        return str(said)
    those = sa.select(steps.c.details).where(steps.c.thread_id == rated.thread_id)
    for details in connection.scalars(those.order_by(steps.c.created_at.desc())):
        step = json.loads(details)
        if step.get("parentId") == step_id and "persona" in (step.get("metadata") or {}):
            return str(step["metadata"]["persona"])
    return None
