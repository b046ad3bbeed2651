"""Every version of every persona, and what administrators did to them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from orchestra.database import Database, now, take_turns
from orchestra.errors import PersonaNotFoundError
from orchestra.personas.changes import differences
from orchestra.tables import audit, persona_versions
from orchestra.types.persona import Persona, Personas, Version

_OF_VERSIONS = persona_versions.c


@dataclass(frozen=True)
class Act:
    """What somebody did, or tried to do, to a persona."""

    author: str
    action: str
    persona_id: str
    before: str
    """Revision; '' where there was none."""
    outcome: str
    """'done', or why not."""
    at: dt.datetime | None = None


class PersonaHistory:
    """Keeps a version whenever a persona's content is seen to differ from the last one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, personas: Personas) -> None:
        """Keep a version of each persona that differs from its last one, came or went.

        Raises:
            StorageError: they could not be kept.
        """
        members = {one.id: one for one in personas.members}

        def append(connection: sa.Connection) -> None:
            take_turns(connection, persona_versions.name)
            known = _newest(connection)
            changed = [
                one
                for one in {*members, *known}.difference(personas.unread)
                if _revision(members.get(one)) != known.get(one, (0, ""))[1]
            ]
            for persona_id in sorted(changed):
                persona = members.get(persona_id)
                row = {
                    "persona_id": persona_id,
                    "version": known.get(persona_id, (0, ""))[0] + 1,
                    "revision": _revision(persona),
                    "content": None if persona is None else _content(persona),
                    "source": personas.source,
                    "author": "",
                    "note": "",
                    "seen_at": now(),
                }
                connection.execute(persona_versions.insert().values(**row))

        await self._database.write(append)

    async def credit(self, persona_id: str, revision: str, author: str, note: str) -> None:
        """Say whose the newest version of a persona is, and why, if it is of that revision.

        Raises:
            StorageError: it could not be kept.
        """
        of_it = _OF_VERSIONS.persona_id == persona_id
        newest = sa.select(sa.func.max(_OF_VERSIONS.version)).where(of_it).scalar_subquery()
        change = (
            persona_versions.update()
            .where(of_it, _OF_VERSIONS.version == newest, _OF_VERSIONS.revision == revision)
            .where(_OF_VERSIONS.author == "")
            .values(author=author, note=note)
        )
        await self._database.write(lambda connection: connection.execute(change))

    async def versions(self, persona_id: str) -> list[Version]:
        """Every version of a persona, the newest first, each with what it changed.

        Raises:
            PersonaNotFoundError: there never was one with this id.
            StorageError: the database does not answer.
        """
        query = sa.select(persona_versions).where(_OF_VERSIONS.persona_id == persona_id.lower())
        rows = await self._database.fetch(query.order_by(_OF_VERSIONS.version))
        if not rows:
            known = sa.select(_OF_VERSIONS.persona_id).distinct().order_by(_OF_VERSIONS.persona_id)
            ids = tuple(row.persona_id for row in await self._database.fetch(known))
            raise PersonaNotFoundError(persona_id, ids)
        found: list[Version] = []
        before: Persona | None = None
        for row in rows:
            persona = Persona.model_validate_json(row.content) if row.content else None
            found.append(
                Version(
                    version=row.version,
                    revision=row.revision,
                    seen_at=_in_utc(row.seen_at),
                    source=row.source,
                    author=row.author,
                    note=row.note,
                    changes=tuple(_changes(before, persona)),
                    persona=persona,
                )
            )
            before = persona
        return found[::-1]

    async def version(self, persona_id: str, number: int) -> Persona:
        """A persona as it once was.

        Raises:
            PersonaNotFoundError: it has no such version, or was removed in that one.
            StorageError: the database does not answer.
        """
        versions = await self.versions(persona_id)
        for one in versions:
            if one.version == number and one.persona is not None:
                return one.persona
        known = tuple(f"version {one.version}" for one in versions if one.persona is not None)
        wanted = f"{persona_id} version {number}"
        raise PersonaNotFoundError(wanted, known)

    async def note(self, act: Act) -> None:
        """Keep what somebody did.

        Raises:
            StorageError: it could not be kept.
        """
        row = {
            "at": now(),
            "author": act.author,
            "action": act.action,
            "persona_id": act.persona_id[:40],
            "before": act.before,
            "outcome": act.outcome,
        }
        await self._database.write(lambda connection: connection.execute(audit.insert(), row))

    async def acts(self, persona_id: str | None = None, limit: int = 100) -> list[Act]:
        """What was done, the newest first.

        Raises:
            StorageError: the database does not answer.
        """
        query = sa.select(audit).order_by(audit.c.number.desc()).limit(limit)
        if persona_id is not None:
            query = query.where(audit.c.persona_id == persona_id)
        return [
            Act(
                author=row.author,
                action=row.action,
                persona_id=row.persona_id,
                before=row.before,
                outcome=row.outcome,
                at=_in_utc(row.at),
            )
            for row in await self._database.fetch(query)
        ]


def _newest(connection: sa.Connection) -> Mapping[str, tuple[int, str]]:
    """Number and revision of every persona's last version."""
    last = (
        sa.select(_OF_VERSIONS.persona_id, sa.func.max(_OF_VERSIONS.version).label("version"))
        .group_by(_OF_VERSIONS.persona_id)
        .subquery()
    )
    query = sa.select(_OF_VERSIONS.persona_id, _OF_VERSIONS.version, _OF_VERSIONS.revision).join(
        last,
        (last.c.persona_id == _OF_VERSIONS.persona_id) & (last.c.version == _OF_VERSIONS.version),
    )
    return {row.persona_id: (row.version, row.revision) for row in connection.execute(query)}


def _content(persona: Persona) -> str:
    return json.dumps(persona.model_dump(mode="json", exclude={"revision"}), ensure_ascii=False)


def _revision(persona: Persona | None) -> str:
    return "" if persona is None else persona.revision


def _changes(before: Persona | None, after: Persona | None) -> list[str]:
    if after is None:
        return ["removed"]
    return ["first seen"] if before is None else differences(before, after)


def _in_utc(at: dt.datetime) -> dt.datetime:
    """SQLite gives back no time zone."""
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)
