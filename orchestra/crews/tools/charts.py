"""Charts as files: live ones for the page, and pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from orchestra.types.task import File

if TYPE_CHECKING:
    import plotly.graph_objects as go

PLOTLY = "application/json;profile=plotly"
"""Content type of a chart: Chainlit reads a figure from nothing but application/json."""
_CRITICAL, _SLACK, _INK = "#c2410c", "#64748b", "#8a938f"
"""The last one can be read on paper and on slate."""
_ROW, _BAR, _NAMES, _WIDTH = 28, 16, 170, 560
"""Sizes in a picture, in pixels."""


@dataclass(frozen=True)
class Span:
    """One bar of a Gantt chart."""

    name: str
    begins: float
    """Days from the start of the plan."""
    days: float
    dates: str
    is_critical: bool

    @property
    def colour(self) -> str:
        """Of the bar."""
        return _CRITICAL if self.is_critical else _SLACK


def live_chart(title: str, figure: go.Figure) -> File:
    """A Plotly figure on whatever background the page has."""
    clear = "rgba(0,0,0,0)"
    grid = {"gridcolor": "rgba(138,147,143,.25)", "zerolinecolor": "rgba(138,147,143,.4)"}
    figure.update_layout(
        template="none",
        title=title,
        paper_bgcolor=clear,
        plot_bgcolor=clear,
        font={"color": _INK, "family": "inherit"},
        margin={"t": 56, "r": 24},
    )
    figure.update_xaxes(automargin=True, **grid)
    figure.update_yaxes(automargin=True, **grid)
    drawn = {**json.loads(figure.to_json()), "config": {"displayModeBar": False}}
    return File(f"{title}.plotly.json", PLOTLY, json.dumps(drawn).encode())


def gantt_picture(title: str, spans: Sequence[Span]) -> File:
    """A Gantt chart as SVG, for documents and mails."""
    whole = max(one.begins + one.days for one in spans)
    scale = _WIDTH / whole
    height = _ROW * (len(spans) + 1)
    rows = []
    for number, one in enumerate(spans, 1):
        top = number * _ROW
        rows.append(
            f'<text x="{_NAMES - 8}" y="{top + 13}" text-anchor="end">{escape(one.name)}</text>'
            f'<rect x="{_NAMES + one.begins * scale:.1f}" y="{top}" rx="3" '
            f'width="{max(2.0, one.days * scale):.1f}" height="{_BAR}" fill="{one.colour}">'
            f"<title>{escape(one.dates)}</title></rect>"
        )
    drawn = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_NAMES + _WIDTH + 16} {height}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{_INK}">'
        f'<text x="0" y="14" font-weight="600">{escape(title)}</text>{"".join(rows)}</svg>'
    )
    return File(f"{title}.svg", "image/svg+xml", drawn.encode())
