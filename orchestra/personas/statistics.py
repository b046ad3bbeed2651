"""What a persona did, counted in the database."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from orchestra.database import Database
from orchestra.tables import feedbacks, memories, persona_versions
from orchestra.types.persona import Persona


@dataclass(frozen=True)
class Figures:
    """Of one persona, over all time."""

    decisions: int
    """Memories it has."""
    people: int
    """Whose memories those are."""
    last_decision_at: dt.datetime | None
    thumbs_up: int
    thumbs_down: int
    versions: int


class Statistics:
    """Counts when it is asked; nothing is kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, persona: Persona) -> Figures:
        """The figures of one persona.

        Raises:
            StorageError: the database does not answer.
        """
        count = sa.func.count()
        decided = sa.select(
            count,
            sa.func.count(memories.c.user_id.distinct()),
            sa.func.max(memories.c.created_at),
        ).where(memories.c.persona_id == persona.id)
        kept = sa.select(count).where(persona_versions.c.persona_id == persona.id)
        rated = (
            sa.select(feedbacks.c.value, count.label("number"))
            .where(feedbacks.c.persona_id == persona.id)
            .group_by(feedbacks.c.value)
        )
        ((decisions, people, last),) = await self._database.fetch(decided)
        ((versions,),) = await self._database.fetch(kept)
        thumbs = {one.value: one.number for one in await self._database.fetch(rated)}
        return Figures(
            decisions=decisions,
            people=people,
            last_decision_at=last.replace(tzinfo=last.tzinfo or dt.UTC) if last else None,
            thumbs_up=thumbs.get(1, 0),
            thumbs_down=thumbs.get(0, 0),
            versions=versions,
        )
