"""How well replies tell personas apart, with what chance would give beside it.

Source: authorship attribution with character n-grams and function words after Stamatatos (2009),
"A survey of modern authorship attribution methods"; closed-form leave-one-group-out predictions of
kernel ridge regression after Rifkin and Lippert (2007), "Notes on regularized least squares";
permutation test within blocks after Ojala and Garriga (2010), "Permutation tests for studying
classifier performance".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from orchestra.lab.features import Floats
from orchestra.types.lab import Interval

Integers: TypeAlias = NDArray[np.int64]

_RIDGE = 0.5
"""Fixed before any figure was seen, and never tuned on replies."""
_RESAMPLES = 2000
_SHUFFLES = 500
_SEED = 7
_ENDS = (2.5, 97.5)
_NO_DISTANCE = 1e-9
"""Of replies that are the same, but for rounding; a reply's mean squared length is 1."""


@dataclass(frozen=True)
class Attribution:
    """Who is told to have written each reply, by a judge who never saw a reply to its question."""

    truth: Integers
    """Writer of each reply, by number."""
    questions: Integers
    """Question of each reply, by number."""
    scores: Floats
    """How much each reply sounds like each writer, shape (replies, writers)."""

    @property
    def told(self) -> Integers:
        """Who was told, by number."""
        told: Integers = self.scores.argmax(axis=1)
        return told

    @property
    def right(self) -> Floats:
        """1 where the right one was told."""
        right: Floats = (self.told == self.truth).astype(float)
        return right

    def accuracy(self) -> Interval:
        """Share told right, bootstrapped over questions."""
        return share(self.right, self.questions)

    def accuracy_of(self, writer: int) -> Interval:
        """The same for one writer's replies."""
        own = self.truth == writer
        return share(self.right[own], self.questions[own])

    def confusion(self, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """Who wrote it -> who was told -> how often."""
        return {
            one: {
                other: int(((self.truth == place) & (self.told == column)).sum())
                for column, other in enumerate(names)
            }
            for place, one in enumerate(names)
        }


def attributed(kernel: Floats, truth: Integers, questions: Integers) -> Attribution:
    """Tell each reply's writer from the replies to all other questions.

    Args:
        kernel: How alike every two replies are, shape (n, n).
        truth: Who wrote each, as numbers from 0.
        questions: What each answers, as numbers.
    """
    labels = _labels(truth)
    scores = np.empty_like(labels)
    smoothed = _smoother(kernel)
    for rows, back in _left_out(smoothed, questions):
        scores[rows] = labels[rows] - back @ (labels[rows] - smoothed[rows] @ labels)
    return Attribution(truth, questions, scores)


def p_value(kernel: Floats, truth: Integers, questions: Integers) -> float:
    """How often labels shuffled within questions are told as well as the true ones.

    The least it can be is 1 / 501: the true labelling counts as one of the shuffles.
    """
    numbers = np.random.default_rng(_SEED)
    smoothed = _smoother(kernel)
    left_out = _left_out(smoothed, questions)

    def rightly_told(labelling: Integers) -> float:
        labels = _labels(labelling)
        residual = labels - smoothed @ labels
        told = np.empty(len(labelling), dtype=int)
        for rows, back in left_out:
            told[rows] = (labels[rows] - back @ residual[rows]).argmax(axis=1)
        return float((told == labelling).mean())

    reached = rightly_told(truth)
    as_good = 1
    for _ in range(_SHUFFLES):
        shuffled = truth.copy()
        for question in np.unique(questions):
            rows = np.flatnonzero(questions == question)
            shuffled[rows] = truth[numbers.permutation(rows)]
        as_good += rightly_told(shuffled) >= reached
    return as_good / (_SHUFFLES + 1)


def learned_elsewhere(
    kernel: Floats, known: Integers, truth: Integers, questions: Integers
) -> Attribution:
    """Tell writers from other texts of theirs alone.

    Args:
        kernel: Shape (k + n, k + n): the texts that are learned from, then the replies.
        known: Who wrote each of the former, (k,).
        truth: Who wrote each of the latter, (n,).
        questions: What each of the latter answers, (n,).
    """
    count = len(known)
    inner = kernel[:count, :count] + _RIDGE * np.eye(count)
    scores = kernel[count:, :count] @ np.linalg.solve(inner, _labels(known))
    # Replies and examples differ in much that is nobody's voice: each writer's mean is taken off.
    return Attribution(truth, questions, scores - scores.mean(axis=0))


def share(right: Floats, questions: Integers) -> Interval:
    """A mean of zeros and ones, with an interval bootstrapped over questions."""
    clusters = np.unique(questions)
    sums = np.array([right[questions == one].sum() for one in clusters])
    sizes = np.array([(questions == one).sum() for one in clusters])
    numbers = np.random.default_rng(_SEED)
    drawn = numbers.integers(len(clusters), size=(_RESAMPLES, len(clusters)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.percentile(means, _ENDS)
    return Interval(value=_shown(right.mean()), low=_shown(low), high=_shown(high))


def separation(
    kernel: Floats, truth: Integers, questions: Integers, rounds: Integers
) -> float | None:
    """How far personas lie apart, in steps of how far one lies from itself.

    The mean squared distance, answering the same question, of different personas' replies over
    that of two replies of the same one; 1 where a persona differs from others as from itself.
    None where nobody differs from itself: such a model says the same to the same question, and
    there is no step to count in.
    """
    size = np.diag(kernel)
    distance = size[:, None] + size[None, :] - 2 * kernel
    same_question = questions[:, None] == questions[None, :]
    same_writer = truth[:, None] == truth[None, :]
    other_round = rounds[:, None] != rounds[None, :]
    between = distance[same_question & ~same_writer & other_round].mean()
    within = distance[same_question & same_writer & other_round].mean()
    return _shown(between / within) if within > _NO_DISTANCE else None


def slope(values: Floats, seed: int = _SEED) -> Interval:
    """Change per step of a series, with an interval bootstrapped over its steps."""
    steps = np.arange(len(values), dtype=float)
    numbers = np.random.default_rng(seed)
    drawn = numbers.integers(len(values), size=(_RESAMPLES, len(values)))
    found = [
        np.polyfit(steps[rows], values[rows], 1)[0] for rows in drawn if np.ptp(steps[rows]) > 0
    ]
    low, high = np.percentile(found, _ENDS)
    all_of_it = np.polyfit(steps, values, 1)[0]
    return Interval(value=_shown(all_of_it), low=_shown(low), high=_shown(high))


def _smoother(kernel: Floats) -> Floats:
    """What fitted values are made of: fitted = smoother @ labels."""
    return np.asarray(np.linalg.solve(kernel + _RIDGE * np.eye(len(kernel)), kernel), dtype=float)


def _left_out(smoothed: Floats, questions: Integers) -> list[tuple[Integers, Floats]]:
    """For each question its replies, and what turns a residual into one that never saw them."""
    found = []
    for question in np.unique(questions):
        rows = np.flatnonzero(questions == question)
        inner = np.eye(len(rows)) - smoothed[np.ix_(rows, rows)]
        found.append((rows.astype(np.int64), np.asarray(np.linalg.inv(inner), dtype=float)))
    return found


def _labels(truth: Integers) -> Floats:
    """1 for a reply's writer, 0 for others, less what chance would give."""
    labels = (truth[:, None] == np.arange(truth.max() + 1)[None, :]).astype(float)
    centred: Floats = labels - labels.mean(axis=0)
    return centred


def _shown(value: float | np.floating[np.typing.NBitBase]) -> float:
    return round(float(value), 4)
