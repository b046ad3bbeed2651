"""Tools of the data subject: SQL over tables, and charts."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from orchestra.crews.tools.charts import live_chart
from orchestra.crews.tools.tables import file_named, first_table, markdown, table_of
from orchestra.crews.tools.tool import Arguments, Bench, Outcome, Tool
from orchestra.errors import ToolError
from orchestra.types.task import File

if TYPE_CHECKING:
    import duckdb
    import plotly.graph_objects as go

_MOST_ROWS = 10_000
_ROWS_AT_ONCE = 200
_MOST_CHARACTERS = 20_000_000
_INTERRUPT_SECONDS = 2.0
_SHOWN_ROWS = 30


class Query(Arguments):
    """A question to a table."""

    file: str = Field(description="Name of the CSV, Excel, Parquet or JSON file.")
    sql: str = Field(
        "SELECT * FROM data LIMIT 30",
        max_length=10_000,
        description="One SELECT over the table 'data', in DuckDB's SQL.",
    )


class Chart(Arguments):
    """A chart: of a query to a file, or of the labels and values that are given."""

    kind: Literal["bar", "line", "scatter", "pie", "histogram"] = "bar"
    title: str = Field(min_length=1, max_length=200)
    file: str | None = Field(None, description="Name of the file; or give labels and values.")
    sql: str | None = Field(
        None, description="One SELECT over 'data': the first column is the label, others values."
    )
    labels: list[str] | None = Field(None, max_length=1000)
    values: list[float] | None = Field(None, max_length=1000)
    unit: str | None = Field(None, max_length=40, description="Of the values, for the axis.")


async def process(query: Query, bench: Bench) -> Outcome:
    """Answer a question to a table.

    Raises:
        ToolError: there is no such file, or the SQL is wrong, writes, or is more than one SELECT.
    """
    columns, rows = await _asked(file_named(bench, query.file), query.sql)
    return await asyncio.to_thread(_told, columns, rows)


async def draw(chart: Chart, bench: Bench) -> Outcome:
    """Draw a chart.

    Raises:
        ToolError: there is nothing to draw.
    """
    if chart.file is not None:
        columns, rows = await _asked(file_named(bench, chart.file), chart.sql or "FROM data")
        labels = [str(row[0]) for row in rows]
        series = {
            name: [row[place] for row in rows]
            for place, name in enumerate(columns)
            if place and all(isinstance(row[place], int | float | Decimal | None) for row in rows)
        }
        if len(columns) == 1 and chart.kind == "histogram":
            series = {columns[0]: [row[0] for row in rows]}
    else:
        labels, values = chart.labels or [], chart.values or []
        if chart.kind != "histogram" and len(labels) != len(values):
            message = f"There are {len(labels)} labels and {len(values)} values; give as many."
            raise ToolError(message)
        series = {chart.unit or "value": list(values)}
    drawn = {name: cells for name, cells in series.items() if any(c is not None for c in cells)}
    if not drawn:
        message = "There is nothing to draw: no numbers. Give labels and values, or a file and SQL."
        raise ToolError(message)
    file = await asyncio.to_thread(_drawn, chart, labels, drawn)
    count = sum(len(cells) for cells in drawn.values())
    said = f"Drew a {chart.kind} chart '{chart.title}' with {count} values of {', '.join(drawn)}."
    return Outcome(said, (file,))


TOOLS = (
    Tool(
        "data_processor",
        frozenset({"data", "research"}),
        "Answers questions to an attached table with one SQL SELECT over 'data' (DuckDB).",
        Query,
        process,
        first_table,
    ),
    Tool(
        "chart_generator",
        frozenset({"data", "research", "sales", "marketing"}),
        "Draws an interactive chart from an attached table or from given labels and values.",
        Chart,
        draw,
    ),
)


async def _asked(file: File, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns and rows of a query; stopped in the database when nobody waits any more.

    Raises:
        ToolError: the SQL is wrong, writes, or is more than one SELECT.
    """
    connection = await asyncio.to_thread(_opened, file)
    running = asyncio.create_task(asyncio.to_thread(_rows, connection, sql))
    try:
        return await asyncio.shield(running)
    finally:
        if not running.done():
            connection.interrupt()
            await asyncio.wait({running}, timeout=_INTERRUPT_SECONDS)
        # A function that does not hear the interrupt goes on in its thread, and closes it then.
        running.add_done_callback(lambda _: connection.close())


