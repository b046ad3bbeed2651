"""The round table: everybody on one question in turn, and whoever owns the whole decides."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from orchestra.conversation import Conversation
from orchestra.errors import LLMError
from orchestra.types.conversation import (
    Answered,
    Message,
    Seat,
    SeatEmpty,
    SeatTask,
    TableEvent,
    shorten,
)
from orchestra.types.persona import GENERAL, Persona, Personas

_QUOTED = 400
"""Characters of what each said that the others are told: a small model reads no further."""


@dataclass(frozen=True)
class _Place:
    persona: Persona
    task: SeatTask


@dataclass(frozen=True)
class _Said:
    name: str
    words: str
    """Cut to what the others are told."""


class RoundTable:
    """Lets everybody answer one message, each hearing those before."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    async def hold(self, message: Message) -> AsyncGenerator[TableEvent, None]:
        """Yields a Seat and the events of its answer, for each turn at the table.

        Everybody but the owner of `general` speaks in turn. Those who have not heard everybody
        then reply to the rest, shortly, and the owner of `general` closes with a decision and who
        owns what. Who fails is told by SeatEmpty, and the others go on. Each remembers what it
        said, as of any answer.

        Args:
            message: The question; it needs a conversation, in which the answers hear each other.

        Raises:
            MessageError: the message is empty or too long.
            PersonaError: no personas could be read.
            LLMError: the decision could not be made.
            StorageError: memories could not be read.
        """
        personas = await self._conversation.personas()
        places = list(_places(personas))
        said: list[_Said] = []
        for number, place in enumerate(places, 1):
            persona, task = place.persona, place.task
            if task == "replies" and all(one.name == persona.name for one in said):
                continue  # there is nobody to reply to
            turn = message.model_copy(
                update={
                    "persona_id": persona.id,
                    "briefing": _briefing(place, said),
                    "length": "short" if task == "replies" else message.length,
                }
            )
            try:
                async with aclosing(self._conversation.answer(turn)) as events:
                    first = await anext(events)  # what is wrong with the message is no seat's fault
                    yield Seat(
                        persona_id=persona.id,
                        persona_name=persona.name,
                        task=task,
                        number=number,
                        seats=len(places),
                    )
                    yield first
                    async for event in events:
                        if isinstance(event, Answered):
                            said.append(_Said(persona.name, shorten(event.answer, _QUOTED)))
                        yield event
            except LLMError as exc:
                if task == "decides":
                    raise
                yield SeatEmpty(persona_id=persona.id, persona_name=persona.name, error=str(exc))


def _places(personas: Personas) -> Iterator[_Place]:
    """Who speaks when."""
    decides = personas.for_domain(GENERAL)
    others = [one for one in personas.members if one.id != decides.id]
    for place, one in enumerate(others):
        yield _Place(one, "answers" if place else "opens")
    for one in others[:-1]:  # the last one has heard everybody
        yield _Place(one, "replies")
    yield _Place(decides, "decides")


def _briefing(place: _Place, said: Sequence[_Said]) -> str:
    """What somebody is told of the table, with what everybody said."""
    if place.task == "opens":
        return "Say how this looks from your side. Others answer after you."
    others = [one for one in said if one.name != place.persona.name]
    own = [one.words for one in said if one.name == place.persona.name]
    names = list(dict.fromkeys(one.name for one in others))
    wish = {
        "answers": "Agree or disagree by name, and add what is missing; do not repeat it.",
        "replies": "Reply in two or three sentences: what changes in your view, and what does not?",
        "decides": (
            f"You decide. Then say who owns what, a line for each: {_listed([*names, 'you'])}."
        ),
    }[place.task]
    quotes = [f"{one.name}: {one.words}" for one in others] or ["(nothing)"]
    before = ["You said:", *own] if own else []
    return "\n".join([*before, "The others said:", *quotes, wish])


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "nobody"
