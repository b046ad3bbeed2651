"""A SQLite file that may be damaged: look at it, and save what can be read of it."""

from __future__ import annotations

import datetime as dt
import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from orchestra.errors import StorageError
from orchestra.migrations import migrate
from orchestra.tables import tables

log = logging.getLogger(__name__)


def check_file(path: Path) -> None:
    """Look at the SQLite file before anything is written to it.

    Raises:
        StorageError: the folder cannot be written or the file is damaged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.parent / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as exc:
        message = (
            f"The data folder {path.parent} cannot be written ({exc.strerror or exc}). "
            "Free space or permissions there, or set ORCHESTRA_DATA_DIR."
        )
        raise StorageError(message) from exc
    damage = damage_of(path)
    if damage is not None:
        message = (
            f"The database {path} is damaged ({damage}). Run 'orchestra doctor --repair': it "
            "keeps the damaged file beside it and saves every row that can still be read."
        )
        raise StorageError(message)


def damage_of(path: Path) -> str | None:
    """What is wrong inside the file; None for a sound one, or where there is none yet.

    Raises:
        StorageError: it cannot be opened, which says nothing about what is in it.
    """
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as exc:
        message = f"The database {path} cannot be opened: {exc}. Check who owns and who uses it."
        raise StorageError(message) from exc
    except sqlite3.DatabaseError as exc:
        verdict = str(exc)
    return None if verdict == "ok" else " ".join(verdict.replace("*", "").split())


def salvage(path: Path) -> tuple[Path, dict[str, int]]:
    """Put a damaged SQLite file aside and save what can be read of it into a new one.

    Returns:
        Where the damaged file was kept, and the number of rows saved per table.

    Raises:
        StorageError: the folder cannot be written.
    """
    kept = path.with_name(f"{path.name}.damaged-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}")
    saved: dict[str, int] = {}
    try:
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                shutil.move(part, kept.with_name(kept.name + suffix))
        engine = sa.create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            migrate(connection)
        engine.dispose()
        with closing(sqlite3.connect(path)) as fresh, fresh:
            for table in tables.sorted_tables:
                saved[table.name] = _copy_rows(kept, fresh, table)
            fresh.execute("UPDATE memories SET indexed = 0")
    except (OSError, sqlite3.Error, sa.exc.SQLAlchemyError) as exc:
        message = f"{path} could not be rebuilt: {exc}. The damaged file is kept as {kept}."
        raise StorageError(message) from exc
    return kept, saved


def _copy_rows(source: Path, target: sqlite3.Connection, table: sa.Table) -> int:
    """Copy row by row from both ends towards the damage; returns how many were saved."""
    names = ", ".join(column.name for column in table.columns)
    values = ", ".join("?" * len(table.columns))
    keep = f"INSERT OR IGNORE INTO {table.name} ({names}) VALUES ({values})"  # noqa: S608  # our own names
    read = f"SELECT {names} FROM {table.name} ORDER BY rowid"  # noqa: S608  # likewise
    saved = 0
    with closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as damaged:
        for direction in ("ASC", "DESC"):
            try:
                for row in damaged.execute(f"{read} {direction}"):
                    saved += target.execute(keep, row).rowcount
            except sqlite3.DatabaseError as exc:
                log.warning("Table %s: %s rows saved, then: %s", table.name, saved, exc)
            else:
                break
    return saved
