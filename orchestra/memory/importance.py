"""How much a decision matters when room runs out."""

from __future__ import annotations

import re

ASKED_FOR = 1.0
"""The person said to remember it."""
DECISIVE = 0.7
"""Words of deciding are in it."""
ORDINARY = 0.4

_DECISIVE = re.compile(
    r"\b(decide|decided|decision|agree|agreed|choose|chose|plan|approve|approved|must|deadline|"
    r"budget|hire|launch|price|prices|strategy|goal)\b",
    re.IGNORECASE,
)
_REMEMBER = re.compile(r"\b(remember|don't forget|do not forget|note that|keep in mind)\b", re.I)


def importance_of(task: str, decision: str) -> float:
    """Estimate it from the words of a task and what was decided, 0..1."""
    if _REMEMBER.search(task):
        return ASKED_FOR
    return DECISIVE if _DECISIVE.search(f"{task} {decision}") else ORDINARY
