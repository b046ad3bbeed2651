"""What people taught the router: 'ask Sophia instead', kept per person."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from orchestra.database import Database, lessons, now
from orchestra.llm.embedding import Embedder, Vectors

_KEPT_PER_USER = 200
_USERS_IN_MEMORY = 1000


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
        same = sa.and_(lessons.c.user_id == lesson.user_id, lessons.c.text == lesson.text)
        async with self._database.write() as connection:
            await connection.execute(lessons.delete().where(same))
            await connection.execute(
                lessons.insert().values(
                    user_id=lesson.user_id,
                    text=lesson.text,
                    persona_id=lesson.persona_id,
                    created_at=now(),
                )
            )
        self._loaded.pop(lesson.user_id, None)

    async def forget(self, user_id: str) -> None:
        """Drop all that a person taught.

        Raises:
            StorageError: the database refused.
        """
        async with self._database.write() as connection:
            await connection.execute(lessons.delete().where(lessons.c.user_id == user_id))
        self._loaded.pop(user_id, None)

    async def _of(self, user_id: str) -> tuple[list[Lesson], Vectors]:
        if user_id in self._loaded:
            self._loaded.move_to_end(user_id)
            return self._loaded[user_id]
        query = (
            sa.select(lessons.c.text, lessons.c.persona_id)
            .where(lessons.c.user_id == user_id)
            .order_by(lessons.c.created_at.desc())
            .limit(_KEPT_PER_USER)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        taught = [Lesson(user_id=user_id, text=row.text, persona_id=row.persona_id) for row in rows]
        empty = np.empty((0, 0), dtype=np.float32)
        vectors = await self._embedder.embed_all([one.text for one in taught]) if taught else empty
        self._loaded[user_id] = (taught, vectors)
        if len(self._loaded) > _USERS_IN_MEMORY:
            self._loaded.popitem(last=False)
        return self._loaded[user_id]
