"""The table that every benchmark prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Row(NamedTuple):
    """One figure; `goal` is empty where there is none."""

    figure: str
    measured: str
    goal: str = ""


def show(title: str, rows: Sequence[Row]) -> None:
    """Print a table to stdout."""
    heading = Row("figure", "measured", "to reach")
    widths = [max(len(row[column]) for row in (heading, *rows)) for column in range(3)]
    rule = Row(*("-" * width for width in widths))
    lines = [
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heading, rule, *rows)
    ]
    sys.stdout.write("\n".join([title, *lines, "", ""]))
    sys.stdout.flush()


def spread(times_ms: Sequence[float]) -> str:
    """Median and 95th percentile in words."""
    p50, p95 = np.percentile(times_ms, [50, 95])
    return f"p50 {p50:.1f} ms, p95 {p95:.1f} ms"
