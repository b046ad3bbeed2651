"""Routing and recall in figures, measured through the same calls that serve a message."""

from __future__ import annotations

import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from orchestra.conversation import Conversation
from orchestra.errors import EvaluationError
from orchestra.llm.embedding import Embedder
from orchestra.memory.keeper import MemoryKeeper
from orchestra.types.conversation import Message
from orchestra.types.memory import Owner, Record

PERSONA = "evaluation"
"""Under whose name the evaluation's memories are kept, in a folder that is thrown away."""


class Latency(BaseModel):
    """Milliseconds."""

    p50: float
    p95: float


class RoutingFigures(BaseModel):
    """How often the router was right."""

    messages: int
    persona_accuracy: float
    domain_accuracy: float
    confusion: dict[str, dict[str, int]]
    """Expected domain -> found domain -> how often."""
    latency_ms: Latency


class RecallFigures(BaseModel):
    """Mean share of the evidence found among the first k memories."""

    questions: int
    memories: int
    recall_at_5: float
    recall_at_10: float
    latency_ms: Latency


@dataclass(frozen=True)
class Question:
    """A question, and the turns that hold its answer."""

    text: str
    evidence: frozenset[str]


@dataclass(frozen=True)
class Dialogue:
    """One conversation of LoCoMo: its turns as records, and questions on them."""

    records: tuple[Record, ...]
    questions: tuple[Question, ...]


async def measure_routing(
    conversation: Conversation, lines: Sequence[dict[str, Any]]
) -> RoutingFigures:
    """Route each line's `text` and compare with its `domain` and `persona`.

    Raises:
        EvaluationError: there are no lines.
        OrchestraError: a message could not be routed.
    """
    if not lines:
        message = "The file holds no messages."
        raise EvaluationError(message)
    confusion: dict[str, Counter[str]] = defaultdict(Counter)
    right_persona, times = 0, []
    for line in lines:
        started = time.perf_counter()
        found = await conversation.route(Message(text=line["text"]))
        times.append((time.perf_counter() - started) * 1000)
        confusion[line["domain"]][found.domain] += 1
        right_persona += found.persona_id == line["persona"]
    right_domain = sum(found[domain] for domain, found in confusion.items())
    return RoutingFigures(
        messages=len(lines),
        persona_accuracy=round(right_persona / len(lines), 4),
        domain_accuracy=round(right_domain / len(lines), 4),
        confusion={domain: dict(found) for domain, found in sorted(confusion.items())},
        latency_ms=latency(times),
    )


async def measure_recall(
    memory: MemoryKeeper, embedder: Embedder, dialogues: Sequence[Dialogue]
) -> RecallFigures:
    """Keep each dialogue as one person's memories, ask its questions, count the evidence found.

    Raises:
        EvaluationError: there are no questions.
        StorageError: memories could not be kept or recalled.
    """
    shares_5, shares_10, times = [], [], []
    for dialogue in dialogues:
        await memory.keep_all(dialogue.records)
    for dialogue in dialogues:
        owner = dialogue.records[0].owner
        named = {record.id: record.message_id for record in dialogue.records}
        for question in dialogue.questions:
            vector = await embedder.embed(question.text)
            started = time.perf_counter()
            found = await memory.recall(owner, question.text, vector, limit=10, at_least=-1)
            times.append((time.perf_counter() - started) * 1000)
            turns = [named[one.id] for one in found]
            shares_5.append(len(question.evidence.intersection(turns[:5])) / len(question.evidence))
            shares_10.append(len(question.evidence.intersection(turns)) / len(question.evidence))
    if not times:
        message = "The file holds no question with evidence."
        raise EvaluationError(message)
    return RecallFigures(
        questions=len(times),
        memories=sum(len(dialogue.records) for dialogue in dialogues),
        recall_at_5=round(float(np.mean(shares_5)), 4),
        recall_at_10=round(float(np.mean(shares_10)), 4),
        latency_ms=latency(times),
    )


def read_locomo(path: Path) -> list[Dialogue]:
    """Read a file in LoCoMo's layout; each turn becomes one memory "Speaker: text".

    Raises:
        EvaluationError: the file cannot be read or is not of that layout.
    """
    try:
        samples = json.loads(path.read_text(encoding="utf-8"))
        return [_dialogue(number, sample) for number, sample in enumerate(samples)]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as exc:
        message = f"{path} cannot be read: {exc}"
        raise EvaluationError(message) from exc
    except (KeyError, TypeError, ValueError) as exc:
        message = f"{path} is not in LoCoMo's layout: {type(exc).__name__} {exc}"
        raise EvaluationError(message) from exc


def latency(times_ms: Sequence[float]) -> Latency:
    """Median and 95th percentile."""
    p50, p95 = np.percentile(times_ms, [50, 95])
    return Latency(p50=round(float(p50), 1), p95=round(float(p95), 1))


def _dialogue(number: int, sample: dict[str, Any]) -> Dialogue:
    owner = Owner(f"{number:03}", PERSONA)
    conversation = sample["conversation"]
    sessions = sorted(
        (int(match[1]), key)
        for key in conversation
        if (match := re.fullmatch(r"session_(\d+)", key))
    )
    records = tuple(
        Record(
            owner=owner,
            conversation_id=f"{number:03}-{key}",
            domain=PERSONA,
            task=f"{turn['speaker']}: {turn['text']}",
            decision="",
            importance=0.4,
            created_at=_moment(conversation[f"{key}_date_time"]),
            message_id=turn["dia_id"],
        )
        for _, key in sessions
        for turn in conversation[key]
    )
    known = {record.message_id for record in records}
    questions = []
    for question in sample["qa"]:
        named = re.findall(r"D\d+:\d+", " ".join(question.get("evidence") or []))
        evidence = frozenset(named) & known
        if evidence:
            questions.append(Question(str(question["question"]), evidence))
    return Dialogue(records, tuple(questions))


def _moment(text: str) -> datetime:
    """'1:56 pm on 8 May, 2023'."""
    return datetime.strptime(text, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
