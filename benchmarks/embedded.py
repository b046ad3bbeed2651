"""The embedded model: how long people wait for it, and what it takes of the memory."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import median

import psutil

from benchmarks.house import opened
from benchmarks.table import Row, show
from orchestra.conversation import Conversation
from orchestra.database import now
from orchestra.types.conversation import Delta, Message, Recalled
from orchestra.types.memory import Owner, Record

QUESTIONS = (
    "How do I get past the gatekeeper when cold calling?",
    "A client says our offer is too expensive. What do I answer?",
    "How should we plan the launch timeline for the new app?",
    "Which channel should we advertise our bakery on?",
    "How do I find out why customers leave in the second month?",
    "What should a blog post about remote work open with?",
    "How many people do I have to interview for a usability study?",
    "What does a falling conversion rate with rising traffic mean?",
    "Should we open a second office or stay in one city?",
    "Two of my managers disagree about priorities. What should I do?",
    "How do I tell the team that the project is late?",
    "Should we raise prices before or after the summer?",
)
_DECISIONS = (
    "Start small, measure for two weeks, then decide together with the team.",
    "Ask what matters most to them first, and answer that point alone.",
    "Write the two options down with their costs and choose by Friday.",
)


@dataclass(frozen=True)
class _Turn:
    first_token_ms: float
    total_ms: float
    recalled: int


async def main() -> None:
    """Print the table."""
    async with opened(embedded_model=True) as orchestra:
        conversation = orchestra.conversation
        fresh = [await _turn(conversation, f"fresh {n}", text) for n, text in enumerate(QUESTIONS)]
        for number, text in enumerate(QUESTIONS):
            route = await conversation.route(Message(text=text))
            owner = Owner(f"known {number}", route.persona_id)
            await orchestra.memory.keep_all(_history(owner, route.domain, text))
        known = [await _turn(conversation, f"known {n}", text) for n, text in enumerate(QUESTIONS)]
        resident = psutil.Process().memory_info().rss / 1e9
    recalled = sum(turn.recalled for turn in known) / len(known)
    show(
        f"Embedded model: {len(QUESTIONS)} questions, each by a person of its own",
        [
            *_rows(fresh, "nothing recalled"),
            *_rows(known, f"{recalled:.1f} decisions recalled"),
            Row("resident memory without the screen", f"{resident:.2f} GB", "<= 1.3 GB in all"),
        ],
    )


async def _turn(conversation: Conversation, user_id: str, text: str) -> _Turn:
    started, first, recalled = time.perf_counter(), None, 0
    async for event in conversation.answer(Message(text=text, user_id=user_id)):
        if isinstance(event, Recalled):
            recalled = len(event.memories)
        elif isinstance(event, Delta):
            first = first or time.perf_counter()
    ended = time.perf_counter()
    return _Turn(((first or ended) - started) * 1000, (ended - started) * 1000, recalled)


def _history(owner: Owner, domain: str, text: str) -> list[Record]:
    """Earlier questions on the same subject, with what was decided."""
    return [
        Record(
            owner=owner,
            conversation_id=f"earlier {number}",
            domain=domain,
            task=f"{opening} {text}",
            decision=decision,
            importance=0.7,
            created_at=now(),
            message_id=str(number),
        )
        for number, (opening, decision) in enumerate(
            zip(("Last month:", "Again, for a bigger team:", "In short:"), _DECISIONS, strict=True)
        )
    ]


def _rows(turns: list[_Turn], what: str) -> list[Row]:
    first = median(turn.first_token_ms for turn in turns)
    total = median(turn.total_ms for turn in turns)
    slowest = max(turn.total_ms for turn in turns)
    measured = f"{total / 1000:.2f} s (slowest {slowest / 1000:.2f})"
    return [
        Row(f"first token, median, {what}", f"{first / 1000:.2f} s", "<= 0.3 s"),
        Row(f"whole reply, median, {what}", measured, "<= 1.2 s"),
    ]


if __name__ == "__main__":
    asyncio.run(main())
