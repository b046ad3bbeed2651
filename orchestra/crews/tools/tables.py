"""Tables out of files: CSV, Excel, Parquet and JSON, in memory, as Arrow."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestra.crews.tools.tool import Bench
from orchestra.errors import ToolError
from orchestra.types.task import File

if TYPE_CHECKING:
    import pyarrow as pa

MOST_BYTES = 50_000_000
MOST_UNPACKED = 200_000_000
_MOST_ROWS = 200_000
_MOST_COLUMNS = 500
_KINDS = (".csv", ".tsv", ".xlsx", ".parquet", ".json")


def file_named(bench: Bench, name: str) -> File:
    """A file that is at hand, by its name in whatever letters.

    Raises:
        ToolError: there is none: says which there are.
    """
    if name in bench.files:
        return bench.files[name]
    for known, file in bench.files.items():
        if known.lower() == name.lower():
            return file
    there = ", ".join(bench.files) or "none; the person has attached nothing"
    message = f"There is no file '{name}'. Files: {there}."
    raise ToolError(message)


def is_table(file: File) -> bool:
    """Whether a file's name says that there is a table in it."""
    return file.name.lower().endswith(_KINDS)


def first_table(bench: Bench) -> Mapping[str, Any] | None:
    """Arguments for a tool that looks at a table, where one is attached; else None."""
    return next(({"file": one.name} for one in bench.files.values() if is_table(one)), None)


def table_of(file: File) -> pa.Table:
    """The table in a file.

    Raises:
        ToolError: it is too large, empty, or not what its name says.
    """
    import pyarrow as pa  # noqa: PLC0415  # a tenth of a second, for who needs it

    if len(file.content) > MOST_BYTES:
        message = f"{file.name} has {len(file.content):,} bytes; at most {MOST_BYTES:,} are read."
        raise ToolError(message)
    readers = {
        ".csv": _from_csv,
        ".tsv": _from_csv,
        ".xlsx": _from_excel,
        ".parquet": _from_parquet,
        ".json": _from_json,
    }
    ending = next((kind for kind in _KINDS if file.name.lower().endswith(kind)), None)
    if ending is None:
        message = f"{file.name} is no table. Tables end with {', '.join(_KINDS)}."
        raise ToolError(message)
    try:
        table = readers[ending](file.content)
    except (pa.ArrowException, ValueError, KeyError, OSError, EOFError, OverflowError) as exc:
        said = " ".join(str(exc).split())[:160]
        message = f"{file.name} is not what its name says ({ending[1:]}): {said}"
        raise ToolError(message) from exc
    if not table.num_rows or not table.num_columns:
        message = f"{file.name} has no rows."
        raise ToolError(message)
    return table.rename_columns(_unlike(table.column_names))


def _unlike(names: list[str]) -> list[str]:
    """The names of columns, the second 'a' as 'a 2'."""
    found: list[str] = []
    for name in names:
        number, unlike = 2, name
        while unlike in found:
            number, unlike = number + 1, f"{name} {number}"
        found.append(unlike)
    return found


def unpacked_size(raw: bytes) -> int:
    """Bytes that the files in an archive come to.

    Raises:
        ValueError: it is none.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            return sum(one.file_size for one in archive.infolist())
    except zipfile.BadZipFile as exc:
        raise ValueError(str(exc)) from exc


def markdown(columns: list[str], rows: list[tuple[Any, ...]]) -> str:
    """A table for people."""
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")


def _from_csv(raw: bytes) -> pa.Table:
    from pyarrow import csv as arrow_csv  # noqa: PLC0415  # as above

    if b"\0" in raw[:10_000]:
        message = "it has binary content"
        raise ValueError(message)
    text = raw.decode("utf-8-sig", errors="strict") if _is_utf8(raw) else raw.decode("latin-1")
    try:
        delimiter = csv.Sniffer().sniff(text[:10_000], ",;\t|").delimiter
    except csv.Error:
        delimiter = ","
    options = arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    return arrow_csv.read_csv(io.BytesIO(text.encode()), parse_options=options)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return True


def _from_excel(raw: bytes) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415  # as above
    from openpyxl import load_workbook  # noqa: PLC0415  # as above

    _check_size(unpacked_size(raw))
    sheet = load_workbook(io.BytesIO(raw), read_only=True, data_only=True).active
    sheet.reset_dimensions()  # many programs write wrong ones
    everything = sheet.iter_rows(max_row=_MOST_ROWS, max_col=_MOST_COLUMNS, values_only=True)
    rows = [row for row in everything if any(cell is not None for cell in row)]
    if not rows:
        return pa.table({})
    width = max(max(n for n, cell in enumerate(row, 1) if cell is not None) for row in rows)
    padded = [(*row[:width], *[None] * (width - len(row))) for row in rows]
    head, *body = padded
    names = [str(name) if name is not None else f"column {n}" for n, name in enumerate(head, 1)]
    columns = [_column([row[place] for row in body]) for place in range(width)]
    return pa.Table.from_arrays(columns, names=names)


def _column(cells: list[Any]) -> pa.Array:
    import pyarrow as pa  # noqa: PLC0415  # as above

    try:
        return pa.array(cells)
    except (pa.ArrowException, OverflowError):  # numbers and words in one column, or huge ones
        return pa.array([None if cell is None else str(cell) for cell in cells])


def _from_parquet(raw: bytes) -> pa.Table:
    from pyarrow import parquet  # noqa: PLC0415  # as above

    told = parquet.ParquetFile(io.BytesIO(raw)).metadata
    _check_size(8 * told.num_rows * told.num_columns)
    return parquet.read_table(io.BytesIO(raw))


def _from_json(raw: bytes) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415  # as above

    content = json.loads(raw)
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        message = "it must be a list of objects"
        raise ValueError(message)
    names = list(dict.fromkeys(name for one in content for name in one))
    return pa.table({name: _column([one.get(name) for one in content]) for name in names})


def _check_size(unpacked: int) -> None:
    """Make sure that what is packed has room.

    Raises:
        ValueError: it has not.
    """
    if unpacked > MOST_UNPACKED:
        message = f"it unpacks to more than {MOST_UNPACKED:,} bytes"
        raise ValueError(message)
