"""What must hold before personas count as distinct."""

from __future__ import annotations

from orchestra.types.lab import Bar, Interval

_RAREST_P = 0.01


def bars_of(
    accuracy: Interval, p: float, hard: Interval, question: Interval, control: Interval | None
) -> tuple[Bar, ...]:
    """What must hold.

    Source: bounds for a small model proposed with the metric, from its gaming controls: a canned
    reply fails the third and fourth, catch-phrases around a neutral reply the third.
    """
    return (
        Bar(
            name="Told apart",
            value=accuracy.value,
            needed="at least 75 %, the interval above 65 %, p at most 0.01",
            passed=accuracy.value >= 0.75 and accuracy.low >= 0.65 and p <= _RAREST_P,  # noqa: PLR2004  # see Source
        ),
        Bar(
            name="Told apart without set phrases, beginnings and punctuation",
            value=hard.value,
            needed="at least 60 %",
            passed=hard.value >= 0.6,  # noqa: PLR2004  # see Source
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
