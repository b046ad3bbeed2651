"""Which workers are there: each signs every few seconds, and tells, if asked, who is gone."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import socket
import time
import uuid
from collections.abc import Collection
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from orchestra.database import Database, now, take_turns
from orchestra.tables import workers

SILENCE = dt.timedelta(seconds=30)
"""After this a worker of another machine counts as gone."""
_LONG_AGO = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_SOURCES = ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid")
_START_TIME = 19
"""Place of a process's start time behind its name in /proc/PID/stat; see proc(5)."""


class Presence:
    """This worker among the others, as rows that all of them read and write."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.name = f"{_machine()}-{os.getpid()}-{_started(os.getpid())}-{uuid.uuid4().hex[:8]}"
        """No other process ever has the same."""
        self._missing: dict[str, float] = {}

    async def sign(self) -> None:
        """Say that this worker is there.

        Raises:
            StorageError: the database does not answer.
        """
        await self._database.write(lambda connection: self._note(connection, _clock(connection)))

    async def sign_off(self) -> None:
        """Say that it is gone: whoever wants to may go on with its work at once.

        Raises:
            StorageError: the database does not answer.
        """
        await self._database.write(lambda connection: self._note(connection, _LONG_AGO))

    async def claim(self, names: Collection[str]) -> set[str]:
        """Those of these workers who are gone, and whose work nobody else has claimed by now.

        Read what they work on before this is called: who signs in later works on nothing of it.

        Raises:
            StorageError: the database does not answer.
        """
        others = set(names) - {self.name}
        if not others:
            return set()

        def claimed(connection: sa.Connection) -> set[str]:
            take_turns(connection, "workers")
            seen = {one.id: one.seen_at for one in connection.execute(sa.select(workers))}
            latest = _clock(connection) - SILENCE
            gone = {name for name in others if self._is_gone(name, seen.get(name), latest)}
            connection.execute(workers.delete().where(workers.c.id.in_(gone)))
            return gone

        return await self._database.write(claimed)

    def _note(self, connection: sa.Connection, moment: dt.datetime) -> None:
        connection.execute(workers.delete().where(workers.c.id == self.name))
        connection.execute(workers.insert().values(id=self.name, seen_at=moment))

    def _is_gone(self, name: str, seen: dt.datetime | None, latest: dt.datetime) -> bool:
        there = is_there(name)
        if seen is None:  # claimed by somebody, who may have died of it
            since = self._missing.setdefault(name, time.monotonic())
            return time.monotonic() - since > SILENCE.total_seconds()
        signed_off = seen.replace(tzinfo=seen.tzinfo or dt.UTC) == _LONG_AGO
        silent = seen.replace(tzinfo=seen.tzinfo or dt.UTC) < latest
        return signed_off or there is False or (silent and there is None)


def is_there(name: str) -> bool | None:
    """Whether a worker's process is there; None: it is on another machine, or cannot be told."""
    machine, pid, started, _ = name.split("-")
    if machine != _machine() or not started:
        return None
    return _started(int(pid)) == started


@cache
def _machine() -> str:
    """What two processes have in common if they see each other's numbers, and only then."""
    marks = [socket.gethostname()]
    for source in _SOURCES:
        with contextlib.suppress(OSError):
            path = Path(source)
            marks.append(str(path.readlink()) if path.is_symlink() else path.read_text("utf-8"))
    return hashlib.sha256("\0".join(marks).encode()).hexdigest()[:12]


def _started(pid: int) -> str:
    """When a process began, in its machine's own count; '' if it is not there, or untold."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except OSError:
        return ""
    return said.rpartition(")")[2].split()[_START_TIME]


def _clock(connection: sa.Connection) -> dt.datetime:
    """The database's own clock: those of two machines differ."""
    if connection.dialect.name == "sqlite":
        return now()  # one machine
    moment: dt.datetime = connection.execute(sa.select(sa.func.now())).scalar_one()
    return moment
