"""Several answers to one question at once, each in a column of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from orchestra.errors import LLMError
from orchestra.lab.beside import heard_from
from orchestra.lab.interview import Interviewer, Said
from orchestra.types.lab import Column, ColumnOver, ColumnText
from orchestra.types.persona import Persona, Personas


@dataclass(frozen=True)
class Asked:
    """Who fills a column."""

    column: Column
    persona: Persona
    personas: Personas
    """Among whom."""


async def together(
    interviewer: Interviewer, question: str, everybody: Sequence[Asked]
) -> AsyncGenerator[ColumnText | ColumnOver, None]:
    """Yields ColumnText as words come, and a ColumnOver for each column.

    Whom the model fails is told in its column; the others go on. Closing the generator stops them
    all, and so does any other error, which is raised.
    """
    heard: asyncio.Queue[ColumnText | ColumnOver | None] = asyncio.Queue()
    answers = (_answer(interviewer, question, one, heard) for one in everybody)
    async with aclosing(heard_from(answers, heard)) as events:
        async for event in events:
            yield event


async def _answer(
    interviewer: Interviewer,
    question: str,
    asked: Asked,
    heard: asyncio.Queue[ColumnText | ColumnOver | None],
) -> None:
    said, column = Said(), asked.column
    try:
        async with aclosing(
            interviewer.ask(asked.persona, asked.personas, question, said)
        ) as pieces:
            async for piece in pieces:
                heard.put_nowait(ColumnText(key=column.key, text=piece))
    except LLMError as exc:
        column = column.model_copy(update={"error": str(exc)})
    else:
        column = column.model_copy(update={"reply": said.text, "seconds": said.seconds})
    heard.put_nowait(ColumnOver(column=column))
