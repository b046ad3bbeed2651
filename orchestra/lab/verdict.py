"""What must hold before personas count as distinct."""

from __future__ import annotations

from collections.abc import Sequence

from orchestra.types.lab import Bar, Interval

_RAREST_P = 0.01


def bars_of(
    accuracy: Interval,
    p: float,
    each: Sequence[Interval],
    hard: Interval,
    question: Interval,
    control: Interval | None,
) -> tuple[Bar, ...]:
    """What must hold.

    Source: bounds for a small model proposed with the metric, from its gaming controls: a canned
    reply fails the fourth and fifth, catch-phrases around a neutral reply the third. Two of many
    who are alike hardly show in a mean, but are told right half of the time at best: the second.

    Args:
        accuracy: Share of all replies told to be by the right one.
        p: How often shuffled labels do as well.
        each: The same shares, of each persona.
        hard: That of all without set phrases, beginnings and punctuation.
        question: Share of replies whose question is found.
        control: As the first, of the model without any persona.
    """
    least = min(each, key=lambda one: one.value)
    chance = 1 / len(each)
    return (
        Bar(
            name="Told apart",
            value=accuracy.value,
            needed="at least 75 %, the interval above 65 %, p at most 0.01",
            passed=accuracy.value >= 0.75 and accuracy.low >= 0.65 and p <= _RAREST_P,  # noqa: PLR2004  # see Source
        ),
        Bar(
            name="Each one told right, the least of them",
            value=least.value,
            needed="at least 60 %, the interval above 50 %",
            passed=least.value >= 0.6 and least.low > 0.5,  # noqa: PLR2004  # see Source
        ),
        Bar(
            name="Told apart without set phrases, beginnings and punctuation",
            value=hard.value,
            needed=f"at least 60 %, the interval above the {100 * chance:.0f} % of guessing",
            passed=hard.value >= 0.6 and hard.low > chance,  # noqa: PLR2004  # see Source
        ),
        Bar(
            name="Replies fit their questions",
            value=question.value,
            needed="at least 65 %",
            passed=question.value >= 0.65,  # noqa: PLR2004  # see Source
        ),
        Bar(
            name="The model without personas is not told apart",
            value=control.value if control else None,
            needed="measured, and the interval below 50 %",
            passed=control is not None and control.high < 0.5,  # noqa: PLR2004  # see Source
        ),
    )
