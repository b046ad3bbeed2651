"""The lab on the screen: answers side by side, and the blind test."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any

import chainlit as cl
from chainlit.context import context

from orchestra.house import Orchestra
from orchestra.screen import history
from orchestra.types.lab import Column, ColumnOver, ColumnText, Comparison, ComparisonEvent
from orchestra.types.persona import Personas

COMPARE, BLIND = "lab:compare", "lab:blind"
"""Their ids in the picker; no persona's id has a colon in it."""
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
        CancelledError: it was stopped; what there is stays on the page, as after any error.
    """
    table = _Table(question, await house.conversation.personas())
    events = house.lab.comparer.compare(person, question, persona_ids)
    try:
        async with aclosing(events):
            async for event in events:
                await table.show(event)
    except asyncio.CancelledError:
        await table.end("stopped")
        raise
    except Exception:
        await table.end("broke off")
        raise
    await table.end()


class _Table:
    """Columns on the page, which fill as the words come."""

    def __init__(self, question: str, personas: Personas) -> None:
        run = context.current_run
        self._personas = personas
        self._element = cl.CustomElement(
            name="Compare", props={"question": question, "columns": []}, display="inline"
        )
        self._message = cl.Message("", parent_id=run.id if run else None)
        self._shown_at = 0.0

    async def show(self, event: ComparisonEvent) -> None:
        """Show what happened; words at most every tenth of a second or so."""
        match event:
            case Comparison():
                if not self._element.props["columns"]:
                    await self._message.send()
                self._element.props |= _props(event, self._personas)
            case ColumnText():
                self._column(event.key)["reply"] += event.text
                if time.monotonic() - self._shown_at < _SHOW_SECONDS:
                    return
            case ColumnOver():
                self._column(event.column.key).update(_over(event.column))
        await self._send()

    async def end(self, early: str = "") -> None:
        """Show, and keep, what there is; columns that were not over say how they ended."""
        if not self._element.props["columns"]:
            return  # it ended before there was anything to show
        for column in self._element.props["columns"]:
            if early and column["seconds"] is None and not column["error"]:
                column["error"] = f"{column['reply']} ({early})".strip()
        self._element.props["over"] = not early
        await self._send()
        history.current().keep_element(self._element.to_dict())
        await history.current().flush()

    def _column(self, key: str) -> dict[str, Any]:
        columns: list[dict[str, Any]] = self._element.props["columns"]
        return next(one for one in columns if one["key"] == key)

    async def _send(self) -> None:
        """Send the element as it is now, without the file that Chainlit would write for it."""
        self._shown_at = time.monotonic()
        self._element.for_id = self._message.id
        self._element.chainlit_key = self._element.id
        await context.emitter.send_element(self._element.to_dict())


async def blind_test(house: Orchestra) -> None:
    """Begin, or go on with, a blind test."""
    personas = await house.conversation.personas()
    names = [
        {"id": one.id, "name": one.name, "accent": one.accent, "role": one.role}
        for one in personas.members
    ]
    element = cl.CustomElement(name="Blind", props={"personas": names}, display="inline")
    await cl.Message("Who wrote this?", elements=[element]).send()
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
