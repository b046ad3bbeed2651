"""The lab on the screen: answers side by side, and the blind test."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import Any

import chainlit as cl
from chainlit.context import context

from orchestra.house import Orchestra
from orchestra.screen import history
from orchestra.types.lab import Column, ColumnOver, ColumnText, Comparison
from orchestra.types.persona import Personas

COMPARE, BLIND = "compare", "blind"
"""What the picker calls them; no persona can have these ids while they are there."""
_SHOW_SECONDS = 0.12
"""How often words are sent: every time, all of an element's props go with them."""


async def compare(
    house: Orchestra, person: str, question: str, persona_ids: tuple[str, ...] = ()
) -> None:
    """Let everybody answer at once, in columns that fill as the words come.

    Args:
        house: Whose personas.
        person: Who asks, and may vote.
        question: The message.
        persona_ids: Who answers; nobody: everybody. The same one twice shows its own noise.

    Raises:
        MessageError: the message is empty or too long.
        PersonaError: a persona does not exist.
        StorageError: the answers could not be kept for a vote.
    """
    personas = await house.conversation.personas()
    run = context.current_run
    element = cl.CustomElement(name="Compare", props={"question": question}, display="inline")
    message = cl.Message("", author="Compare", parent_id=run.id if run else None)
    await message.send()
    shown_at = time.monotonic()
    events = house.lab.comparer.compare(person, question, persona_ids)
    async with aclosing(events):
        async for event in events:
            match event:
                case Comparison():
                    element.props |= _props(event, personas)
                case ColumnText():
                    _column(element, event.key)["reply"] += event.text
                case ColumnOver():
                    _column(element, event.column.key).update(_over(event.column))
            hurries = not isinstance(event, ColumnText)
            if hurries or time.monotonic() - shown_at >= _SHOW_SECONDS:
                shown_at = time.monotonic()
                await _show(element, message.id)
    element.props["over"] = True
    await _show(element, message.id)
    history.current().keep_element(element.to_dict())
    await _finish()


async def blind_test(house: Orchestra) -> None:
    """Begin, or go on with, a blind test."""
    personas = await house.conversation.personas()
    names = [
        {"id": one.id, "name": one.name, "accent": one.accent, "role": one.role}
        for one in personas.members
    ]
    element = cl.CustomElement(name="Blind", props={"personas": names}, display="inline")
    await cl.Message("Who wrote this?", author="Blind test", elements=[element]).send()
    await _finish()


async def _finish() -> None:
    await history.name_page()
    await history.current().flush()


def _props(comparison: Comparison, personas: Personas) -> dict[str, Any]:
    columns = []
    for column in comparison.columns:
        persona = personas.get(column.persona_id)
        columns.append(
            {
                "key": column.key,
                "persona": persona.id,
                "name": persona.name,
                "role": persona.role,
                "accent": persona.accent,
                "traits": persona.traits.model_dump(),
                **_over(column),
            }
        )
    return {"id": comparison.id, "columns": columns, "over": False}


def _over(column: Column) -> dict[str, Any]:
    return {"reply": column.reply, "error": column.error, "seconds": column.seconds}


def _column(element: cl.CustomElement, key: str) -> dict[str, Any]:
    columns: list[dict[str, Any]] = element.props["columns"]
    return next(one for one in columns if one["key"] == key)


async def _show(element: cl.CustomElement, message_id: str) -> None:
    """Send an element as it is now, without the file that Chainlit would write for it."""
    element.for_id = message_id
    element.chainlit_key = element.id
    await context.emitter.send_element(element.to_dict())
