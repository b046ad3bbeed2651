"""Tasks and what happened to them, as rows: the one truth for every process and every watcher."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from orchestra.database import Database, now, take_turns
from orchestra.errors import TaskInvalidError, TaskLostError, TaskNotAskingError, TaskNotFoundError
from orchestra.tables import artifacts, task_events, tasks
from orchestra.types.task import OVER, Answer, Task, TaskStatus
from orchestra.types.task_events import (
    EVENT,
    StepDelta,
    TaskAnswered,
    TaskCancelled,
    TaskEvent,
    TaskStarted,
    after,
)

MOST_LISTED = 200


class TaskRecords:
    """The tables of tasks; what people ask for names its person."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, coming: Sequence[Task], request_key: str | None = None) -> list[Task]:
        """Keep new tasks, all or none.

        Args:
            coming: The tasks.
            request_key: Names the request; its tasks are returned where it came before.

        Returns:
            The tasks as they are kept.

        Raises:
            StorageError: they could not be kept.
        """

        def insert(connection: sa.Connection) -> list[Task]:
            user = coming[0].user
            if request_key is not None:
                take_turns(connection, f"tasks of {user}")
                same = (tasks.c.user_id == user) & (tasks.c.request_key == request_key)
                query = sa.select(tasks.c.task).where(same).order_by(tasks.c.created_at, tasks.c.id)
                if known := [_task(one.task) for one in connection.execute(query)]:
                    return known
            for one in coming:
                connection.execute(tasks.insert().values(**_row(one), request_key=request_key))
            return list(coming)

        return await self._database.write(insert)

    async def get(self, task_id: str, user_id: str | None = None) -> Task:
        """A task as it stands.

        Args:
            task_id: Which.
            user_id: Whose it must be; None: anybody's.

        Raises:
            TaskNotFoundError: there is none.
            StorageError: the database does not answer.
        """
        query = sa.select(tasks.c.task).where(tasks.c.id == task_id, *_of(user_id))
        rows = await self._database.fetch(query)
        if not rows:
            raise TaskNotFoundError(task_id)
        return _task(rows[0].task)

    async def page(
        self,
        user_id: str | None = None,
        statuses: Collection[TaskStatus] = (),
        limit: int = 50,
        before: str | None = None,
    ) -> Sequence[Task]:
        """Tasks, the newest first.

        Args:
            user_id: Whose; None: everybody's.
            statuses: Only these; none: all.
            limit: Most.
            before: Id of the last task that is known already.

        Raises:
            TaskInvalidError: there is no task with that id.
            StorageError: the database does not answer.
        """
        query = sa.select(tasks.c.task).where(*_of(user_id))
        if statuses:
            query = query.where(tasks.c.status.in_(statuses))
        if before is not None:
            known = sa.select(tasks.c.created_at, tasks.c.id).where(tasks.c.id == before)
            place = await self._database.fetch(known.where(*_of(user_id)))
            if not place:
                message = f"cursor is '{before}', with which no list of yours ended."
                raise TaskInvalidError(message, field="cursor")
            query = query.where(sa.tuple_(tasks.c.created_at, tasks.c.id) < sa.tuple_(*place[0]))
        query = query.order_by(tasks.c.created_at.desc(), tasks.c.id.desc())
        rows = await self._database.fetch(query.limit(min(limit, MOST_LISTED)))
        return [_task(one.task) for one in rows]

    async def begin(self, task_id: str, worker: str) -> Task:
        """Let a worker take a task up: whoever was at it before keeps nothing of it any more.

        Raises:
            TaskLostError: it is over.
            TaskNotFoundError: there is no such task.
            StorageError: it could not be kept.
        """

        def events_for(task: Task) -> Sequence[TaskEvent]:
            if task.is_over:
                message = f"Task {task_id} is {task.status}."
                raise TaskLostError(message)
            return [TaskStarted(at=now(), starts=task.starts + 1, worker=worker)]

        return await self._change(task_id, events_for)

    async def append(self, task_id: str, worker: str, events: Sequence[TaskEvent]) -> None:
        """Keep what happened, in order, as the worker who is at it.

        Raises:
            TaskLostError: the task is over, or another worker is at it: nothing is kept.
            TaskNotFoundError: there is no such task.
            StorageError: it could not be kept.
        """

        def events_for(task: Task) -> Sequence[TaskEvent]:
            if task.is_over or task.worker != worker:
                message = f"Task {task_id} is {task.status}, and no longer this worker's."
                raise TaskLostError(message)
            return events

        await self._change(task_id, events_for)

    async def answer(self, task_id: str, user_id: str | None, answer: Answer) -> Task:
        """Keep what a person said to a question of a crew; a plan that is refused ends the task.

        Args:
            task_id: Which.
            user_id: Whose it must be; None: anybody's.
            answer: To which question, and what.

        Returns:
            The task as it stands then.

        Raises:
            TaskNotAskingError: the task has no such question now.
            TaskNotFoundError: there is no such task.
            StorageError: it could not be kept.
        """

        def events_for(task: Task) -> Sequence[TaskEvent]:
            question = task.question
            if question is None or question.id != answer.question_id:
                message = (
                    f"Task {task_id} is {task.status} and has no question '{answer.question_id}' "
                    "(any more)."
                )
                raise TaskNotAskingError(message)
            answered = TaskAnswered(at=now(), answer=answer)
            is_refused = question.about == "plan" and not answer.approved
            return [answered, TaskCancelled(at=now())] if is_refused else [answered]

        return await self._change(task_id, events_for, user_id)

    async def end(self, task_id: str, user_id: str | None, event: TaskEvent) -> None:
        """Let a task be over, whoever works on it; one that is over stays as it is.

        Args:
            task_id: Which.
            user_id: Whose it must be; None: anybody's.
            event: The last one.

        Raises:
            TaskNotFoundError: there is no such task.
            StorageError: it could not be kept.
        """
        await self._change(task_id, lambda task: [] if task.is_over else [event], user_id)

    async def _change(
        self,
        task_id: str,
        events_for: Callable[[Task], Sequence[TaskEvent]],
        user_id: str | None = None,
    ) -> Task:
        """Let something happen to a task; returns how it stands then."""

        def insert(connection: sa.Connection) -> Task:
            query = sa.select(tasks.c.task).where(tasks.c.id == task_id, *_of(user_id))
            row = connection.execute(query.with_for_update()).one_or_none()
            if row is None:
                raise TaskNotFoundError(task_id)
            task = _task(row.task)
            events = events_for(task)
            if not events:
                return task
            highest = sa.select(sa.func.max(task_events.c.number))
            number = connection.scalar(highest.where(task_events.c.task_id == task_id)) or 0
            rows = []
            for event in events:
                task, number = after(task, event), number + 1
                json = event.model_dump_json()
                rows.append({"task_id": task_id, "number": number, "event": json})
            connection.execute(task_events.insert(), rows)
            if not all(isinstance(event, StepDelta) for event in events):
                connection.execute(tasks.update().where(tasks.c.id == task_id).values(_row(task)))
            return task

        return await self._database.write(insert)

    async def events(self, task_id: str, behind: int = 0) -> Sequence[tuple[int, TaskEvent]]:
        """What happened behind an event's number, in order, each with its number.

        Raises:
            StorageError: the database does not answer.
        """
        query = sa.select(task_events.c.number, task_events.c.event).where(
            task_events.c.task_id == task_id, task_events.c.number > behind
        )
        rows = await self._database.fetch(query.order_by(task_events.c.number))
        return [(one.number, EVENT.validate_json(one.event)) for one in rows]

    async def to_stop(self, task_ids: Collection[str], worker: str) -> set[str]:
        """Which of these a worker is to leave alone: over, gone, or another worker's.

        Raises:
            StorageError: the database does not answer.
        """
        query = sa.select(tasks.c.id).where(
            tasks.c.id.in_(task_ids), tasks.c.status.not_in(OVER), tasks.c.worker == worker
        )
        return set(task_ids) - {one.id for one in await self._database.fetch(query)}

    async def is_over(self, task_id: str) -> bool:
        """Whether nothing more will happen to a task; also if there is none.

        Raises:
            StorageError: the database does not answer.
        """
        query = sa.select(tasks.c.id).where(tasks.c.id == task_id, tasks.c.status.not_in(OVER))
        return not await self._database.fetch(query)

    async def unfinished(self) -> dict[str, str]:
        """Whose each task is that somebody could work on, by its id.

        Raises:
            StorageError: the database does not answer.
        """
        idle = tasks.c.status.in_({*OVER, "waiting"})
        query = sa.select(tasks.c.id, tasks.c.user_id).where(~idle)
        rows = await self._database.fetch(query.order_by(tasks.c.created_at))
        return {one.id: one.user_id for one in rows}

    async def counts(self) -> dict[str, int]:
        """How many tasks there are in each status.

        Raises:
            StorageError: the database does not answer.
        """
        query = sa.select(tasks.c.status, sa.func.count().label("number"))
        rows = await self._database.fetch(query.group_by(tasks.c.status))
        return {one.status: one.number for one in rows}

    async def long_over(self, keep: timedelta) -> list[str]:
        """Ids of tasks that have been over for longer.

        Raises:
            StorageError: the database does not answer.
        """
        old = (tasks.c.status.in_(OVER)) & (tasks.c.finished_at < now() - keep)
        return [one.id for one in await self._database.fetch(sa.select(tasks.c.id).where(old))]

    async def remove(self, task_ids: Sequence[str]) -> None:
        """Remove tasks, and what happened to them.

        Raises:
            StorageError: the database refused.
        """

        def delete(connection: sa.Connection) -> None:
            connection.execute(artifacts.delete().where(artifacts.c.task_id.in_(task_ids)))
            connection.execute(task_events.delete().where(task_events.c.task_id.in_(task_ids)))
            connection.execute(tasks.delete().where(tasks.c.id.in_(task_ids)))

        await self._database.write(delete)


def _of(user_id: str | None) -> list[sa.ColumnElement[bool]]:
    return [] if user_id is None else [tasks.c.user_id == user_id]


def _row(task: Task) -> dict[str, Any]:
    finished: datetime | None = task.finished_at
    return {
        "id": task.task_id,
        "user_id": task.user,
        "status": task.status,
        "worker": task.worker,
        "task": task.model_dump_json(),
        "created_at": task.created_at,
        "finished_at": finished,
    }


def _task(json: str) -> Task:
    return Task.model_validate_json(json)
