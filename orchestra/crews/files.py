"""Files: what came of tasks, and what people attached to conversations for their crews."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from orchestra.database import Database, now
from orchestra.errors import FileRefusedError, TaskNotFoundError
from orchestra.tables import artifacts, attachments
from orchestra.types.task import File

MOST_BYTES = 20_000_000
MOST_ATTACHED = 20
_LONGEST_NAME = 120


class Artifacts:
    """Files that came of tasks, kept as long as these."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, task_id: str, file: File) -> None:
        """Keep a file; it takes the place of one of the same name.

        Raises:
            FileRefusedError: it is too large.
            StorageError: it could not be kept.
        """
        _check(file)
        row = {"task_id": task_id, **_row(file)}
        same = (artifacts.c.task_id == task_id) & (artifacts.c.name == file.name)
        await self._database.write(lambda connection: _replace(connection, artifacts, same, row))

    async def get(self, task_id: str, name: str) -> File:
        """A file of a task.

        Raises:
            TaskNotFoundError: there is none of this name.
            StorageError: the database does not answer.
        """
        those = (artifacts.c.task_id == task_id) & (artifacts.c.name == name)
        for file in await _files(self._database, artifacts, those):
            return file
        wanted = f"{task_id}/{name}"
        raise TaskNotFoundError(wanted)

    async def all(self, task_id: str) -> list[File]:
        """The files of a task, in the order in which they came.

        Raises:
            StorageError: the database does not answer.
        """
        return await _files(self._database, artifacts, artifacts.c.task_id == task_id)


class Attachments:
    """Files that people attached to conversations, each for the crews of that conversation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, user_id: str, conversation_id: str, file: File) -> None:
        """Keep a file; it takes the place of one of the same name.

        Raises:
            FileRefusedError: it is empty, too large, one too many, or its name is too long.
            StorageError: it could not be kept.
        """
        _check(file)
        row = {"user_id": user_id, "conversation_id": conversation_id, **_row(file)}
        there = _attached_to(user_id, conversation_id)
        same = there & (attachments.c.name == file.name)
        others = sa.select(sa.func.count()).where(there & (attachments.c.name != file.name))

        def replace(connection: sa.Connection) -> None:
            if (connection.scalar(others) or 0) >= MOST_ATTACHED:
                message = (
                    f"{file.name} is one file too many: {MOST_ATTACHED} can be attached to a "
                    "conversation. Start a new one."
                )
                raise FileRefusedError(message)
            _replace(connection, attachments, same, row)

        await self._database.write(replace)

    async def all(self, user_id: str, conversation_id: str | None) -> list[File]:
        """What is attached to a conversation, in the order in which it came.

        Raises:
            StorageError: the database does not answer.
        """
        if conversation_id is None:
            return []
        return await _files(self._database, attachments, _attached_to(user_id, conversation_id))

    async def listed(self, user_id: str, conversation_id: str | None) -> list[tuple[str, str, int]]:
        """Name, content type and size of what is attached, in the order in which it came.

        Raises:
            StorageError: the database does not answer.
        """
        size = sa.func.length(attachments.c.content).label("size")
        if conversation_id is None:
            return []
        query = sa.select(attachments.c.name, attachments.c.content_type, size)
        there = _attached_to(user_id, conversation_id)
        rows = await self._database.fetch(query.where(there).order_by(attachments.c.created_at))
        return [(one.name, one.content_type, one.size) for one in rows]

    async def remove(self, user_id: str, conversation_id: str, name: str) -> bool:
        """Remove a file; False if there is none of this name.

        Raises:
            StorageError: the database refused.
        """
        that = _attached_to(user_id, conversation_id) & (attachments.c.name == name)
        removal = attachments.delete().where(that)
        return bool(
            await self._database.write(lambda connection: connection.execute(removal).rowcount)
        )


def _check(file: File) -> None:
    """Make sure that a file can be kept.

    Raises:
        FileRefusedError: it cannot.
    """
    name = file.name
    if not file.content:
        message = f"{name} is empty."
    elif len(file.content) > MOST_BYTES:
        message = f"{name} has {len(file.content):,} bytes; at most {MOST_BYTES:,} can be kept."
    elif not name.strip() or len(name) > _LONGEST_NAME or "/" in name or not name.isprintable():
        message = f"'{name[:40]}' is no name for a file: 1 to {_LONGEST_NAME} characters, no '/'."
    else:
        return
    raise FileRefusedError(message)


def _attached_to(user_id: str, conversation_id: str) -> sa.ColumnElement[bool]:
    return (attachments.c.user_id == user_id) & (attachments.c.conversation_id == conversation_id)


def _row(file: File) -> dict[str, Any]:
    return {
        "name": file.name,
        "content_type": file.content_type,
        "content": file.content,
        "created_at": now(),
    }


def _replace(
    connection: sa.Connection, table: sa.Table, same: sa.ColumnElement[bool], row: dict[str, Any]
) -> None:
    connection.execute(table.delete().where(same))
    connection.execute(table.insert().values(**row))


async def _files(database: Database, table: sa.Table, those: sa.ColumnElement[bool]) -> list[File]:
    query = sa.select(table.c.name, table.c.content_type, table.c.content).where(those)
    rows = await database.fetch(query.order_by(table.c.created_at))
    return [File(one.name, one.content_type, one.content) for one in rows]
