"""The gate: is a new revision less distinct, or less itself, than before, beyond noise?

Source: a drop counts where the difference of two shares is below zero by more than its interval,
from the intervals of both (Newcombe 1998, "Interval estimation for the difference between
independent proportions", method 10), widened so that all comparisons together are wrong in at most
5 of 100 unchanged personas (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

from orchestra.errors import EvaluationError
from orchestra.types.lab import Drop, Gate, Interval, Metrics

_WRONG = 0.05
_LEAST_PART = 0.8
"""Of the questions, where some were never answered: an outage says nothing of an edit."""
_LIKE_EXAMPLES = "sounds like its examples"
_STRENGTH = "strength of its manner"
_LEAST_DROP = 0.05
"""Of a share, or in standard deviations: a difference that nobody would hear is not held against
an author, however certain."""


def gate(baseline: Metrics, now: Metrics, *, in_part: bool = False) -> Gate:
    """Compare two runs.

    Args:
        baseline: The run that was good.
        now: The run to be judged.
        in_part: Whether it may lack some of the baseline's questions.

    Raises:
        EvaluationError: they cannot be compared: other models, personas or questions.
    """
    if baseline.model != now.model:
        message = (
            f"The baseline is of model {baseline.model}, this run of {now.model}: what changed "
            "would be the model. Run the baseline again with this model."
        )
        raise EvaluationError(message)
    missing = sorted(set(baseline.per_persona) ^ set(now.per_persona))
    if missing:
        message = (
            f"{', '.join(missing)}: in one of the two runs only. Run the baseline again with the "
            "personas of today."
        )
        raise EvaluationError(message)
    _check_questions(baseline, now, in_part=in_part)
    changed = [
        one.name
        for key, one in now.per_persona.items()
        if one.wording != baseline.per_persona[key].wording
    ]
    pairs = list(_pairs(baseline, now))
    drops = [drop for pair in pairs if (drop := _drop(*pair, len(pairs))).beyond_noise]
    drops += _lost(baseline, now)
    return Gate(passed=not drops, changed=tuple(changed), drops=tuple(drops))


def told(drop: Drop) -> str:
    """A drop in words, for people."""
    form = "{:.0%}" if drop.is_share else "{:.2f}"
    after = "too few examples to tell" if drop.after is None else form.format(drop.after)
    return f"{drop.who}: {drop.what}, {form.format(drop.before)} before, {after} now"


def _check_questions(baseline: Metrics, now: Metrics, *, in_part: bool) -> None:
    """Refuse runs whose figures are of other questions.

    Raises:
        EvaluationError: they are.
    """
    before, after = set(baseline.asked), set(now.asked)
    if in_part and after <= before:
        if len(after) < _LEAST_PART * len(before):
            message = (
                f"{len(after)} of the baseline's {len(before)} questions were answered by "
                f"everybody; the gate needs {_LEAST_PART:.0%} of them."
            )
            raise EvaluationError(message)
        return
    if (before, baseline.questions) != (after, now.questions):
        message = (
            f"The two runs did not ask the same questions ({baseline.questions} in the baseline, "
            f"{now.questions} in this run): what changed would be the questions. Run the baseline "
            "again, both with the same --questions."
        )
        raise EvaluationError(message)


def _pairs(baseline: Metrics, now: Metrics) -> Iterator[tuple[str, str, Interval, Interval]]:
    """Who, what, before and after."""
    yield "all", "told apart", _attribution(baseline), _attribution(now)
    yield "all", "told apart, masked", baseline.hard_masked, now.hard_masked
    yield "all", "replies fit their questions", baseline.question_id, now.question_id
    for key, one in now.per_persona.items():
        before = baseline.per_persona[key]
        yield one.name, "told to be itself", before.attribution, one.attribution
        if before.on_character is not None and one.on_character is not None:
            yield one.name, _LIKE_EXAMPLES, before.on_character, one.on_character
        if before.strength is not None and one.strength is not None:
            yield one.name, _STRENGTH, before.strength, one.strength


def _lost(baseline: Metrics, now: Metrics) -> Iterator[Drop]:
    """Figures that cannot be measured any more: to take examples away is no way past the gate."""
    for key, one in now.per_persona.items():
        before = baseline.per_persona[key].on_character
        if before is not None and one.on_character is None:
            yield Drop(
                who=one.name,
                what=_LIKE_EXAMPLES,
                before=before.value,
                after=None,
                beyond_noise=True,
            )


def _attribution(metrics: Metrics) -> Interval:
    low, high = metrics.ci95
    return Interval(value=metrics.attribution_accuracy, low=low, high=high)


def _drop(who: str, what: str, before: Interval, after: Interval, comparisons: int) -> Drop:
    """How one figure changed, and whether even the luckiest reading of it is a drop."""
    change = after.value - before.value
    noise = math.hypot(after.high - after.value, before.value - before.low)
    wider = NormalDist().inv_cdf(1 - _WRONG / comparisons) / NormalDist().inv_cdf(0.975)
    return Drop(
        who=who,
        what=what,
        before=before.value,
        after=after.value,
        beyond_noise=change <= -_LEAST_DROP and change + wider * noise < 0,
        is_share=what != _STRENGTH,
    )
