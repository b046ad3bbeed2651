"""Chainlit's callbacks: each gathers what a journey needs, starts it, and shows its events."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import tempfile
import uuid
from collections.abc import Awaitable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import chainlit as cl
import chainlit.message as message_module
import chainlit.step as step_module
from chainlit.config import config
from chainlit.server import sio
from chainlit.session import BaseSession, WebsocketSession
from chainlit.types import ThreadDict

from orchestra import assembly
from orchestra.errors import OrchestraError
from orchestra.personas.changes import changes_between
from orchestra.screen import crews, history, lab, sign_in, steps
from orchestra.screen.composer import AUTO, TABLE, prepare_composer
from orchestra.screen.history import History
from orchestra.types.conversation import Message
from orchestra.types.persona import Personas
from orchestra.types.task import File, Request

log = logging.getLogger(__name__)

# A browser names its own session, and Chainlit makes a folder of that name which it later deletes:
# a name of our own keeps '../' out. And all servers of a checkout share the folder around it, which
# the first of them to end takes away from the others (chainlit/session.py, chainlit/server.py; to
# be dropped when Chainlit checks the one and shares no more).
UPLOADS = tempfile.TemporaryDirectory(prefix="orchestra-files-")


def _folder_of(session: BaseSession) -> Path:
    folder = Path(UPLOADS.name)
    folder.mkdir(exist_ok=True)  # systems tidy up what lay there for days
    return folder / hashlib.sha256(session.id.encode()).hexdigest()[:32]


BaseSession.files_dir = property(_folder_of)  # type: ignore[assignment, method-assign]  # see above
# Chainlit stands still for a millisecond, with everybody's conversations, whenever it makes a
# message or a step, so that no two have the same time; microseconds tell them apart as well.
_no_sleep = SimpleNamespace(sleep=lambda _seconds: None)
message_module.time = step_module.time = _no_sleep  # type: ignore[assignment, attr-defined]  # see above
# "system" is not accepted by config.toml, though the page knows it.
config.ui.default_theme = "system"
sign_in.register()
cl.data_layer(History)

_turns: dict[str, set[asyncio.Task[Any]]] = {}
"""Per browser session, the turns under way: Stop ends all of them, not only the last."""


@cl.set_starters
async def starters(_user: cl.User | None = None, _language: str | None = None) -> list[cl.Starter]:
    """Something to begin with, for each persona."""
    personas = await (await assembly.running()).conversation.personas()
    rounds = range(max(len(persona.starters) for persona in personas.members))
    return [
        cl.Starter(
            label=f"{persona.name}\n{persona.starters[turn]}",
            message=f"{persona.name}, {persona.starters[turn]}",
            icon=f"/avatars/{persona.id}",
        )
        for turn in rounds
        for persona in personas.members
        if turn < len(persona.starters)
    ]


@cl.on_chat_start
async def begin() -> None:
    """Prepare the composer of a new conversation."""
    house = await assembly.running()
    house.conversation.begin(sign_in.person(), cl.context.session.thread_id)
    await prepare_composer(house)
    if not house.is_warm:
        await cl.context.emitter.send_toast(
            "Getting ready: the first answer may take a little.", "info"
        )


@cl.on_chat_resume
async def resume(thread: ThreadDict) -> None:
    """Prepare the composer of a reopened conversation, what its crews do, and the last actions."""
    house = await assembly.running()
    await prepare_composer(house)
    await crews.resume(house, thread, sign_in.person())
    await steps.offer_actions(thread["steps"], await house.conversation.personas())


@cl.on_message
async def answer(message: cl.Message) -> None:
    """Answer what was typed."""
    await history.name_page()  # before anything can fail: a reload shows what was asked
    await _guarded(_heard(message))


async def _heard(message: cl.Message) -> None:
    picked = (message.modes or {}).get("who", AUTO)
    persona_id = None if picked in {AUTO, TABLE, lab.COMPARE, lab.BLIND} else picked
    await _attach(message.elements)
    match message.command:
        case "Memory":
            await _show_memory(message.content)
        case "Tasks":
            await _show_tasks()
        case "Studio":
            await _show_studio()
        case "Crew":
            await _send_crew(message.content, persona_id)
        case _ if picked == lab.COMPARE:
            await _compare(message.content)
        case _ if picked == lab.BLIND:
            await _test_blind()
        case _:
            await _answer(message.content, persona_id, at_table=picked == TABLE)


@cl.action_callback("hand_over")
async def hand_over(action: cl.Action) -> None:
    """Let another persona answer the same message, and route the next ones like it there."""
    text, persona_id = str(action.payload["text"]), str(action.payload["persona"])

    async def ask_instead() -> None:
        house = await assembly.running()
        (await house.conversation.personas()).get(persona_id)  # the browser may send anything
        await house.conversation.teach(sign_in.person(), text, persona_id)
        await _answer(text, persona_id)

    # An action runs inside an HTTP request; as a task of the session it can be stopped.
    await _as_turn(_guarded(ask_instead()))


@cl.action_callback("hand_to_crew")
async def hand_to_crew(action: cl.Action) -> None:
    """Let a crew of whoever answered do the work."""
    text, persona_id = str(action.payload["text"]), str(action.payload["persona"])
    await _as_turn(_guarded(_send_crew(text, persona_id)))


@cl.action_callback("compare_again")
async def compare_again(action: cl.Action) -> None:
    """Let one persona answer the same message twice: how much does it differ from itself?"""
    text, persona_id = str(action.payload["text"]), str(action.payload["persona"])
    await _as_turn(_guarded(_compare(text, (persona_id, persona_id))))


@cl.action_callback("show_tasks")
async def show_tasks(_action: cl.Action) -> None:
    """Open the list of tasks."""
    await _guarded(_show_tasks())


@cl.action_callback("show_memory")
async def show_memory(_action: cl.Action) -> None:
    """Open the memory panel."""
    await _guarded(_show_memory(""))


@cl.action_callback("teach")
async def teach(action: cl.Action) -> None:
    """Open the panel in which an author makes an answer an example."""
    await _guarded(_show_teaching(str(action.payload["answer"])))


async def stop(sid: str) -> None:
    """Stop every turn of a page; Chainlit's own would also say so in a message from nobody."""
    session = WebsocketSession.get(sid)
    if session is None:
        return
    for turn in {*_turns.get(session.id, ()), session.current_task}:
        if turn is not None:
            turn.cancel()


