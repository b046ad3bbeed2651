"""How much of what matters is recalled, and how long everything before the model takes.

LoCoMo (Maharana et al. 2024) is measured with and never shipped: it is CC BY-NC.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.house import messages, opened
from benchmarks.table import Row, show, spread
from orchestra.conversation import Conversation
from orchestra.database import now
from orchestra.evaluation import measure_recall, read_locomo
from orchestra.house import Orchestra
from orchestra.llm.chat import Reply
from orchestra.llm.encoder import Vectors
from orchestra.memory.keeper import RECALL_LIMIT
from orchestra.prompts.compose import FullComposer
from orchestra.replying import Replies
from orchestra.routing.router import Router
from orchestra.routing.subjects import read_examples
from orchestra.types.conversation import Message, Prompt
from orchestra.types.memory import Owner, Record

MEMORIES = 10_000
_OTHERS = 20
_PERSONA = "karen"
_PERSON = Owner("person", _PERSONA)
_TUNED_ON = 5
_SOURCE = "snap-research/LoCoMo data/locomo10.json, CC BY-NC, never shipped"


class _Curt:
    """A model of one word, which notes when it was asked."""

    name = "curt"
    asked_at = 0.0

    async def stream(self, prompt: Prompt, reply: Reply) -> AsyncGenerator[str, None]:
        """Yield the word."""
        del prompt
        self.asked_at = time.perf_counter()
        reply.text, reply.finished = "Yes.", True
        yield reply.text


async def main() -> None:
    """Print the table."""
    asked = [one["text"] for one in messages() if one["persona"] == _PERSONA]
    first, second = asked[::2], asked[1::2]
    async with opened() as orchestra:
        recalled = await _recall_of_locomo(orchestra, _locomo())
        before = await _before_the_model(orchestra, first, "0 memories", "p95 <= 30 ms")
        await _fill(orchestra)
        alone = await _recall_alone(orchestra, first)
        after = await _before_the_model(orchestra, second, f"{MEMORIES:,} memories", "p95 <= 60 ms")
    show("Memory", [*recalled, alone, *before, *after])


def _locomo() -> Path | None:
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LOCOMO")  # noqa: TID251  # not a setting of the product
    return Path(given) if given else None


async def _recall_of_locomo(orchestra: Orchestra, path: Path | None) -> list[Row]:
    if path is None:
        return [Row("LoCoMo", f"not given (as argument or LOCOMO=PATH); {_SOURCE}")]
    dialogues = read_locomo(path)
    parts = {"1-5, tuned on": dialogues[:_TUNED_ON], "6-10": dialogues[_TUNED_ON:]}
    rows = []
    for name, part in parts.items():
        found = await measure_recall(orchestra.memory, orchestra.embedder, part)
        rows += [
            Row(
                f"LoCoMo {name}: recall@5, {found.questions} questions", f"{found.recall_at_5:.3f}"
            ),
            Row(f"LoCoMo {name}: recall@10", f"{found.recall_at_10:.3f}", ">= 0.67"),
        ]
    return rows


async def _before_the_model(
    orchestra: Orchestra, texts: Sequence[str], what: str, goal: str
) -> list[Row]:
    """Time whole turns up to the moment when the model is asked, after one warm-up."""
    model = _Curt()
    conversation = _conversation(orchestra, model)
    times, cpu_started = [], 0.0
    for text in texts:
        started = time.perf_counter()
        message = Message(text=text, user_id=_PERSON.user_id)
        async for _ in conversation.answer(message):
            pass
        times.append((model.asked_at - started) * 1000)
        cpu_started = cpu_started or time.process_time()
    cpu_ms = (time.process_time() - cpu_started) * 1000 / (len(times) - 1)
    return [
        Row(f"before the model (embed, route, recall, compose), {what}", spread(times[1:]), goal),
        Row(f"CPU of the same per message, {what}", f"{cpu_ms:.1f} ms", "about 50 ms in all"),
    ]


def _conversation(orchestra: Orchestra, model: _Curt) -> Conversation:
    settings = orchestra.settings
    examples = read_examples(settings.personas_dir / "domains.yaml")
    router = Router(examples, orchestra.embedder, orchestra.lessons, settings.data_dir)
    replies = Replies(FullComposer(), model, orchestra.embedder, orchestra.memory)
    return Conversation(orchestra.roster, orchestra.embedder, router, orchestra.memory, replies)


async def _fill(orchestra: Orchestra) -> None:
    """Keep MEMORIES of one person and as many of others, of the same persona."""
    chance = np.random.default_rng(7)
    examples = read_examples(orchestra.settings.personas_dir / "domains.yaml")
    words = np.array(" ".join(examples.texts).split())  # as often as people use them
    others = itertools.cycle(Owner(f"other {number}", _PERSONA) for number in range(_OTHERS))
    owners = [owner for _ in range(MEMORIES) for owner in (_PERSON, next(others))]
    records = [_record(owner, number, words, chance) for number, owner in enumerate(owners)]
    await orchestra.memory.keep_all(records, _directions(chance, len(records), orchestra))
    await orchestra.memory.settle()


def _record(
    owner: Owner, number: int, words: npt.NDArray[np.str_], chance: np.random.Generator
) -> Record:
    task, decision = (" ".join(chance.choice(words, size)) for size in (12, 30))
    return Record(
        owner=owner,
        conversation_id=f"{owner.user_id} {number // 100}",
        domain="sales",
        task=task,
        decision=decision,
        importance=0.4,
        created_at=now() - timedelta(minutes=2 * MEMORIES - number),
        message_id=str(number),
    )


def _directions(chance: np.random.Generator, count: int, orchestra: Orchestra) -> Vectors:
    """Random unit rows: how long recall takes does not depend on where vectors point."""
    vectors = chance.standard_normal((count, orchestra.embedder.width), dtype=np.float32)
    directions: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return directions


async def _recall_alone(orchestra: Orchestra, texts: Sequence[str]) -> Row:
    times = []
    for text in texts:
        vector = await orchestra.embedder.embed(text)
        started = time.perf_counter()
        await orchestra.memory.recall(_PERSON, text, vector, RECALL_LIMIT, at_least=-1)
        times.append((time.perf_counter() - started) * 1000)
    figure = f"recall alone, {MEMORIES:,} memories of one person and as many of others"
    return Row(figure, f"{spread(times[1:])} (first {times[0]:.0f} ms)", "p95 <= 50 ms")


if __name__ == "__main__":
    asyncio.run(main())
