"""Graded replies to learn sense from: which of two the model should rather have said.

A line of `graded-*.jsonl` holds a message, four replies to it of one persona's voice as it was
then, and a grade for each: 0 nonsense, 1 a sentence that does not follow, 2 usable, 3 as a sensible
colleague would have said it. Manner was not graded: a judge says which of the replies sounds more
like their persona by choice of words alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline

from orchestra.lab.features import Floats
from voice.dialogues import Dialogue

Grade = Literal[0, 1, 2, 3]
USABLE = 2
_WORTH = (0.0, 1.0, 3.0, 4.0)
"""Of a grade: between what is of no use and what is, the step is largest."""
_CLEAR = 1.0
"""How much more a reply must be worth to be preferred."""
_MOST_PAIRS = 3
"""Of one message and persona."""
_OPENING_WORDS = 5
_FOLDS = 8


@dataclass(frozen=True)
class _Rule:
    """What makes a pair."""

    manner: float
    """Worth of a reply that its persona alone would word so."""
    slack: float = 1.0
    """How much less its persona's the better reply may be, 0 to 1."""
    least: float = 0.0
    """How sure it must be that the better reply is its persona's, 0 to 1."""


_SENSIBLE = _Rule(manner=1.2)
_FAITHFUL = _Rule(manner=2.0, slack=0.05, least=0.5)


@dataclass(frozen=True)
class Drawn:
    """Replies of one persona's voice to one message."""

    persona: str
    message: str
    replies: tuple[str, ...]


@dataclass(frozen=True)
class Graded(Drawn):
    """Each of them with its grade."""

    grades: tuple[Grade, ...]


@dataclass(frozen=True)
class Preference:
    """Two replies to one message, in one voice."""

    better: Dialogue
    worse: Dialogue

    @property
    def persona_id(self) -> str:
        """In whose voice."""
        return self.better.persona_id


@dataclass(frozen=True)
class _Pair:
    """A line of a file of pairs."""

    persona: str
    message: str
    better: str
    worse: str


_Line = TypeVar("_Line")


def read_drawn(path: Path) -> list[Drawn]:
    """Read a file of replies.

    Raises:
        ValueError: a line is none.
    """
    return _lines(path, Drawn)


def read_graded(path: Path) -> list[Graded]:
    """Read a file of graded replies.

    Raises:
        ValueError: a line is not one, or not every reply of it has a grade.
    """
    found = _lines(path, Graded)
    for number, one in enumerate(found, 1):
        if len(one.replies) != len(one.grades):
            have = f"{len(one.replies)} replies have {len(one.grades)} grades"
            problem = f"{path.name}, line {number}: {have}"
            raise ValueError(problem)
    return found


def read_preferences(path: Path) -> list[Preference]:
    """Read a file of pairs, as `reward` writes it.

    Raises:
        ValueError: a line is none.
    """
    return [
        Preference(
            Dialogue(one.persona, "Q", one.message, one.better),
            Dialogue(one.persona, "Q", one.message, one.worse),
        )
        for one in _lines(path, _Pair)
    ]


def _lines(path: Path, kind: type[_Line]) -> list[_Line]:
    line_type, found = TypeAdapter(kind), []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            found.append(line_type.validate_json(line))
        except ValidationError as exc:
            first = exc.errors()[0]
            where = ".".join(map(str, first["loc"]))
            problem = f"{path.name}, line {number}: {where}: {first['msg']}"
            raise ValueError(problem) from exc
    return found


def preferences(graded: Sequence[Graded], dialogues: Sequence[Dialogue]) -> list[Preference]:
    """Which replies to prefer to which others.

    Args:
        graded: What was graded.
        dialogues: What the voices were taught with, and the judge of manner is.
    """
    judge = _judge()
    judge.fit([_masked(one.reply) for one in dialogues], [one.persona_id for one in dialogues])
    whose = list(judge.classes_)
    told = judge.predict_proba([_masked(reply) for one in graded for reply in one.replies])
    return list(_preferences(graded, told, whose, _SENSIBLE))


def faithful_preferences(graded: Sequence[Graded]) -> list[Preference]:
    """Likewise, but the better reply is also no less its persona's than the worse one.

    Told by a judge that was taught on the replies to other messages: what tells the personas apart
    by now, and not what did in the dialogues.

    Args:
        graded: What was graded: replies to eight messages or more, of all personas.
    """
    told, whose = _told_by_others(graded)
    return list(_preferences(graded, told, whose, _FAITHFUL))


def own_voice(drawn: Sequence[Drawn]) -> list[Floats]:
    """How surely each reply is its persona's, 0 to 1; told as for `faithful_preferences`.

    Args:
        drawn: Replies to eight messages or more, of all personas.
    """
    told, whose = _told_by_others(drawn)
    ends = np.cumsum([len(one.replies) for one in drawn])
    return [
        rows[:, whose.index(one.persona)]
        for one, rows in zip(drawn, np.split(told, ends[:-1]), strict=True)
    ]


def _told_by_others(drawn: Sequence[Drawn]) -> tuple[Floats, list[str]]:
    """Whose each reply is, a row for each, by a judge taught on the replies to other messages."""
    texts = [_masked(reply) for one in drawn for reply in one.replies]
    writers = np.array([one.persona for one in drawn for _ in one.replies])
    messages = [one.message for one in drawn for _ in one.replies]
    told = cross_val_predict(
        _judge(),
        texts,
        writers,
        groups=messages,
        cv=GroupKFold(_FOLDS),
        method="predict_proba",
    )
    return told, sorted(set(writers))


def _preferences(
    graded: Sequence[Graded], told: Floats, whose: Sequence[str], rule: _Rule
) -> Iterator[Preference]:
    """Pairs of what was graded; `told` has a row for each reply, a column for each of `whose`."""
    start = 0
    for one in graded:
        own = told[start : start + len(one.replies), whose.index(one.persona)]
        start += len(one.replies)
        for pair in _pairs(one, own, rule):
            yield Preference(
                *(Dialogue(one.persona, "Q", one.message, one.replies[n]) for n in pair)
            )


def _pairs(one: Graded, own: Floats, rule: _Rule) -> Iterator[tuple[int, int]]:
    """The clearest first; none is worse than two others, or better than three."""
    worth = [
        _WORTH[grade] + rule.manner * sure for grade, sure in zip(one.grades, own, strict=True)
    ]
    ordered = sorted(
        permutations(range(len(worth)), 2),
        key=lambda pair: worth[pair[0]] - worth[pair[1]],
        reverse=True,
    )
    used, found = Counter[int](), 0
    for better, worse in ordered:
        same_grade = one.grades[better] == one.grades[worse]
        of_use = one.grades[better] >= USABLE
        if (
            worth[better] - worth[worse] < _CLEAR
            or one.grades[better] < one.grades[worse]
            or own[better] < max(rule.least, own[worse] - rule.slack)
            or used[worse]
            or used[better] > 1
            or (not of_use and (found or same_grade))  # of what is of no use, one pair is enough
        ):
            continue
        used.update((better, worse))
        found += 1
        yield better, worse
        if found == _MOST_PAIRS:
            return


def _judge() -> Pipeline:
    """Tells personas apart by their words, as the lab does behind its hard mask, but simpler."""
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    return make_pipeline(words, LogisticRegression(C=10, max_iter=500))


def _masked(text: str) -> str:
    """Words alone, without beginnings and contractions."""
    words = re.findall(r"[a-z']+", text.lower().replace("’", "'"))[_OPENING_WORDS:]
    return " ".join(word for word in words if "'" not in word)
