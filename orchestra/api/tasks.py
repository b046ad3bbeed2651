"""Tasks for crews: submitted, watched, called off."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from orchestra.api.caller import Caller, CallerOf, House
from orchestra.api.problems import problem
from orchestra.api.wire import sse
from orchestra.crews.runs import CrewRuns, with_beats
from orchestra.errors import OrchestraError
from orchestra.types.task import Answer, Task, TaskStatus
from orchestra.types.task import Request as TaskRequest
from orchestra.types.task_events import TaskEvent

router = APIRouter(prefix="/api/v1/tasks", tags=["tasks"])

HEARTBEAT_SECONDS = 5.0
MOST_AT_ONCE = 100


class Submission(BaseModel):
    """One task."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field(description="What is to be done.")
    domain: str | None = Field(None, description="Its subject; default: found out.")
    complexity: str | None = Field(
        None, description="low, medium or high; default: estimated from the description."
    )
    persona: str | None = Field(
        None, description="Who leads and reviews; default: who the subject belongs to."
    )
    user: str | None = Field(None, description="Whose task it is; ignored when signed in.")
    conversation: str | None = Field(
        None, max_length=200, description="Whose files the crew may use; see /files."
    )
    asks_first: bool = Field(
        default=False,
        description="The task is 'waiting' until its plan is answered.",
    )
    may_write: bool = Field(
        default=False,
        description="Tools may change what lies outside, such as Notion.",
    )


class Answering(BaseModel):
    """What a person says to a crew's question."""

    model_config = ConfigDict(extra="forbid")

    question_id: str = Field(description="The task's `question.id`.")
    approved: bool
    text: str = Field("", max_length=20_000, description="The plan as it should be, if changed.")


class Wanted(BaseModel):
    """Which tasks."""

    model_config = ConfigDict(extra="forbid")

    status: list[TaskStatus] = []
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = None
    user: str | None = None


@router.post("", status_code=HTTPStatus.ACCEPTED, response_model=None)
async def submit(
    submission: Submission | Annotated[list[Submission], Field(max_length=MOST_AT_ONCE)],
    house: House,
    caller: CallerOf,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:
    """Submit one task, or a list: all of them are taken, or none.

    With `Idempotency-Key`, the same request again returns the same tasks.

    Raises:
        HTTPException: the list is empty, or names several people.
    """
    several = isinstance(submission, list)
    given = submission if isinstance(submission, list) else [submission]
    people = {caller.acting_for(one.user) for one in given}
    if len(people) != 1:
        detail = "Send at least one task, and all of one request for the same user."
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    requests = [_request(one, caller) for one in given]
    coming, wrong = await house.intake.tasks(requests)
    if wrong:
        errors = [
            {"index": index, "field": exc.field, "detail": str(exc)} for index, exc in wrong.items()
        ]
        first = errors[0]
        detail = str(first["detail"])
        if several:
            detail = f"Nothing was taken. Task {first['index']}: {detail}"
        extra = {"errors": errors} if several else {"field": first["field"]}
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, **extra)
    tasks = await house.runs.submit(coming, idempotency_key)
    shown = [task.model_dump(mode="json") for task in tasks]
    answer = json.dumps(shown if several else shown[0], ensure_ascii=False)
    headers = {} if several else {"Location": f"/api/v1/tasks/{tasks[0].task_id}"}
    return Response(answer, HTTPStatus.ACCEPTED, headers, "application/json")


@router.get("")
async def list_tasks(
    request: Request,
    house: House,
    caller: CallerOf,
    response: Response,
    wanted: Annotated[Wanted, Query()],
) -> list[Task]:
    """Tasks, the newest first. Where there are more, `Link` leads to the next page."""
    whose = wanted.user if wanted.user and caller.may_name_others else _whose(caller)
    tasks = await house.runs.page(whose, wanted.status, wanted.limit, wanted.cursor)
    if len(tasks) == wanted.limit:
        following = request.url.include_query_params(cursor=tasks[-1].task_id)
        response.headers["Link"] = f'<{following}>; rel="next"'
    return list(tasks)


@router.get("/{task_id}")
async def show_task(task_id: str, house: House, caller: CallerOf) -> Task:
    """One task: how it stands, with all its steps and reviews."""
    return await house.runs.get(task_id, _whose(caller))


@router.delete("/{task_id}")
async def cancel_task(task_id: str, house: House, caller: CallerOf) -> Task:
    """Call a task off; one that is over stays as it is."""
    return await house.runs.cancel(task_id, _whose(caller))


@router.post("/{task_id}/answer")
async def answer(task_id: str, said: Answering, house: House, caller: CallerOf) -> Task:
    """Answer what the crew asked: approve the plan, changed or not, or refuse it."""
    given = Answer(question_id=said.question_id, approved=said.approved, text=said.text.strip())
    return await house.runs.answer(task_id, _whose(caller), given)


@router.get("/{task_id}/events", response_class=StreamingResponse)
async def follow(
    task_id: str,
    house: House,
    caller: CallerOf,
    last_event_id: Annotated[int, Header(ge=0)] = 0,
) -> StreamingResponse:
    """What happened and happens, as server-sent events, until the task is over.

    Each event has its number as `id`; with `Last-Event-ID` the stream goes on behind that one. A
    `heartbeat` comes where nothing else does for five seconds.
    """
    await house.runs.get(task_id, _whose(caller))
    events = _wire(house.runs, task_id, last_event_id)
    return StreamingResponse(events, media_type="text/event-stream")


@router.get("/{task_id}/artifacts/{name}", response_class=Response)
async def download(task_id: str, name: str, house: House, caller: CallerOf) -> Response:
    """A file that came of a task; nothing in it runs on this page."""
    file = await house.runs.file(task_id, name, _whose(caller))
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name)}",
        "Content-Security-Policy": "sandbox",
    }
    return Response(file.content, headers=headers, media_type=file.content_type)


async def _wire(runs: CrewRuns, task_id: str, behind: int) -> AsyncGenerator[str, None]:
    try:
        async with aclosing(with_beats(runs.watch(task_id, behind), HEARTBEAT_SECONDS)) as events:
            async for numbered in events:
                yield _numbered(*numbered) if numbered else sse("heartbeat", "{}")
    except OrchestraError as exc:
        yield sse("error", json.dumps({"error": type(exc).__name__, "detail": str(exc)}))


def _numbered(number: int, event: TaskEvent) -> str:
    return f"id: {number}\n" + sse(event.kind, event.model_dump_json())


def _request(one: Submission, caller: Caller) -> TaskRequest:
    return TaskRequest(
        description=one.description,
        domain=one.domain,
        complexity=one.complexity,
        persona_id=one.persona,
        user_id=caller.acting_for(one.user),
        conversation_id=one.conversation,
        asks_first=one.asks_first,
        writing="yes" if one.may_write else "no",
    )


def _whose(caller: Caller) -> str | None:
    """Whose tasks a caller sees: those of everybody for whom it may act."""
    return None if caller.may_name_others else caller.name
