"""The engine, and the one place where database errors become ours.

SQLite in the data folder by default, PostgreSQL by setting. Work is done on a plain connection in
a thread of the database's own: one hop there and back for a whole transaction.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from orchestra.errors import StorageError
from orchestra.migrations import migrate
from orchestra.salvage import check_file

Result = TypeVar("Result")

_READERS = 4
_PATIENCE_SECONDS = 15
"""How long a writer waits for another process's transaction."""

_POSTGRES = {
    "connect_timeout": 10,
    "tcp_user_timeout": 30_000,
    "options": "-c statement_timeout=30000 -c lock_timeout=15000",
}


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
        self.is_sqlite = url is None
        # SQLite has one writer at a time: the others queue here, not at the file's lock.
        writers = 1 if self.is_sqlite else _READERS
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="database-read")
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="database-write")
        if url is None:
            self._engine = sa.create_engine(f"sqlite:///{self.path}", pool_size=_READERS + 1)
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        else:
            self._engine = sa.create_engine(
                _address(url),
                pool_pre_ping=True,
                pool_size=2 * _READERS,
                connect_args=_POSTGRES,
            )

    @property
    def description(self) -> str:
        """What and where it is, for people; never a password."""
        if self.path is not None:
            return f"SQLite {self.path}"
        address = self._engine.url
        host = address.host or address.query.get("host") or "this machine"
        port = f":{address.port}" if address.port else ""
        return f"PostgreSQL {address.database} on {host}{port}"

    def beside(self, name: str) -> tuple[str, str]:
        """A database for what is not ours, the same one or a file beside: address, description."""
        if self.path is None:
            return self._engine.url.render_as_string(hide_password=False), self.description
        path = self.path.absolute().parent / name
        return f"sqlite:///{path}", f"SQLite {path}"

    async def open(self) -> None:
        """Check the file, bring the tables up to date.

        Raises:
            StorageError: it cannot be opened, is damaged, or the folder cannot be written.
        """
        if self.path is not None:
            await asyncio.to_thread(check_file, self.path)

        def bring_up_to_date(connection: sa.Connection) -> None:
            take_turns(connection, "migrations")
            migrate(connection)

        await self.write(bring_up_to_date)

    async def close(self) -> None:
        """Finish what was begun, then close all connections."""
        for pool in (self._readers, self._writers):
            await asyncio.to_thread(pool.shutdown)
        self._engine.dispose()

    async def check(self) -> None:
        """Ask it anything.

        Raises:
            StorageError: it does not answer.
        """
        await self.fetch(sa.text("SELECT 1"))

    async def fetch(
        self, query: sa.Executable, values: Mapping[str, Any] | None = None
    ) -> Sequence[sa.Row[*tuple[Any, ...]]]:
        """The rows of one query.

        Raises:
            StorageError: the database does not answer.
        """
        return await self.read(lambda connection: connection.execute(query, values).all())

    async def read(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Do some reading on a connection that sees one moment.

        Raises:
            StorageError: the database does not answer.
        """

        def run() -> Result:
            with self._errors(), self._engine.connect() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    async def write(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Do some work in a transaction: all of it is kept, or nothing. Keep it short.

        Whoever waits may be cancelled; work that has begun by then is finished all the same.

        Raises:
            StorageError: it could not be kept.
        """

        def run() -> Result:
            with self._errors(), self._engine.connect() as connection:
                connection.execution_options(begin="BEGIN IMMEDIATE")
                with connection.begin():
                    return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._writers, run)

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """A connection that sees one moment, in the caller's own thread: never on the loop.

        Raises:
            StorageError: the database does not answer.
        """
        with self._errors(), self._engine.connect() as connection:
            yield connection

    async def vacuum(self) -> None:
        """Give back and overwrite the space of deleted rows (SQLite; PostgreSQL does so itself).

        Raises:
            StorageError: the file could not be rewritten.
        """
        if self.path is None:
            return

        def run() -> None:
            with self._errors(), self._engine.connect() as connection:
                connection.execution_options(begin=None)
                connection.execute(sa.text("VACUUM"))
                busy = connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)")).one()[0]
                if busy:  # another process reads; the old pages stay beside the file until then
                    problem = "database is locked"
                    raise OSError(problem)

        await asyncio.get_running_loop().run_in_executor(self._writers, run)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.SQLAlchemyError, OSError) as exc:
            cause = " ".join(str(getattr(exc, "orig", None) or exc).split())
            message = f"{self.description} failed: {cause}. {_advice(cause, self.folder)}"
            raise StorageError(message) from exc


def _address(url: str) -> sa.URL:
    """A PostgreSQL address with the driver that we have.

    Raises:
        StorageError: it is not well-formed.
    """
    try:
        return sa.make_url(url).set(drivername="postgresql+psycopg")
    except (sa.exc.ArgumentError, ValueError):
        message = (
            "The address of the PostgreSQL database is not well-formed. It reads "
            "postgresql://user:password@host:5432/name, with any of @ / : # % in the password "
            "written as %40 %2F %3A %23 %25."
        )
        raise StorageError(message) from None  # the cause repeats the password


def take_turns(connection: sa.Connection, what: str) -> None:
    """Let one transaction at a time read and then write this; SQLite's writers queue anyway.

    Args:
        connection: In a transaction, at whose end the next one's turn comes.
        what: What they take turns at.
    """
    if connection.dialect.name == "postgresql":
        key = zlib.crc32(what.encode())
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Set what SQLite forgets between connections, and take transactions into our own hands."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        f"busy_timeout={_PATIENCE_SECONDS * 1000}",
        "foreign_keys=ON",
        "secure_delete=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """Begin; a writer takes the lock at once, so that read-then-write loses no update."""
    statement = connection.get_execution_options().get("begin", "BEGIN")
    if statement is not None:
        connection.exec_driver_sql(statement)


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
