"""The engine, its tables, and the one place where database errors become ours.

SQLite in the data folder by default, PostgreSQL by setting. SQL is the source of truth for all
that the house stores; vectors are rebuilt from it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from orchestra.errors import StorageError

log = logging.getLogger(__name__)

tables = sa.MetaData()

_UTC = sa.DateTime(timezone=True)

memories = sa.Table(
    "memories",
    tables,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("user_id", sa.String(200), nullable=False),
    sa.Column("persona_id", sa.String(40), nullable=False),
    sa.Column("conversation_id", sa.String(200)),
    sa.Column("domain", sa.String(80), nullable=False),
    sa.Column("task", sa.Text, nullable=False),
    sa.Column("decision", sa.Text, nullable=False),
    sa.Column("day", sa.String(40), nullable=False),
    sa.Column("scope", sa.String(40), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("importance", sa.Float, nullable=False),
    sa.Column("pinned", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("times", sa.Integer, nullable=False, server_default="1"),
    sa.Column("created_at", _UTC, nullable=False),
    sa.Column("indexed", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index("memories_by_owner", "user_id", "persona_id", "created_at"),
    sa.Index("memories_by_digest", "user_id", "persona_id", "digest"),
    sa.Index("memories_by_conversation", "user_id", "conversation_id", "created_at"),
    sa.Index("memories_to_index", "indexed"),
    sqlite_autoincrement=True,
)
"""What each persona decided for each person.

`number` is never used twice. `day` is the date in words and `scope` one word for the owner: both
are searched as text. `indexed` says whether the vectors know the row.
"""

forgotten = sa.Table(
    "forgotten",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("persona_id", sa.String(40), nullable=False),
)
"""Memories whose vector still has to be removed."""

lessons = sa.Table(
    "lessons",
    tables,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("user_id", sa.String(200), nullable=False, index=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("persona_id", sa.String(40), nullable=False),
    sa.Column("created_at", _UTC, nullable=False),
)
"""What people taught the router."""

accounts = sa.Table(
    "accounts",
    tables,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("key_digest", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", _UTC, nullable=False),
)
"""Who may sign in with a password, and the digest of their API key."""

people = sa.Table(
    "people",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False, unique=True),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
)
"""Everybody who ever opened the chat screen."""

threads = sa.Table(
    "threads",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id", ondelete="CASCADE")),
    sa.Column("name", sa.Text),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("changed_at", sa.String(40), nullable=False),
    sa.Index("threads_by_person", "person_id", "changed_at"),
)
"""Conversations on the chat screen."""

steps = sa.Table(
    "steps",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("thread_id", sa.String(36), nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Index("steps_by_thread", "thread_id", "created_at"),
)
"""What a conversation shows, each as the screen's own JSON; `text` is for searching."""

elements = sa.Table(
    "elements",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("thread_id", sa.String(36), nullable=False, index=True),
    sa.Column("details", sa.Text, nullable=False),
)
"""Things attached to steps, each as the screen's own JSON."""

feedbacks = sa.Table(
    "feedbacks",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("step_id", sa.String(36), nullable=False, unique=True),
    sa.Column("thread_id", sa.String(36), index=True),
    sa.Column("value", sa.Integer, nullable=False),
    sa.Column("comment", sa.Text),
    sa.Column("created_at", _UTC, nullable=False),
)
"""Thumbs, up (1) or down (0), each for one answer."""


def now() -> dt.datetime:
    """The present moment, in UTC."""
    return dt.datetime.now(dt.UTC)


