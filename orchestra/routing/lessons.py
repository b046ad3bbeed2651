"""What people taught the router: 'ask Sophia instead', kept per person."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from orchestra.database import Database, now
from orchestra.llm.embedding import Embedder
from orchestra.llm.encoder import Vectors
from orchestra.tables import lessons

_KEPT_PER_USER = 200
_USERS_IN_MEMORY = 1000
_NONE: Vectors = np.empty((0, 0), dtype=np.float32)


@dataclass(frozen=True)
class Lesson:
    """Messages like this text go to this persona, for this person."""

    user_id: str
    text: str
    persona_id: str


class Lessons:
    """The lessons of all people: rows in the database, vectors in memory once asked for."""

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._database = database
        self._embedder = embedder
        self._loaded: OrderedDict[str, tuple[list[Lesson], Vectors]] = OrderedDict()
        self._changes = 0

    async def nearest(self, user_id: str, vector: Vectors, threshold: float) -> Lesson | None:
        """Return the person's lesson closest to a message, if its cosine reaches the threshold."""
        taught, vectors = await self._of(user_id)
        if not taught:
            return None
        similarity = vectors @ vector
        best = int(np.argmax(similarity))
        return taught[best] if similarity[best] >= threshold else None

    async def learn(self, lesson: Lesson) -> None:
        """Keep a lesson; a later one on the same text replaces it.

        Raises:
            StorageError: it could not be kept.
        """
        own = lessons.c.user_id == lesson.user_id
        newest = sa.select(lessons.c.number).where(own).order_by(lessons.c.number.desc())
        row = {
            "user_id": lesson.user_id,
            "text": lesson.text,
            "persona_id": lesson.persona_id,
            "created_at": now(),
        }

        def replace(connection: sa.Connection) -> None:
            connection.execute(lessons.delete().where(own, lessons.c.text == lesson.text))
            connection.execute(lessons.insert().values(**row))
            kept = newest.limit(_KEPT_PER_USER).scalar_subquery()
            connection.execute(lessons.delete().where(own, lessons.c.number.not_in(kept)))

        await self._database.write(replace)
        self._changed(lesson.user_id)

    async def forget(self, user_id: str) -> None:
        """Drop all that a person taught.

        Raises:
            StorageError: the database refused.
        """
        change = lessons.delete().where(lessons.c.user_id == user_id)
        await self._database.write(lambda connection: connection.execute(change))
        self._changed(user_id)

    def _changed(self, user_id: str) -> None:
        self._changes += 1
        self._loaded.pop(user_id, None)

    async def _of(self, user_id: str) -> tuple[list[Lesson], Vectors]:
        if user_id in self._loaded:
            self._loaded.move_to_end(user_id)
            return self._loaded[user_id]
        query = (
            sa.select(lessons.c.text, lessons.c.persona_id)
            .where(lessons.c.user_id == user_id)
            .order_by(lessons.c.number.desc())
            .limit(_KEPT_PER_USER)
        )
        changes = self._changes
        rows = await self._database.fetch(query)
        taught = [Lesson(user_id=user_id, text=row.text, persona_id=row.persona_id) for row in rows]
        vectors = await self._embedder.embed_all([one.text for one in taught]) if taught else _NONE
        if changes == self._changes:  # else what was read may be out of date by now
            self._loaded[user_id] = (taught, vectors)
            if len(self._loaded) > _USERS_IN_MEMORY:
                self._loaded.popitem(last=False)
        return taught, vectors
