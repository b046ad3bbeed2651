"""Tool of the data subject: what a table's figures show by themselves, each with its test."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from orchestra.crews.tools.tables import file_named, first_table, table_of
from orchestra.crews.tools.tool import Arguments, Bench, Outcome, Tool
from orchestra.errors import ToolError
from orchestra.types.task import File

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_SLOPES = 1_000
_FEWEST = 8
"""Rows below which no test says anything."""
_SIGNIFICANT = 0.05
_MOST_COLUMNS = 12


class Look(Arguments):
    """A table to be looked at."""

    file: str = Field(description="Name of the CSV, Excel, Parquet or JSON file.")


async def look_closely(look: Look, bench: Bench) -> Outcome:
    """Say what a table's figures show: trends, outliers, correlations, each with its test.

    Raises:
        ToolError: there is no such file, or no numbers in it.
    """
    return Outcome(await asyncio.to_thread(_insights, file_named(bench, look.file)))


TOOLS = (
    Tool(
        "insight_extractor",
        frozenset({"data"}),
        "Finds trends, outliers and correlations in an attached table, with the tests used.",
        Look,
        look_closely,
        first_table,
    ),
)


def _insights(file: File) -> str:
    name, table = file.name, table_of(file)
    columns = _numbers(table)
    if not columns:
        message = f"There are no numbers in {name}."
        raise ToolError(message)
    lines = [f"{name}: {table.num_rows} rows, {table.num_columns} columns."]
    for title, cells in columns.items():
        known = cells[~np.isnan(cells)]
        lines.append(
            f"- {title}: {len(known)} values from {known.min():.6g} to {known.max():.6g}, median "
            f"{np.median(known):.6g}, mean {known.mean():.6g}, {len(cells) - len(known)} missing."
        )
        lines += [f"  - {said}" for said in (_trend(known), _outliers(known)) if said]
    lines += _correlations(columns)
    return "\n".join(lines)


def _numbers(table: pa.Table) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """The columns of numbers, missing ones as nan; a column of which nothing is known is none."""
    import pyarrow as pa  # noqa: PLC0415  # as above

    found = {}
    for title in table.column_names[: 4 * _MOST_COLUMNS]:
        column = table[title]
        kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
        if any(is_kind(column.type) for is_kind in kinds):
            cells = np.array([np.nan if c is None else float(c) for c in column.to_pylist()])
            if not np.isnan(cells).all():
                found[title] = cells
    return dict(itertools.islice(found.items(), _MOST_COLUMNS))


def _trend(cells: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """Whether values go up or down in the order of the rows.

    Source: Mann (1945) and Kendall (1975): Kendall's tau of the values against their order.
    """
    from scipy.stats import kendalltau, theilslopes  # noqa: PLC0415  # half a second

    if len(cells) < _FEWEST or np.ptp(cells) == 0:
        return ""
    tau, p = kendalltau(np.arange(len(cells)), cells)
    if not p < _SIGNIFICANT:
        return f"no trend in the order of the rows (Mann-Kendall, tau {tau:.2f}, p = {p:.2g})"
    rows = np.arange(len(cells))[:: max(1, len(cells) // _MOST_SLOPES)]  # it looks at every pair
    slope = theilslopes(cells[rows], rows).slope
    way = "rises" if tau > 0 else "falls"
    return (
        f"{way} in the order of the rows by about {abs(slope):.3g} per row "
        f"(Mann-Kendall, tau {tau:.2f}, p = {p:.2g}; Theil-Sen slope)"
    )


def _outliers(cells: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """Values that lie far from the others.

    Source: Iglewicz and Hoaglin (1993): modified z-scores above 3.5.
    """
    if len(cells) < _FEWEST:
        return ""
    middle = np.median(cells)
    spread = np.median(np.abs(cells - middle))
    if spread == 0:
        return ""
    odd = cells[0.6745 * np.abs(cells - middle) / spread > 3.5]  # noqa: PLR2004  # see Source
    if not len(odd):
        return ""
    shown = ", ".join(f"{value:.6g}" for value in odd[:5])
    return f"{len(odd)} outliers: {shown} (modified z-score above 3.5)"


def _correlations(columns: Mapping[str, np.ndarray[Any, np.dtype[np.float64]]]) -> list[str]:
    """Pairs that go together.

    Source: Spearman (1904); Holm (1979) for testing many pairs.
    """
    from scipy.stats import spearmanr  # noqa: PLC0415  # as above

    tested = []
    for (one, xs), (other, ys) in itertools.combinations(columns.items(), 2):
        both = ~(np.isnan(xs) | np.isnan(ys))
        if both.sum() >= _FEWEST and np.ptp(xs[both]) > 0 and np.ptp(ys[both]) > 0:
            rho, p = spearmanr(xs[both], ys[both])
            tested.append((float(p), float(rho), one, other))
    tested.sort()
    lines = []
    for place, (p, rho, one, other) in enumerate(tested):
        if p * (len(tested) - place) >= _SIGNIFICANT:
            break
        lines.append(f"- {one} and {other} go together: rho = {rho:.2f}, p = {p:.2g}")
    method = f"(Spearman's rank correlation, Holm's correction for {len(tested)} pairs)"
    found = lines or ["- none that could not be chance"]
    return [f"Correlations {method}:", *found] if tested else []
