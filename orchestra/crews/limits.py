"""How much crews work on at one time, and how long things may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The settings of crews."""

    per_process: int = 4
    """Tasks that are worked on at one time, in one process."""
    per_person: int = 3
    in_all: int = 16
    step_seconds: float = 600
    task_seconds: float = 3600
    keep_days: float = 90
    """How long a task that is over can be looked at."""