sio.on("stop", stop)


async def _answer(text: str, persona_id: str | None, *, at_table: bool = False) -> None:
    house = await assembly.running()
    await sign_in.check(sign_in.person())
    settings = cl.user_session.get("chat_settings") or {}
    message = Message(
        text=text,
        user_id=sign_in.person(),
        conversation_id=cl.context.session.thread_id,
        persona_id=persona_id,
        temperature=settings.get("temperature"),
        length=settings.get("length", "medium"),
    )
    personas = await house.conversation.personas()
    await _tell_changes(personas)
    journey = house.table.hold if at_table else house.conversation.answer
    await steps.show(journey(message), personas, text)


async def _compare(text: str, persona_ids: tuple[str, ...] = ()) -> None:
    await sign_in.check(sign_in.person())
    await lab.compare(await assembly.running(), sign_in.person(), text, persona_ids)


async def _test_blind() -> None:
    await sign_in.check(sign_in.person())
    await lab.blind_test(await assembly.running())


async def _send_crew(text: str, persona_id: str | None) -> None:
    house = await assembly.running()
    await sign_in.check(sign_in.person())
    settings = cl.user_session.get("chat_settings") or {}
    size = settings.get("crew_size", AUTO)
    request = Request(
        description=text,
        complexity=None if size == AUTO else size,
        persona_id=persona_id,
        user_id=sign_in.person(),
        conversation_id=cl.context.session.thread_id,
        asks_first=bool(settings.get("asks_first", False)),
        writing="ask",
    )
    await crews.begin(house, request)


async def _attach(elements: Sequence[Any]) -> None:
    """Keep what was attached, for the crews of this conversation."""
    house = await assembly.running()
    for one in elements:
        raw = await asyncio.to_thread(Path(one.path).read_bytes) if one.path else b""
        file = File(one.name, one.mime or "application/octet-stream", raw)
        await house.attachments.put(sign_in.person(), cl.context.session.thread_id, file)
        await steps.show_attached(file.name)


async def _tell_changes(personas: Personas) -> None:
    """Say who changed since the last message of this conversation."""
    known = cl.user_session.get("personas")
    cl.user_session.set("personas", personas)
    if known is not None and known.revision != personas.revision:
        for change in changes_between(known, personas):
            await steps.show_notice(change)


async def _guarded(turn: Awaitable[None]) -> None:
    """Run a turn; whatever goes wrong is shown as an error, with what to do.

    Raises:
        CancelledError: it was stopped.
    """
    task = asyncio.current_task()
    session_id = cl.context.session.id
    if task is not None:
        _turns.setdefault(session_id, set()).add(task)
    try:
        await turn
    except OrchestraError as exc:
        log.warning("%s", exc)
        await cl.ErrorMessage(content=str(exc)).send()
    except asyncio.CancelledError:
        raise
    except Exception:
        error_id = uuid.uuid4().hex[:8]
        log.exception("Error %s on the screen", error_id)
        await cl.ErrorMessage(
            content=f"Something went wrong here that was not foreseen. Error id: {error_id}. "
            "Try again; if it stays, the log has the details under this id."
        ).send()
    finally:
        turns = _turns.get(session_id, set())
        turns.discard(task)
        if not turns:
            _turns.pop(session_id, None)


async def _as_turn(turn: Awaitable[None]) -> None:
    """Run a turn that no message started, with the composer showing that it runs."""
    emitter = cl.context.emitter
    await emitter.task_start()
    try:
        async with cl.Step(name="on_message", type="run"):
            await turn
    finally:
        await emitter.task_end()


async def _show_memory(wanted: str) -> None:
    props = {"search": wanted.strip()}
    await _show_panel("Memory", props, "What the personas remember about you: Memory")


async def _show_tasks() -> None:
    await _show_panel("Tasks", {}, "What your crews do and did: Tasks")


async def _show_teaching(answer_id: str) -> None:
    await _show_panel("Teach", {"answer": answer_id}, "An answer to learn from: Teach")


async def _show_studio() -> None:
    await _show_panel("Studio", {}, "Who the personas are: Studio")


async def _show_panel(name: str, props: dict[str, Any], words: str) -> None:
    """Open a panel at the side, in the place of the one before: the page shows all there are."""
    for element_id in await history.current().drop_panels(cl.context.session.thread_id):
        await cl.context.emitter.emit("remove_element", {"id": element_id})
    panel = cl.CustomElement(name=name, props=props, display="side")
    await cl.Message(words, elements=[panel]).send()