class Database:
    """One engine; `read` and `write` are the only ways in."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        """Prepare; nothing is touched before `open`.

        Args:
            folder: The data folder, which holds orchestra.db when no url is given.
            url: A PostgreSQL address.
        """
        self.folder = folder
        self.path = None if url else folder / "orchestra.db"
        if url is None:
            address = f"sqlite+aiosqlite:///{self.path}"
        else:
            address = "postgresql+asyncpg://" + url.split("://", 1)[1]
        # A pool that never overflows: opening a connection costs more than waiting for one.
        self._engine: AsyncEngine = create_async_engine(
            address, pool_pre_ping=url is not None, pool_size=12, max_overflow=0
        )
        self.is_sqlite = url is None
        if self.is_sqlite:
            sa.event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
            sa.event.listen(self._engine.sync_engine, "begin", _begin_sqlite)

    @property
    def description(self) -> str:
        """What and where it is, for people; never a password."""
        if self.path is not None:
            return f"SQLite {self.path}"
        return f"PostgreSQL {self._engine.url.render_as_string(hide_password=True)}"

    async def open(self) -> None:
        """Check the file, bring the tables up to date.

        Raises:
            StorageError: it cannot be opened, is damaged, or the folder cannot be written.
        """
        if self.path is not None:
            await asyncio.to_thread(check_file, self.path)
        with self._errors():
            async with self._engine.begin() as connection:
                if not self.is_sqlite:
                    await connection.execute(sa.text("SELECT pg_advisory_xact_lock(727274)"))
                await connection.run_sync(_migrate)

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one moment.

        Raises:
            StorageError: the database does not answer.
        """
        with self._errors():
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: all of it is kept, or nothing. Keep it short.

        Raises:
            StorageError: it could not be kept.
        """
        with self._errors():
            async with self._engine.connect() as connection:
                await connection.execution_options(immediate=True)
                async with connection.begin():
                    yield connection

    async def vacuum(self) -> None:
        """Give back and overwrite the space of deleted rows (SQLite; PostgreSQL does so itself).

        Raises:
            StorageError: the file could not be rewritten.
        """
        if self.path is None:
            return
        with self._errors():
            async with self._engine.connect() as connection:
                await connection.execution_options(outside_transaction=True)
                await connection.execute(sa.text("VACUUM"))
                await connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.SQLAlchemyError, OSError) as exc:
            cause = getattr(exc, "orig", None) or exc
            message = f"{self.description} failed: {cause}. {_advice(str(cause), self.folder)}"
            raise StorageError(message) from exc


def salvage(path: Path) -> tuple[Path, dict[str, int]]:
    """Put a damaged SQLite file aside and save what can be read of it into a new one.

    Returns:
        Where the damaged file was kept, and the number of rows saved per table.

    Raises:
        StorageError: the folder cannot be written.
    """
    kept = path.with_name(f"{path.name}.damaged-{now():%Y%m%d-%H%M%S}")
    saved: dict[str, int] = {}
    try:
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                shutil.move(part, kept.with_name(kept.name + suffix))
        engine = sa.create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            _migrate(connection)
        engine.dispose()
        with sqlite3.connect(path) as fresh:
            for table in tables.sorted_tables:
                saved[table.name] = _copy_rows(kept, fresh, table)
            fresh.execute("UPDATE memories SET indexed = 0")
    except (OSError, sqlite3.Error, sa.exc.SQLAlchemyError) as exc:
        message = f"{path} could not be rebuilt: {exc}. The damaged file is kept as {kept}."
        raise StorageError(message) from exc
    return kept, saved


def _copy_rows(source: Path, target: sqlite3.Connection, table: sa.Table) -> int:
    """Copy row by row until the damage; returns how many were saved."""
    names = [column.name for column in table.columns]
    statement = (
        f"INSERT OR IGNORE INTO {table.name} ({', '.join(names)}) "  # noqa: S608  # our own names
        f"VALUES ({', '.join('?' * len(names))})"
    )
    saved = 0
    try:
        with sqlite3.connect(f"file:{source}?mode=ro", uri=True) as damaged:
            for row in damaged.execute(f"SELECT {', '.join(names)} FROM {table.name}"):  # noqa: S608  # our own names
                target.execute(statement, row)
                saved += 1
    except sqlite3.DatabaseError as exc:
        log.warning("Table %s: %s rows saved, then: %s", table.name, saved, exc)
    return saved


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Set what SQLite forgets between connections, and take transactions into our own hands."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "busy_timeout=15000",
        "foreign_keys=ON",
        "secure_delete=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """Begin; a writer takes the lock at once, so that read-then-write loses no update."""
    options = connection.get_execution_options()
    if not options.get("outside_transaction"):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("immediate") else "BEGIN")


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
    if not path.exists():
        return
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as exc:
        verdict = str(exc)
    if verdict != "ok":
        verdict = " ".join(verdict.replace("*", "").split())
        message = (
            f"The database {path} is damaged ({verdict}). Run 'orchestra doctor --repair': it "
            "keeps the damaged file beside it and saves every row that can still be read."
        )
        raise StorageError(message)


def _migrate(connection: sa.Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _advice(cause: str, folder: Path) -> str:
    lowered = cause.lower()
    if "full" in lowered or "no space" in lowered:
        return f"Free some space on the disk of {folder}; nothing was half-written."
    if "readonly" in lowered or "read-only" in lowered:
        return f"Make {folder} writable, or set ORCHESTRA_DATA_DIR."
    if "malformed" in lowered or "not a database" in lowered:
        return "Run 'orchestra doctor --repair'; it keeps the damaged file."
    if "locked" in lowered:
        return "Another process holds it; try again."
    return "Check that it is running and reachable ('orchestra doctor')."
