"""How a part of the house is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PartStatus:
    """One part, for health, doctor and people."""

    part: str
    ok: bool
    detail: str
    fix: str = ""
    """How to mend it."""
