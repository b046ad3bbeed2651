"""A crew's task on the page: handed over, followed while it works, found again after a reload."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from typing import Any, cast

from chainlit.context import context
from chainlit.server import sio
from chainlit.session import WebsocketSession
from chainlit.types import ThreadDict

from orchestra.crews.runs import with_beats
from orchestra.errors import OrchestraError, TaskNotFoundError
from orchestra.house import Orchestra
from orchestra.screen import history
from orchestra.screen.picture import Picture
from orchestra.screen.steps import actions
from orchestra.types.task import Request
from orchestra.types.task_events import StepDelta, TaskEvent

log = logging.getLogger(__name__)

BEAT_SECONDS = 3.0
"""How often a page shows that a crew still works, where nothing else does."""

_following: dict[tuple[str, str], asyncio.Task[None]] = {}
"""Who keeps a page up to date, by its session and the task."""


async def begin(house: Orchestra, request: Request) -> None:
    """Let a crew work, and show it on this page from now on; the composer stays free.

    Raises:
        TaskInvalidError: the request breaks a rule.
        OrchestraError: it could not be taken.
    """
    (task,) = await house.runs.submit([await house.intake.task(request)])
    run = context.current_run
    personas = await house.conversation.personas()
    picture = Picture(task, personas, context.session.thread_id, run.id if run else None)
    await _show(picture, picture.all())
    _keep(picture, picture.all())
    await history.current().flush()
    _follow(house, picture, 0)


async def resume(house: Orchestra, thread: ThreadDict, person: str) -> None:
    """Bring the tasks of a reopened conversation up to date, and follow those not yet over."""
    personas = await house.conversation.personas()
    unfinished = [
        (step["metadata"]["task"], step.get("parentId"))
        for step in thread["steps"]
        if "task" in (step.get("metadata") or {}) and step["type"] == "tool" and not step.get("end")
    ]
    for task_id, parent_id in unfinished:
        try:
            task = await house.runs.get(task_id, person)
        except TaskNotFoundError:
            continue  # it is older than tasks are kept
        picture = Picture(task, personas, thread["id"], parent_id)
        behind = 0
        for behind, event in await house.runs.events(task_id):  # noqa: B007  # the last one counts
            picture.take(event)
        steps = {step["id"]: step for step in thread["steps"]}
        elements = {one["id"]: one for one in thread["elements"] or ()}
        thread["steps"] = list((steps | picture.steps).values())
        thread["elements"] = list((elements | picture.elements).values())
        _keep(picture, picture.all())
        # Chainlit sends the page this thread when the one who called this is done.
        _follow(house, picture, behind, asyncio.current_task())


def _follow(
    house: Orchestra, picture: Picture, behind: int, first: asyncio.Task[Any] | None = None
) -> None:
    """Keep this page up to date until the task is over or the page is gone.

    Args:
        house: Whose task it is.
        picture: What the page shows.
        behind: The number of the last event that it shows.
        first: To be waited for: until then the page shows something older.
    """
    key = context.session.id, picture.task.task_id
    if key not in _following:
        following = asyncio.create_task(_followed(house, picture, behind, first))
        _following[key] = following
        following.add_done_callback(lambda _: _following.pop(key))


async def _followed(
    house: Orchestra, picture: Picture, behind: int, first: asyncio.Task[Any] | None
) -> None:
    if first is not None:
        await asyncio.wait({first})
    session = cast("WebsocketSession", context.session)
    socket_id = session.socket_id
    try:
        while await _is_connected(session):
            if session.socket_id != socket_id:  # what was sent to the old connection is lost
                socket_id = session.socket_id
                await _show(picture, picture.all())
            if picture.task.is_over:
                await _offer_actions(house, picture)
                if session.socket_id == socket_id and _has_page(session):
                    return
            behind, is_all = await _shown_on(socket_id, session, house, picture, behind)
            if is_all and not picture.task.is_over:
                return  # the task is not kept any more
    except OrchestraError as exc:
        log.warning("A page no longer follows task %s: %s", picture.task.task_id, exc)
        await context.emitter.send_toast(f"{exc} Reload the page to see how the crew is.", "error")


async def _shown_on(
    socket_id: str, session: WebsocketSession, house: Orchestra, picture: Picture, behind: int
) -> tuple[int, bool]:
    """Show what happens for as long as one connection lasts.

    Returns:
        The number of the last event, and whether there will be no more.
    """
    watched = with_beats(house.runs.watch(picture.task.task_id, behind), BEAT_SECONDS)
    drawn_at = time.monotonic()
    async with aclosing(watched) as events:
        async for numbered in events:
            if numbered is not None:
                behind = numbered[0]
                await _show_event(picture, numbered[1])
            if session.socket_id != socket_id or not _has_page(session):
                break
            if time.monotonic() - drawn_at >= BEAT_SECONDS:
                drawn_at = time.monotonic()
                await _show(picture, picture.beat(), set(picture.steps))
        else:
            return behind, True
    return behind, False


async def _is_connected(session: WebsocketSession) -> bool:
    """Wait until the page is there; False once it will not come back."""
    while WebsocketSession.get_by_id(session.id) is session:
        if _has_page(session):
            return True
        await asyncio.sleep(BEAT_SECONDS)
    return False


def _has_page(session: WebsocketSession) -> bool:
    return bool(sio.manager.is_connected(session.socket_id, "/"))


async def _show_event(picture: Picture, event: TaskEvent) -> None:
    known = set(picture.steps)
    changed = picture.take(event)
    if isinstance(event, StepDelta):
        for step_id in changed:
            if event.anew:
                await context.emitter.update_step(picture.steps[step_id])
            else:
                await context.emitter.send_token(step_id, event.text)
        return
    await _show(picture, changed, known)
    _keep(picture, changed)


async def _offer_actions(house: Orchestra, picture: Picture) -> None:
    """Put below a result what is below every answer."""
    task, result = picture.task, picture.id_of("result")
    if task.status != "completed":
        return
    personas = await house.conversation.personas()
    for action in actions(result, task.orchestrator, personas, task.description):
        await action.remove()  # a page that lost its connection still shows it
        await action.send(for_id=result)


async def _show(
    picture: Picture, changed: list[str], known: set[str] | frozenset[str] = frozenset()
) -> None:
    """Show what looks different."""
    emitter = context.emitter
    for key in changed:
        if key in picture.elements:
            await emitter.send_element(picture.elements[key])
        elif key in known:
            await emitter.update_step(picture.steps[key])
        else:
            await emitter.send_step(picture.steps[key])


def _keep(picture: Picture, changed: list[str]) -> None:
    kept = history.current()
    for key in changed:
        if key in picture.elements:
            kept.keep_element(picture.elements[key])
        else:
            kept.keep_step(picture.steps[key])
