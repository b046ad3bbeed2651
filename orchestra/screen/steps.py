"""The events of a turn, as steps and messages on the screen."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Literal

import chainlit as cl
from chainlit.context import context
from chainlit.step import StepDict
from chainlit.utils import utc_now

from orchestra.screen import history
from orchestra.types.conversation import (
    Answered,
    Consulted,
    Delta,
    Event,
    Memory,
    Recalled,
    Route,
    Routed,
    Seat,
    SeatEmpty,
    SeatTask,
    TableEvent,
)
from orchestra.types.persona import Personas

STOPPED, BROKE_OFF = "stopped", "broke off"
"""How a turn ends that does not come to its end."""
_SEATS: dict[SeatTask, str] = {
    "opens": "opens the round table",
    "answers": "speaks, having heard that",
    "replies": "replies",
    "decides": "decides",
}
STREAM_SECONDS = 0.04
"""Words within this time are sent together: the page renders the whole text each time."""


async def show(
    events: AsyncGenerator[TableEvent, None] | AsyncGenerator[Event, None],
    personas: Personas,
    text: str,
) -> None:
    """Show a turn, or those of a table, as it happens.

    On cancellation what was said so far stays, marked as stopped.

    Args:
        events: The turn, or the table.
        personas: Who else could answer, for the actions below the answer.
        text: What was asked, for the same.

    Raises:
        CancelledError: it was stopped.
        OrchestraError: it failed.
    """
    turn = _Turn(personas, text)
    try:
        async with aclosing(events):
            async for event in events:
                match event:
                    case Seat():
                        await turn.leave()
                        turn = _Turn(personas, text)
                        await turn.sit(event)
                    case SeatEmpty():
                        await turn.ended_early(BROKE_OFF)
                        await _show_empty(event)
                    case _:
                        await turn.show(event)
    except asyncio.CancelledError:
        await turn.ended_early(STOPPED)
        raise
    except Exception:
        await turn.ended_early(BROKE_OFF)
        raise
    finally:
        await turn.leave()


class _Turn:
    """One turn on the screen: two steps, and a message that grows in small batches of words."""

    def __init__(self, personas: Personas, text: str) -> None:
        run = cl.context.current_run
        self._parent_id = run.id if run else None
        self._seat: StepDict | None = None
        self._personas = personas
        self._text = text
        self._speaks_last = True
        self._answer = cl.Message("")
        self._over = False
        self._waiting = ""
        self._sent_at = 0.0

    async def sit(self, seat: Seat) -> None:
        """Take a seat at a table, and show whose it is.

        The page asks for a thumb once in a run: each seat is one, for a thumb on each answer.
        """
        self._seat = _step("on_message", "run", "", self._parent_id)
        self._seat["end"] = None
        self._parent_id = self._answer.parent_id = self._seat["id"]
        self._speaks_last = seat.task == "decides"
        await _send_step(self._seat)
        output = f"Turn {seat.number} of {seat.seats} at the round table."
        name = f"{seat.persona_name} {_SEATS[seat.task]}"
        await _show_step(name, "tool", "messages-square", output, self._parent_id)

    async def leave(self) -> None:
        """End the turn at a table, if it is one."""
        if self._seat is not None:
            self._seat["end"] = utc_now()
            await context.emitter.update_step(self._seat)
            await history.current().update_step(self._seat)

    async def show(self, event: Event) -> None:
        """Show what happened."""
        match event:
            case Routed():
                self._answer.author = event.persona_name
                if self._seat is None:
                    await _show_route(event.route, event.persona_name, self._parent_id)
            case Recalled():
                await _show_recalled(event.memories, self._parent_id)
            case Delta():
                self._waiting += event.text
                if time.monotonic() - self._sent_at >= STREAM_SECONDS:
                    await self._send_words()
            case Consulted():
                pass  # the answer quotes it, or a note says why there is nothing to quote
            case Answered():
                await self._send_words()
                self._over = True
                await self._finish(event)

    async def _finish(self, event: Answered) -> None:
        answer = self._answer
        answer.content = event.answer
        answer.metadata = {
            "persona": event.persona_id,
            "domain": event.domain,
            "revision": event.revision,
            "memory": event.memory_id,
            "model": event.model,
            "asked": self._text,
        }
        if self._speaks_last:
            answer.actions = actions(answer.id, event.persona_id, self._personas, self._text)
        else:
            answer.actions = _teaching(answer.id, event.persona_id, self._personas)
        await answer.send()
        for note in event.notes:  # no message: the page asks for a thumb below the last one alone
            await _show_step(note, "tool", "triangle-alert", "", self._parent_id)
        await history.current().flush()

    async def ended_early(self, how: str) -> None:
        """Keep what was said so far, marked; a whole answer stays as it is."""
        await self._send_words()
        if self._over or not (self._answer.content or how == STOPPED):
            return  # whole, or an error message says it all
        self._over = True
        said = f"{self._answer.content.rstrip()} … " if self._answer.content else ""
        self._answer.content = f"{said}*({how})*"
        await self._answer.send()

    async def _send_words(self) -> None:
        if self._waiting:
            self._sent_at = time.monotonic()
            waiting, self._waiting = self._waiting, ""
            await self._answer.stream_token(waiting)


async def show_notice(text: str) -> None:
    """Show a quiet line between two turns."""
    run = cl.context.current_run
    output = "The next answers follow."
    await _show_step(text, "tool", "user-round-pen", output, run.id if run else None)


async def show_attached(name: str) -> None:
    """Show that a file was taken, and whom it is for."""
    run = cl.context.current_run
    output = "The crews of this conversation can use it, and nobody else's."
    await _show_step(f"Attached: {name}", "tool", "paperclip", output, run.id if run else None)


async def _show_route(route: Route, name: str, parent_id: str | None) -> None:
    output = f"**{route.domain}**, {route.confidence:.0%} sure: {route.reason}"
    await _show_step(f"{name} on {route.domain}", "tool", "route", output, parent_id)


async def _show_empty(seat: SeatEmpty) -> None:
    said = f"{seat.persona_name} cannot answer, and the others go on. {seat.error}"
    await cl.ErrorMessage(content=said).send()


async def _show_recalled(memories: tuple[Memory, ...], parent_id: str | None) -> None:
    count = {0: "Nothing remembered on this", 1: "Recalled 1 decision"}
    name = count.get(len(memories), f"Recalled {len(memories)} decisions")
    output = (
        "These earlier decisions were given to the model:"
        if memories
        else "No earlier decision for you bears on this message."
    )
    step_id = await _show_step(name, "retrieval", "history", output, parent_id)
    if memories:
        # Ids alone: a copy of the words would outlive their forgetting.
        await _attach("Recalled", {"ids": [one.id for one in memories]}, step_id)


async def _show_step(
    name: str, kind: Literal["tool", "retrieval"], icon: str, output: str, parent_id: str | None
) -> str:
    """Show a step that is over already, without the pause that Chainlit makes for each of its own.

    Returns:
        The step's id.
    """
    step = _step(name, kind, output, parent_id)
    step["metadata"] = {"icon": icon}
    await _send_step(step)
    return step["id"]


async def _send_step(step: StepDict) -> None:
    await context.emitter.send_step(step)
    await history.current().create_step(step)


def _step(
    name: str, kind: Literal["tool", "retrieval", "run"], output: str, parent_id: str | None
) -> StepDict:
    moment = utc_now()
    return StepDict(
        id=str(uuid.uuid4()),
        threadId=context.session.thread_id,
        parentId=parent_id,
        name=name,
        type=kind,
        metadata={},
        input="",
        output=output,
        showInput=False,
        streaming=False,
        isError=False,
        createdAt=moment,
        start=moment,
        end=moment,
        defaultOpen=False,
        autoCollapse=False,
    )


async def offer_actions(steps: Sequence[StepDict], personas: Personas) -> None:
    """Put the actions below the last answer of a reopened conversation, which keeps none."""
    asked, answer = "", None
    for step in steps:
        if step["type"] == "user_message":
            asked, answer = step["output"], None
        elif step["type"] == "assistant_message":
            details = step.get("metadata") or {}
            if "persona" in details and "question" not in details:
                answer, asked = step, details.get("asked", asked)
    if answer is not None and asked:
        persona_id = str(answer["metadata"]["persona"])
        for action in actions(answer["id"], persona_id, personas, asked):
            await action.remove()  # a page that lost its connection still shows it
            await action.send(for_id=answer["id"])


def actions(answer_id: str, persona_id: str, personas: Personas, text: str) -> list[cl.Action]:
    """What can be done with an answer: another persona, a crew, the memory, learning from it."""
    hand_over = [
        cl.Action(
            id=_action_id(answer_id, other.id),
            name="hand_over",
            payload={"persona": other.id, "text": text},
            label=f"Ask {other.name} instead",
            tooltip=f"{other.name} answers the same message, and gets the next ones like it",
            icon="arrow-right-left",
        )
        for other in personas.members
        if other.id != persona_id
    ]
    memory = cl.Action(
        id=_action_id(answer_id, "memory"),
        name="show_memory",
        payload={},
        label="Memory",
        tooltip="What the personas remember about you",
        icon="brain",
    )
    crew = cl.Action(
        id=_action_id(answer_id, "crew"),
        name="hand_to_crew",
        payload={"persona": persona_id, "text": text},
        label="Hand to a crew",
        tooltip="A team plans it, does it and has it reviewed, step by step",
        icon="users-round",
    )
    return [*hand_over, crew, memory, *_teaching(answer_id, persona_id, personas)]


def _teaching(answer_id: str, persona_id: str, personas: Personas) -> list[cl.Action]:
    """Learning from an answer, where the person is an author."""
    if not cl.user_session.get("may_write"):
        return []
    teach = cl.Action(
        id=_action_id(answer_id, "teach"),
        name="teach",
        payload={"answer": answer_id},
        label="Teach this",
        tooltip=f"Add it to the examples that {personas.get(persona_id).name} talks by",
        icon="graduation-cap",
    )
    return [teach]


def _action_id(answer_id: str, what: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{answer_id} {what}"))


async def _attach(name: str, props: dict[str, object], step_id: str) -> None:
    """Attach a custom element without the file that Chainlit would write for it."""
    element = cl.CustomElement(name=name, props=props, display="inline")
    element.for_id = step_id
    element.chainlit_key = element.id
    shown = element.to_dict()
    await context.emitter.send_element(shown)
    history.current().keep_element(shown)
