"""Which questions everybody answered, and whether figures can be made of so many."""

from __future__ import annotations

from collections.abc import Sequence

from orchestra.errors import EvaluationError
from orchestra.lab.asking import CONTROLS, Plan
from orchestra.types.lab import Sample
from orchestra.types.persona import Personas

FEWEST_QUESTIONS = 5
MANY_QUESTIONS = 30
_NEEDED = f"figures need at least {FEWEST_QUESTIONS}, and say little below {MANY_QUESTIONS}."
_FEWEST_PERSONAS = 2
"""One cannot be told from itself."""


def check_plan(plan: Plan) -> None:
    """Refuse what no figures could be made of, before anybody is asked.

    Raises:
        EvaluationError: there are too few questions, or too few personas.
    """
    _check_personas(plan.personas)
    if len(plan.questions) < FEWEST_QUESTIONS:
        message = f"These are {len(plan.questions)} different questions; {_NEEDED}"
        raise EvaluationError(message)


def complete(personas: Personas, samples: Sequence[Sample]) -> list[Sample]:
    """The samples in order, of those questions that everybody answered.

    Raises:
        EvaluationError: too few of them, or too few personas.
    """
    _check_personas(personas)
    ids = personas.ids
    firsts = [one for one in samples if one.part == "first" and one.persona_id in ids]
    answered = {
        question
        for question in {one.question for one in firsts}
        if len({one.persona_id for one in firsts if one.question == question}) == len(ids)
    }
    if len(answered) < FEWEST_QUESTIONS:
        message = f"{len(answered)} questions were answered by everybody; {_NEEDED}"
        raise EvaluationError(message)
    order = {key: place for place, key in enumerate([*ids, *CONTROLS])}
    fitting = [
        one
        for one in samples
        if one.persona_id in order and (one.part == "talk" or one.question in answered)
    ]
    return sorted(fitting, key=lambda one: (one.part, one.place, order[one.persona_id]))


def _check_personas(personas: Personas) -> None:
    if len(personas.members) < _FEWEST_PERSONAS:
        message = "At least two personas are needed to tell them apart."
        raise EvaluationError(message)
