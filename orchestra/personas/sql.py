"""Personas in the database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from orchestra.database import Database, now, take_turns
from orchestra.errors import PersonaChangedError, PersonaStoreError, StorageError
from orchestra.personas.store import PersonaStore
from orchestra.tables import personas
from orchestra.types.persona import Persona, Personas, Traits, without_clashes

_LISTS = ("domains", "examples", "starters")


class SqlPersonas:
    """The rows of one table; an empty one is filled from another store when it is first read."""

    def __init__(self, database: Database, first: PersonaStore) -> None:
        """Prepare; nothing is read yet.

        Args:
            database: Opened; not closed with this.
            first: Whose personas an empty table gets.
        """
        self.source = f"{database.description.split()[0]} table personas"
        self._database = database
        self._first = first
        self._domains: dict[str, tuple[str, ...]] = {}
        """As the rows have them: a subject that somebody else has first is left out of what is
        served."""

    async def load(self) -> Personas:
        """Read all personas.

        Raises:
            PersonaStoreError: the database does not answer, or no row can be used.
        """
        rows = await self._rows()
        if not rows:
            shipped = (await self._first.load()).members
            await self._write(lambda connection: _fill(connection, shipped))
            rows = await self._rows()
        members, problems, unread = [], [], []
        for row in rows:
            try:
                members.append(_persona(row))
            except (ValidationError, ValueError) as exc:
                said = " ".join(str(exc).split())[:200]
                problems.append(f"{row['name']}: {said} (it is left out).")
                unread.append(str(row["id"]))
        if not members:
            message = f"{self.source} holds no persona that can be used: {'; '.join(problems[:3])}"
            raise PersonaStoreError(message)
        self._domains = {one.id: one.domains for one in members}
        served, taken = without_clashes(members)
        return Personas(
            members=tuple(served),
            source=self.source,
            problems=(*problems, *taken),
            unread=tuple(unread),
        )

    def kept(self) -> Personas | None:
        """None: the database is needed for everything else as well."""
        return None

    def distrust(self) -> None:
        """Rows are read whole each time."""

    async def close(self) -> None:
        """Nothing of its own is open."""

    async def put(self, persona: Persona, before: Persona | None) -> None:
        """Add a persona, or replace the one with its id.

        Raises:
            PersonaChangedError: the row is not what it was.
            PersonaStoreError: the database refuses.
        """
        domains = self._domains.get(persona.id, ())
        keeps = before is not None and persona.domains == before.domains
        written = persona.model_copy(update={"domains": domains}) if keeps else persona

        def replace(connection: sa.Connection) -> None:
            take_turns(connection, personas.name)
            own = personas.c.id == persona.id
            row = connection.execute(sa.select(personas).where(own)).mappings().first()
            whole = before and before.model_copy(update={"domains": domains})
            if whole != (_persona(dict(row)) if row else None):
                raise PersonaChangedError(persona.id, "its row is another now")
            connection.execute(personas.delete().where(own))
            connection.execute(personas.insert().values(**row_of(written)))

        await self._write(replace)

    async def remove(self, persona_id: str) -> None:
        """Remove a persona; its versions stay.

        Raises:
            PersonaStoreError: the database refuses.
        """
        change = personas.delete().where(personas.c.id == persona_id)
        await self._write(lambda connection: connection.execute(change))

    async def _rows(self) -> list[Mapping[str, Any]]:
        try:
            rows = await self._database.fetch(sa.select(personas))
        except StorageError as exc:
            raise PersonaStoreError(str(exc)) from exc
        mapped = (dict(row._mapping) for row in rows)  # noqa: SLF001  # SQLAlchemy's public name
        return sorted(mapped, key=lambda row: str(row["id"]))  # databases sort '-' differently

    async def _write(self, work: Any) -> None:  # noqa: ANN401  # as `Database.write`
        try:
            await self._database.write(work)
        except StorageError as exc:
            raise PersonaStoreError(str(exc)) from exc


def _fill(connection: sa.Connection, members: tuple[Persona, ...]) -> None:
    """Put the first personas in, unless another process was faster."""
    take_turns(connection, personas.name)
    if connection.execute(sa.select(sa.func.count()).select_from(personas)).scalar() == 0:
        connection.execute(personas.insert(), [row_of(one) for one in members])


def row_of(persona: Persona) -> dict[str, Any]:
    """A persona as a row of the table."""
    fields = persona.model_dump(mode="json", exclude={"revision", "traits"})
    lists = {name: json.dumps(fields[name], ensure_ascii=False) for name in _LISTS}
    return {**fields, **lists, **persona.traits.model_dump(), "changed_at": now()}


def _persona(row: Mapping[str, Any]) -> Persona:
    """The persona of a row.

    Raises:
        ValidationError: the row breaks a rule.
        ValueError: domains, examples or starters are no JSON.
    """
    fields = {name: value for name, value in row.items() if name != "changed_at"}
    traits = {name: fields.pop(name) for name in Traits.model_fields}
    lists = {name: json.loads(fields[name]) for name in _LISTS}
    return Persona.model_validate({**fields, **lists, "traits": traits})
