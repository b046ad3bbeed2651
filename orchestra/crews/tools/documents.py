"""Documents: the words and the tables in PDF, Word, web pages and plain text."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace

from orchestra.crews.tools.tables import MOST_UNPACKED, unpacked_size
from orchestra.errors import ToolError
from orchestra.types.task import File

MOST_PAGES = 100
MOST_CHARACTERS = 1_000_000
_KINDS = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".html": "html",
    ".htm": "html",
    ".md": "text",
    ".txt": "text",
}
_TYPES = {
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/markdown": "text",
    "text/plain": "text",
}
Table = list[list[str]]


@dataclass(frozen=True)
class Document:
    """What was read of a document."""

    text: str
    """Headings as Markdown, where the document has any; pages apart by a blank line."""
    tables: tuple[Table, ...] = ()
    """Each as rows of cells."""
    pages: int = 0
    """0 where it has none."""
    note: str = ""
    """What was left out."""


def is_document(file: File) -> bool:
    """Whether a file's name or type says that it is one."""
    return _kind(file) is not None


def document_of(file: File) -> Document:
    """Read a document.

    Raises:
        ToolError: it is none that can be read, or not what its name says, or without words.
    """
    kind = _kind(file)
    if kind is None:
        message = f"{file.name} is no document. Documents end with {', '.join(_KINDS)}."
        raise ToolError(message)
    readers: dict[str, Callable[[bytes], Document]] = {
        "pdf": _from_pdf,
        "docx": _from_word,
        "html": _from_page,
        "text": _from_text,
    }
    try:
        document = readers[kind](file.content)
    except _Unreadable as exc:
        message = f"{file.name} is not what its name says ({kind}): {exc}"
        raise ToolError(message) from exc
    if len(document.text) > MOST_CHARACTERS:
        note = f"Only its first {MOST_CHARACTERS:,} characters were read."
        document = replace(document, text=document.text[:MOST_CHARACTERS], note=note)
    if not document.text.strip() and not document.tables:
        message = f"There are no words in {file.name}; if it is a scan, it has pictures of words."
        raise ToolError(message)
    return document


class _Unreadable(Exception):  # noqa: N818  # never seen outside
    pass


def _kind(file: File) -> str | None:
    by_name = next((kind for end, kind in _KINDS.items() if file.name.lower().endswith(end)), None)
    return by_name or _TYPES.get(file.content_type.partition(";")[0])


def _from_pdf(raw: bytes) -> Document:
    import pdfplumber  # noqa: PLC0415  # half a second, for who needs it
    from pdfplumber.utils.exceptions import PdfminerException  # noqa: PLC0415  # with it

    try:
        with pdfplumber.open(io.BytesIO(raw)) as pdf:
            count = len(pdf.pages)
            texts, tables = [], []
            for page in pdf.pages[:MOST_PAGES]:
                texts.append(page.extract_text() or "")
                tables += [_clean(table) for table in page.extract_tables()]
                page.close()
    except (PdfminerException, ValueError, KeyError, TypeError, RecursionError) as exc:
        raise _Unreadable(str(exc)[:160] or type(exc).__name__) from exc
    note = f"Only the first {MOST_PAGES} of {count} pages were read." if count > MOST_PAGES else ""
    return Document("\n\n".join(texts), tuple(tables), count, note)


def _from_word(raw: bytes) -> Document:
    import docx  # noqa: PLC0415  # as above
    from docx.opc.exceptions import PackageNotFoundError  # noqa: PLC0415  # with it

    try:
        if unpacked_size(raw) > MOST_UNPACKED:
            what = f"it unpacks to more than {MOST_UNPACKED:,} bytes"
            raise _Unreadable(what)
        document = docx.Document(io.BytesIO(raw))
    except (PackageNotFoundError, KeyError, ValueError) as exc:
        raise _Unreadable(str(exc)[:160] or type(exc).__name__) from exc
    lines = []
    for one in document.paragraphs:
        style = str(one.style.name) if one.style is not None else ""
        depth = style.removeprefix("Heading ") if style.startswith("Heading ") else ""
        lines.append(f"{'#' * int(depth)} {one.text}" if depth.isdigit() else one.text)
    tables = []
    for table in document.tables:
        # Not row.cells, which repeats a merged cell as often as the file says.
        rows = [row._tr.tc_lst for row in table.rows]  # noqa: SLF001  # see above
        words = [[cell.xpath(".//w:t") for cell in row] for row in rows]
        tables.append([["".join(one.text or "" for one in cell) for cell in row] for row in words])
    return Document("\n\n".join(line for line in lines if line.strip()), tuple(tables))


def _from_page(raw: bytes) -> Document:
    import lxml.html  # noqa: PLC0415  # as above
    import trafilatura  # noqa: PLC0415  # likewise
    from lxml.etree import LxmlError  # noqa: PLC0415  # with it

    if b"\0" in raw[:10_000]:
        what = "it has binary content"
        raise _Unreadable(what)
    try:
        tree = lxml.html.document_fromstring(raw)
    except (LxmlError, ValueError) as exc:
        raise _Unreadable(str(exc)[:160]) from exc
    text = trafilatura.extract(raw, output_format="markdown", include_tables=True, fast=True)
    tables = []
    for table in tree.iter("table"):
        own = (row for row in table.iter("tr") if next(row.iterancestors("table")) is table)
        rows = [row.xpath("./th|./td") for row in own]
        tables.append(_clean([[cell.text_content() for cell in row] for row in rows]))
    words = text or " ".join(tree.text_content().split())
    return Document(words, tuple(table for table in tables if len(table) > 1))


def _from_text(raw: bytes) -> Document:
    if b"\0" in raw[:10_000]:
        what = "it has binary content"
        raise _Unreadable(what)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return Document(text)


def _clean(table: list[list[str | None]]) -> Table:
    return [[" ".join((cell or "").split()) for cell in row] for row in table if row]
