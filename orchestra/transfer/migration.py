"""Everything from one database into another: in one transaction, and verified before it counts."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from orchestra.database import Database
from orchestra.errors import StorageError
from orchestra.personas.sql import row_of
from orchestra.tables import personas, tables
from orchestra.types.persona import Persona

_BATCH = 500
_NOT_COMPARED = frozenset({"indexed", "changed_at"})
"""Columns that differ on purpose: memories are indexed anew where they arrive."""


@dataclass(frozen=True)
class Moved:
    """One table, as it was found in both places."""

    table: str
    rows: int
    checksum: str
    """The SHA-256 of each row added up, of the source and of the target: databases sort
    differently."""


async def migrate_all(
    source: Database | None,
    target: Database,
    members: Sequence[Persona] | None,
    *,
    dry_run: bool = False,
) -> list[Moved]:
    """Copy every table and the personas; all of it, or nothing.

    Args:
        source: Where memories, versions, thumbs and history are; None: there are none.
        target: Has to be empty.
        members: The personas, where they live elsewhere; None: in the source, row by row.
        dry_run: Whether to take all of it back in the end.

    Returns:
        What was copied, each table read back from the target and compared.

    Raises:
        StorageError: a database fails, the target is not empty, or what arrived differs.
    """

    def copy(there: sa.Connection) -> list[Moved]:
        _check_empty(there, target.description)
        moved = []
        if source is not None:
            with source.connect() as here:
                known = (one for one in tables.sorted_tables if one is not personas or not members)
                moved += [_copied(here, there, table) for table in known]
        if members is not None:
            moved.append(_with_personas(there, members))
        if dry_run:
            there.get_transaction().rollback()  # type: ignore[union-attr]  # `write` began one
        return moved

    return await target.write(copy)


async def has_personas(database: Database) -> bool:
    """Whether personas live in this database.

    Raises:
        StorageError: it does not answer.
    """
    ((count,),) = await database.fetch(sa.select(sa.func.count()).select_from(personas))
    return bool(count)


def _check_empty(there: sa.Connection, name: str) -> None:
    for table in tables.sorted_tables:
        count = there.execute(sa.select(sa.func.count()).select_from(table)).scalar()
        if count:
            message = (
                f"{name} is not empty: {table.name} has {count} rows. Nothing was written; take an "
                "empty database."
            )
            raise StorageError(message)


def _copied(here: sa.Connection, there: sa.Connection, table: sa.Table) -> Moved:
    """Copy a table and compare what arrived.

    Raises:
        StorageError: it differs.
    """
    batch: list[dict[str, Any]] = []
    for row in _rows(here, table):
        batch.append({**row, "indexed": False} if "indexed" in row else row)
        if len(batch) == _BATCH:
            there.execute(table.insert(), batch)
            batch = []
    if batch:
        there.execute(table.insert(), batch)
    _continue_numbers(there, table)
    return _compared(table, _rows(here, table), _rows(there, table))


def _with_personas(there: sa.Connection, members: Sequence[Persona]) -> Moved:
    rows = [row_of(one) for one in sorted(members, key=lambda one: one.id)]
    there.execute(personas.insert(), rows)
    return _compared(personas, iter(rows), _rows(there, personas))


def _compared(
    table: sa.Table, sent: Iterator[dict[str, Any]], arrived: Iterator[dict[str, Any]]
) -> Moved:
    rows, wanted = _checksum(sent)
    count, checksum = _checksum(arrived)
    if (rows, wanted) != (count, checksum):
        message = (
            f"{table.name}: {rows} rows with checksum {wanted[:12]} were sent, {count} with "
            f"{checksum[:12]} arrived. Nothing was kept."
        )
        raise StorageError(message)
    return Moved(table.name, count, checksum)


def _rows(connection: sa.Connection, table: sa.Table) -> Iterator[dict[str, Any]]:
    found = connection.execute(sa.select(table).execution_options(yield_per=_BATCH))
    for row in found.mappings():
        yield dict(row)


def _checksum(rows: Iterator[dict[str, Any]]) -> tuple[int, str]:
    total, count = 0, 0
    for row in rows:
        kept = {name: value for name, value in row.items() if name not in _NOT_COMPARED}
        said = json.dumps(kept, sort_keys=True, default=_said)
        total += int.from_bytes(hashlib.sha256(said.encode()).digest())
        count += 1
    return count, f"{total % 2**256:064x}"


def _said(value: object) -> str:
    """Bytes, or a time, as text; the same for SQLite, which knows no zones.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(value, bytes):
        return value.hex()
    if not isinstance(value, dt.datetime):
        raise TypeError(type(value).__name__)
    return (value if value.tzinfo else value.replace(tzinfo=dt.UTC)).astimezone(dt.UTC).isoformat()


def _continue_numbers(there: sa.Connection, table: sa.Table) -> None:
    """Let PostgreSQL number new rows behind those that came with a number."""
    if there.dialect.name != "postgresql" or "number" not in table.c:
        return
    last = there.execute(sa.select(sa.func.max(table.c.number))).scalar()
    if last is not None:
        sequence = sa.func.pg_get_serial_sequence(table.name, "number")
        there.execute(sa.select(sa.func.setval(sequence, last)))