def _fetched(result: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    """The first rows, as many as there is room for.

    Raises:
        ToolError: a few of them are too large already.
    """
    rows: list[tuple[Any, ...]] = []
    size = 0
    while len(rows) < _MOST_ROWS and (some := result.fetchmany(_ROWS_AT_ONCE)):
        rows += some
        size += sum(len(cell) for row in some for cell in row if isinstance(cell, str | bytes))
        if size > _MOST_CHARACTERS:
            message = f"The answer is larger than {_MOST_CHARACTERS:,} characters. Ask for less."
            raise ToolError(message)
    return rows


def _told(columns: list[str], rows: list[tuple[Any, ...]]) -> Outcome:
    shown = markdown(columns, rows[:_SHOWN_ROWS])
    more = f"\n({len(rows)} rows in all)" if len(rows) > _SHOWN_ROWS else ""
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    file = File("query result.csv", "text/csv", text.getvalue().encode())
    return Outcome(f"{shown}{more}", (file,))


def _drawn(chart: Chart, labels: list[str], series: Mapping[str, list[Any]]) -> File:
    return live_chart(chart.title[:60], _figure(chart, labels, series))


def _opened(file: File) -> duckdb.DuckDBPyConnection:
    """A database that knows this one table and can reach nothing else.

    Source: duckdb.org/docs/operations_manual/securing_duckdb.
    """
    import duckdb  # noqa: PLC0415  # a fifth of a second, for who needs it

    table = table_of(file)
    config: dict[str, str | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": "512MB",
        "temp_directory": "",  # else it spills into files that other queries could read
        "max_temp_directory_size": "0B",
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.register("data", table)
    for setting in ("enable_external_access", "python_enable_replacements"):
        connection.execute(f"SET {setting} = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _rows(
    connection: duckdb.DuckDBPyConnection, sql: str
) -> tuple[list[str], list[tuple[Any, ...]]]:
    import duckdb  # noqa: PLC0415  # as above

    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            message = "Only one SELECT is allowed: the table can be read, not changed."
            raise ToolError(message)
        result = connection.execute(statements[0])
        columns = [column[0] for column in result.description or ()]
        return columns, _fetched(result)
    except duckdb.Error as exc:
        schema = connection.execute("DESCRIBE data").fetchall()
        known = ", ".join(f"{row[0]} {row[1]}" for row in schema)
        said = " ".join(str(exc).split())[:300]
        message = f"DuckDB says: {said}. The table 'data' has the columns {known}."
        raise ToolError(message) from exc


def _figure(chart: Chart, labels: list[str], series: Mapping[str, list[Any]]) -> go.Figure:
    import plotly.graph_objects as go  # noqa: PLC0415  # half a second, for who needs it

    figure = go.Figure()
    for name, cells in series.items():
        match chart.kind:
            case "bar":
                figure.add_bar(x=labels, y=cells, name=name)
            case "line":
                figure.add_scatter(x=labels, y=cells, name=name, mode="lines+markers")
            case "scatter":
                figure.add_scatter(x=labels, y=cells, name=name, mode="markers")
            case "pie":
                figure.add_pie(labels=labels, values=cells, name=name)
            case "histogram":
                figure.add_histogram(x=cells, name=name)
    figure.update_layout(yaxis_title=chart.unit, showlegend=len(series) > 1)
    return figure
