"""The events of a turn, as steps and messages on the screen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import chainlit as cl
from chainlit.context import context
from chainlit.data import get_data_layer
from chainlit.utils import utc_now

from orchestra.errors import OrchestraError
from orchestra.screen.history import History
from orchestra.types.conversation import (
    Answered,
    Delta,
    Event,
    Memory,
    Recalled,
    Route,
    Routed,
)
from orchestra.types.persona import Personas

STREAM_SECONDS = 0.04
"""Words within this time are sent together: the page renders the whole text each time."""


async def show(events: AsyncGenerator[Event, None], personas: Personas, text: str) -> None:
    """Show one turn as it happens; on cancellation what was said so far stays, marked as stopped.

    Args:
        events: The turn.
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
                await turn.show(event)
    except asyncio.CancelledError:
        await turn.ended_early("stopped")
        raise
    except OrchestraError:
        await turn.ended_early("broke off")
        raise


class _Turn:
    """One turn on the screen: two steps, and a message that grows in small batches of words."""

    def __init__(self, personas: Personas, text: str) -> None:
        run = cl.context.current_run
        self._parent_id = run.id if run else None
        self._personas = personas
        self._text = text
        self._answer = cl.Message("", parent_id=self._parent_id)
        self._answered = False
        self._waiting = ""
        self._sent_at = 0.0

    async def show(self, event: Event) -> None:
        """Show what happened."""
        match event:
            case Routed():
                self._answer.author = event.persona_name
                await _show_route(event.route, event.persona_name, self._parent_id)
            case Recalled():
                await _show_recalled(event.memories, self._parent_id)
            case Delta():
                self._waiting += event.text
                if time.monotonic() - self._sent_at >= STREAM_SECONDS:
                    await self._send_words()
            case Answered():
                await self._send_words()
                self._answered = True
                await _finish(self._answer, event, self._personas, self._text)

    async def ended_early(self, how: str) -> None:
        """Keep what was said so far, marked; a whole answer stays as it is."""
        await self._send_words()
        if self._answer.content and not self._answered:
            self._answer.content = f"{self._answer.content.rstrip()} … *({how})*"
            await self._answer.send()

    async def _send_words(self) -> None:
        if self._waiting:
            self._sent_at = time.monotonic()
            waiting, self._waiting = self._waiting, ""
            await self._answer.stream_token(waiting)


async def _show_route(route: Route, name: str, parent_id: str | None) -> None:
    step = cl.Step(name=f"{name} on {route.domain}", type="tool", parent_id=parent_id, icon="route")
    step.show_input = False
    step.output = f"**{route.domain}**, {route.confidence:.0%} sure: {route.reason}"
    step.start = step.end = utc_now()
    await step.send()


async def _show_recalled(memories: tuple[Memory, ...], parent_id: str | None) -> None:
    count = {0: "Nothing remembered on this", 1: "Recalled 1 decision"}
    name = count.get(len(memories), f"Recalled {len(memories)} decisions")
    step = cl.Step(name=name, type="retrieval", parent_id=parent_id, icon="history")
    step.show_input = False
    step.output = (
        "These earlier decisions were given to the model:"
        if memories
        else "No earlier decision for you bears on this message."
    )
    step.start = step.end = utc_now()
    await step.send()
    if memories:
        # Ids alone: a copy of the words would outlive their forgetting.
        await _attach("Recalled", {"ids": [one.id for one in memories]}, step.id)


async def _finish(answer: cl.Message, event: Answered, personas: Personas, text: str) -> None:
    answer.content = event.answer
    answer.metadata = {"persona": event.persona_id, "memory": event.memory_id, "model": event.model}
    answer.actions = [
        cl.Action(
            name="hand_over",
            payload={"persona": other.id, "text": text},
            label=f"Ask {other.name} instead",
            tooltip=f"{other.name} answers the same message, and gets the next ones like it",
            icon="arrow-right-left",
        )
        for other in personas.members
        if other.id != event.persona_id
    ]
    answer.actions.append(
        cl.Action(
            name="show_memory",
            payload={},
            label="Memory",
            tooltip="What the personas remember about you",
            icon="brain",
        )
    )
    await answer.send()
    for note in event.notes:
        await cl.ErrorMessage(content=note).send()
    history = get_data_layer()
    if isinstance(history, History):
        await history.flush()


async def _attach(name: str, props: dict[str, object], step_id: str) -> None:
    """Attach a custom element without the file that Chainlit would write for it."""
    element = cl.CustomElement(name=name, props=props, display="inline")
    element.for_id = step_id
    element.chainlit_key = element.id
    shown = element.to_dict()
    await context.emitter.send_element(shown)
    history = get_data_layer()
    if isinstance(history, History):
        await history.keep_element(shown)
