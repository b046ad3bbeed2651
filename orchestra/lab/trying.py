"""A draft of a persona beside the persona as it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from orchestra.lab.interview import Interviewer
from orchestra.lab.together import Asked, together
from orchestra.types.lab import Column, ColumnOver, ColumnText
from orchestra.types.persona import Persona, Personas

CURRENT, DRAFT = "current", "draft"


def trying(
    interviewer: Interviewer, personas: Personas, draft: Persona, question: str
) -> AsyncGenerator[ColumnText | ColumnOver, None]:
    """Let both answer one question at once; nothing is kept.

    Args:
        interviewer: The way to the model.
        personas: Those in use.
        draft: An edited one of them.
        question: What both are asked.

    Raises:
        PersonaNotFoundError: the draft is of nobody in use.
    """
    current = personas.get(draft.id)
    members = tuple(draft if one.id == draft.id else one for one in personas.members)
    edited = personas.model_copy(update={"members": members})
    pair = [(CURRENT, current, personas), (DRAFT, draft, edited)]
    return together(
        interviewer,
        question,
        [
            Asked(Column(key=key, persona_id=one.id, wording=one.wording), one, among)
            for key, one, among in pair
        ],
    )
