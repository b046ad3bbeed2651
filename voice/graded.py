"""Graded replies to learn sense from: which of two the model should rather have said.

A line of `graded-*.jsonl` holds a message, four replies to it of one persona's voice as it was
then, and a grade for each: 0 nonsense, 1 a sentence that does not follow, 2 usable, 3 as a sensible
colleague would have said it. Manner was not graded: a judge taught on the dialogues says which of
the replies sounds more like their persona by choice of words alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from orchestra.lab.features import Floats
from voice.dialogues import Dialogue

Grade = Literal[0, 1, 2, 3]
USABLE = 2
_WORTH = (0.0, 1.0, 3.0, 4.0)
"""Of a grade: between what is of no use and what is, the step is largest."""
_MANNER = 1.2
"""Worth of a reply that its persona alone would word so."""
_CLEAR = 1.0
"""How much more a reply must be worth to be preferred."""
_MOST_PAIRS = 3
"""Of one message and persona."""
_OPENING_WORDS = 5


@dataclass(frozen=True)
class Graded:
    """Replies to one message, each with its grade."""

    persona: str
    message: str
    replies: tuple[str, ...]
    grades: tuple[Grade, ...]


_LINE = TypeAdapter(Graded)


@dataclass(frozen=True)
class Preference:
    """Two replies to one message, in one voice."""

    better: Dialogue
    worse: Dialogue

    @property
    def persona_id(self) -> str:
        """In whose voice."""
        return self.better.persona_id


def read_graded(path: Path) -> list[Graded]:
    """Read a file of graded replies.

    Raises:
        ValueError: a line is not one, or not every reply of it has a grade.
    """
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        place = f"{path.name}, line {number}"
        try:
            one = _LINE.validate_json(line)
        except ValidationError as exc:
            first = exc.errors()[0]
            problem = f"{place}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise ValueError(problem) from exc
        if len(one.replies) != len(one.grades):
            problem = f"{place}: {len(one.replies)} replies have {len(one.grades)} grades"
            raise ValueError(problem)
        found.append(one)
    return found


def preferences(graded: Sequence[Graded], dialogues: Sequence[Dialogue]) -> list[Preference]:
    """Which replies to prefer to which others.

    Args:
        graded: What was graded.
        dialogues: What the voices were taught with, and the judge of manner is.
    """
    judge = _Judge(dialogues)
    return [
        Preference(*(Dialogue(one.persona, "Q", one.message, one.replies[n]) for n in pair))
        for one in graded
        for pair in _pairs(one, judge)
    ]


def _pairs(one: Graded, judge: _Judge) -> Iterator[tuple[int, int]]:
    """The clearest first; none is worse than two others, or better than three."""
    manner = judge.share(one.persona, one.replies)
    worth = [_WORTH[grade] + _MANNER * own for grade, own in zip(one.grades, manner, strict=True)]
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


class _Judge:
    """Tells personas apart by their words, as the lab does behind its hard mask, but simpler."""

    def __init__(self, dialogues: Sequence[Dialogue]) -> None:
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        self._judge: Pipeline = make_pipeline(words, LogisticRegression(C=10, max_iter=500))
        self._judge.fit(
            [_masked(one.reply) for one in dialogues], [one.persona_id for one in dialogues]
        )

    def share(self, persona_id: str, replies: Sequence[str]) -> Floats:
        """How sure it is that replies are this persona's, each from 0 to 1."""
        told = self._judge.predict_proba([_masked(one) for one in replies])
        whose: list[str] = list(self._judge.classes_)
        own: Floats = np.asarray(told[:, whose.index(persona_id)], dtype=float)
        return own


def _masked(text: str) -> str:
    """Words alone, without beginnings and contractions."""
    words = re.findall(r"[a-z']+", text.lower().replace("’", "'"))[_OPENING_WORDS:]
    return " ".join(word for word in words if "'" not in word)
