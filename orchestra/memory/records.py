"""Memories as rows, with full text: the source of truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC
from functools import lru_cache
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from orchestra.database import Database
from orchestra.memory.ranking import MOST_TERMS, Numbers
from orchestra.tables import feedbacks, forgotten, memories, merged_memories
from orchestra.types.conversation import Memory
from orchestra.types.memory import Outline, Owner, Record, Version

DECISION_CHARACTERS = 1200
"""What is kept of a reply; the embedding reads no more than about this much."""

_NAMED_AT_ONCE = 10_000
"""SQLite takes 32,766 values in one statement."""


class MemoryRecords:
    """The table of memories; every query names its person."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, records: Sequence[Record], *, indexed: bool = False) -> None:
        """Keep records, all or none; one that is there already stays as it is.

        Raises:
            StorageError: they could not be kept.
        """
        insert = self._insert(memories)
        rows = [_row(one, indexed=indexed) for one in records]
        await self._database.write(lambda connection: connection.execute(insert, rows))

    async def outline(self, owner: Owner, after: int = 0) -> tuple[Version, list[Outline]]:
        """The owner's memories of one moment, oldest first.

        Args:
            owner: Whose.
            after: Only those with a higher number.

        Returns:
            The version of all of them, and the outlines of those asked for.

        Raises:
            StorageError: the database does not answer.
        """
        query = (
            sa.select(*(memories.c[name] for name in Outline._fields))
            .where(_owned(owner), memories.c.number > after)
            .order_by(memories.c.number)
        )
        state = _look_statement(0, self._database.is_sqlite)
        values = {"user_id": owner.user_id, "persona_id": owner.persona_id}

        def read(connection: sa.Connection) -> tuple[Version, list[Outline]]:
            version = _version(connection.execute(state, values).one()[1])
            return version, [Outline(*row) for row in connection.execute(query)]

        return await self._database.read(read)

    async def look(self, owner: Owner, terms: Sequence[str] = ()) -> tuple[Version, list[Numbers]]:
        """Look at the owner's memories as they are now, in one statement.

        Returns:
            The version, which changes whenever a memory comes or goes, and per term the numbers
            of the memories that contain it, in any form of it.
        """
        values = {"user_id": owner.user_id, "persona_id": owner.persona_id}
        for index, term in enumerate(terms):
            match = f'scope:"{owner.scope}" AND {{task decision day}}:"{term}"'
            values[f"term{index}"] = match if self._database.is_sqlite else term
        statement = _look_statement(len(terms), self._database.is_sqlite)
        found = {row[0]: row[1] for row in await self._database.fetch(statement, values)}
        return _version(found[-1]), [_numbers(found.get(index)) for index in range(len(terms))]

    async def get(self, user_id: str, ids: Iterable[str]) -> dict[str, Memory]:
        """The person's memories with these ids, by id."""
        wanted = list(ids)
        if not wanted:  # a database looks through all that the person has to find none of them
            return {}
        query = sa.select(memories).where(memories.c.user_id == user_id, memories.c.id.in_(wanted))
        return {row.id: _memory(row) for row in await self._database.fetch(query)}

    async def newest(
        self,
        user_id: str | None = None,
        persona_id: str | None = None,
        conversation_id: str | None = None,
        limit: int = 100,
    ) -> list[Memory]:
        """The newest memories, newest first; `user_id` None is for administrators."""
        query = sa.select(memories).order_by(memories.c.number.desc()).limit(limit)
        for column, value in (
            (memories.c.user_id, user_id),
            (memories.c.persona_id, persona_id),
            (memories.c.conversation_id, conversation_id),
        ):
            if value is not None:
                query = query.where(column == value)
        return [_memory(row) for row in await self._database.fetch(query)]

    async def pin(self, user_id: str, memory_id: str, *, pinned: bool) -> bool:
        """Pin or unpin; False when the person has no such memory."""
        change = memories.update().values(pinned=pinned)
        change = change.where(memories.c.user_id == user_id, memories.c.id == memory_id)
        return await self._database.write(
            lambda connection: connection.execute(change).rowcount > 0
        )

    async def remove(
        self,
        user_id: str | None,
        persona_id: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> dict[str, list[str]]:
        """Delete rows and note their vectors for removal, in one transaction.

        Returns:
            The ids that are gone, by persona.
        """
        chosen: sa.ColumnElement[bool] = sa.true()
        if user_id is not None:
            chosen = chosen & (memories.c.user_id == user_id)
        if persona_id is not None:
            chosen = chosen & (memories.c.persona_id == persona_id)

        def delete(connection: sa.Connection) -> dict[str, list[str]]:
            gone: dict[str, list[str]] = {}
            for part in [None] if ids is None else _parts(ids):
                these = chosen if part is None else chosen & memories.c.id.in_(part)
                found = connection.execute(
                    sa.select(memories.c.id, memories.c.persona_id).where(these)
                )
                rows = [{"id": row.id, "persona_id": row.persona_id} for row in found]
                if rows:
                    connection.execute(memories.delete().where(these))
                    connection.execute(self._insert(forgotten), rows)
                for some in _parts([row["id"] for row in rows]):
                    places = merged_memories.c.kept_id.in_(some)
                    connection.execute(merged_memories.delete().where(places))
                for row in rows:
                    gone.setdefault(row["persona_id"], []).append(row["id"])
            return gone

        return await self._database.write(delete)

    async def merge(self, kept_id: str, older_id: str) -> None:
        """Let a memory take the place of an older one that says the same, for thumbs as well."""
        older_query = sa.select(memories).where(memories.c.id == older_id)

        def replace(connection: sa.Connection) -> None:
            older = connection.execute(older_query).one_or_none()
            if older is None:
                return
            values: dict[str, Any] = {"times": memories.c.times + older.times}
            values |= {name: True for name in ("pinned", "rejected") if getattr(older, name)}
            change = memories.update().where(memories.c.id == kept_id).values(**values)
            if not connection.execute(change).rowcount:
                return  # the newer one was forgotten meanwhile: the older one stays
            connection.execute(memories.delete().where(memories.c.id == older_id))
            gone = {"id": older_id, "persona_id": older.persona_id}
            connection.execute(self._insert(forgotten), gone)
            place = {"id": older_id, "kept_id": kept_id}
            connection.execute(self._insert(merged_memories), place)
            for table, column in (
                (merged_memories, merged_memories.c.kept_id),
                (feedbacks, feedbacks.c.memory_id),
            ):
                moved = table.update().where(column == older_id).values({column: kept_id})
                connection.execute(moved)

        await self._database.write(replace)

    async def least_useful(self, owner: Owner, keep: int) -> list[str]:
        """Ids beyond the `keep` most important and newest; never a pinned one."""
        query = (
            sa.select(memories.c.id)
            .where(_owned(owner), memories.c.pinned.is_(False))
            .order_by(memories.c.importance.desc(), memories.c.number.desc())
            .offset(keep)
        )
        return [row.id for row in await self._database.fetch(query)]

    async def unindexed(self, limit: int) -> Sequence[sa.Row[Any]]:
        """Rows that the vectors do not know yet, oldest first."""
        query = sa.select(memories).where(memories.c.indexed.is_(False)).order_by(memories.c.number)
        return await self._database.fetch(query.limit(limit))

    async def mark_indexed(self, ids: Sequence[str]) -> None:
        """Note that the vectors know these rows."""
        change = memories.update().values(indexed=True).where(memories.c.id.in_(ids))
        await self._database.write(lambda connection: connection.execute(change))

    async def mark_all_unindexed(self) -> int:
        """Note that the vectors know nothing; returns how many rows there are to index."""
        change = memories.update().values(indexed=False)
        return await self._database.write(lambda connection: connection.execute(change).rowcount)

    async def to_remove(self) -> dict[str, list[str]]:
        """Ids whose vectors still have to go, by persona."""
        waiting: dict[str, list[str]] = {}
        for row in await self._database.fetch(sa.select(forgotten)):
            waiting.setdefault(row.persona_id, []).append(row.id)
        return waiting

    async def removed(self, ids: Sequence[str]) -> None:
        """Note that these vectors are gone."""

        def delete(connection: sa.Connection) -> None:
            for part in _parts(ids):
                connection.execute(forgotten.delete().where(forgotten.c.id.in_(part)))

        await self._database.write(delete)

    async def erase(self) -> None:
        """Overwrite what deleted rows and words left behind in the file.

        Raises:
            StorageError: the file could not be rewritten.
        """
        if self._database.is_sqlite:
            tidy = sa.text("INSERT INTO memory_words(memory_words) VALUES ('optimize')")
            await self._database.write(lambda connection: connection.execute(tidy))
        await self._database.vacuum()

    def _insert(self, table: sa.Table) -> sa.Insert:
        """An insert that leaves a row alone whose id is there already."""
        dialect = sqlite_insert if self._database.is_sqlite else postgresql_insert
        return dialect(table).on_conflict_do_nothing(index_elements=["id"])


def rejection(user_id: str, memory_id: str, *, rejected: bool) -> sa.Update:
    """The statement that keeps a person's memory from being recalled, or lets it be again.

    Args:
        user_id: Whose.
        memory_id: Of the memory, or of one whose place it took.
        rejected: Whether it is to be kept back.
    """
    kept = sa.select(merged_memories.c.kept_id).where(merged_memories.c.id == memory_id)
    this = (memories.c.id == memory_id) | (memories.c.id == kept.scalar_subquery())
    own = (memories.c.user_id == user_id) & this
    return memories.update().where(own).values(rejected=rejected)


@lru_cache(maxsize=2 * (MOST_TERMS + 1))
def _look_statement(terms: int, sqlite: bool) -> sa.TextClause:  # noqa: FBT001  # private, two dialects
    """The statement of `look`, made once per number of terms."""
    owned = "user_id = :user_id AND persona_id = :persona_id"
    figures = (
        "count(*)",
        "coalesce(max(number), 0)",
        "count(CASE WHEN indexed THEN 1 END)",
        "count(CASE WHEN pinned THEN 1 END)",
    )
    if sqlite:
        count = " || ',' || ".join(figures)
        rows = "SELECT {0}, group_concat(rowid) FROM memory_words WHERE memory_words MATCH :term{0}"
    else:
        count = " || ',' || ".join(f"({figure})::text" for figure in figures)
        matches = f"{owned} AND words @@ plainto_tsquery('english', :term{{0}})"
        rows = "SELECT {0}, string_agg(number::text, ',') FROM memories WHERE " + matches  # noqa: S608  # likewise
    parts = [f"SELECT -1, {count} FROM memories WHERE {owned}"]  # noqa: S608  # no value is in it
    parts += [rows.format(index) for index in range(terms)]
    return sa.text(" UNION ALL ".join(parts))


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Ids in portions that a statement can name."""
    for start in range(0, len(ids), _NAMED_AT_ONCE):
        yield ids[start : start + _NAMED_AT_ONCE]


def _owned(owner: Owner) -> sa.ColumnElement[bool]:
    return sa.and_(memories.c.user_id == owner.user_id, memories.c.persona_id == owner.persona_id)


def _version(joined: str) -> Version:
    return Version(*map(int, joined.split(",")))


def _numbers(joined: str | None) -> Numbers:
    if not joined:
        return np.empty(0, dtype=np.int64)
    return np.sort(np.fromstring(joined, dtype=np.int64, sep=","))


def _row(record: Record, *, indexed: bool) -> dict[str, Any]:
    when = record.created_at.astimezone(UTC)
    return {
        "id": record.id,
        "user_id": record.owner.user_id,
        "persona_id": record.owner.persona_id,
        "conversation_id": record.conversation_id,
        "domain": record.domain,
        "task": record.task,
        "decision": record.decision[:DECISION_CHARACTERS],
        "day": f"{when.day} {when:%B %Y}",
        "scope": record.owner.scope,
        "importance": record.importance,
        "pinned": record.pinned,
        "times": record.times,
        "created_at": when,
        "indexed": indexed,
    }


def _memory(row: sa.Row[Any]) -> Memory:
    when = row.created_at if row.created_at.tzinfo else row.created_at.replace(tzinfo=UTC)
    return Memory(
        id=row.id,
        persona_id=row.persona_id,
        user_id=row.user_id,
        task=row.task,
        decision=row.decision,
        when=when,
        pinned=row.pinned,
        times=row.times,
        rejected=row.rejected,
    )
