"""Tools of the research subject: the web, its pages, and what stands in documents."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from orchestra.crews.tools.documents import Document, document_of, is_document
from orchestra.crews.tools.tables import file_named, markdown
from orchestra.crews.tools.tool import Arguments, Bench, Outcome, Tool
from orchestra.crews.tools.web import fetched
from orchestra.errors import ToolError
from orchestra.types.task import File

_SEARCH_SECONDS = 10
_SHOWN = 6_000
"""Characters of a document that are shown at once."""
_AROUND = 300
_MOST_FOUND = 12
_MOST_TABLES = 10
_NUMBER = r"\d[\d,.]{0,30}"
_FIGURE = re.compile(
    rf"[$€£]\s?{_NUMBER}|(?<![\d.,]){_NUMBER}\s?(?:%|[a-z]{{2,12}}\b)", re.IGNORECASE
)


class Search(Arguments):
    """What to look for."""

    query: str = Field(min_length=2, max_length=300)
    results: int = Field(8, ge=1, le=20)


class Address(Arguments):
    """A page of the web."""

    url: str = Field(min_length=1, max_length=2_000, description="Whole, as https://…")
    find: str = Field("", max_length=200, description="Show the passages around these words.")


class Reading(Arguments):
    """A document to be read."""

    file: str = Field(description="Name of the PDF, Word, HTML or text file.")
    find: str = Field("", max_length=200, description="Show the passages around these words.")


class Extraction(Arguments):
    """A document of which tables and figures are wanted."""

    file: str = Field(description="Name of the PDF, Word, HTML or text file.")


async def search(wanted: Search, bench: Bench) -> Outcome:
    """Search the web.

    Raises:
        ToolError: there is no network, or nothing was found.
    """
    del bench
    found = await asyncio.to_thread(_searched, wanted)
    rows = [f"{n}. [{one['title']}]({one['href']})\n   {one['body']}" for n, one in found]
    return Outcome("\n".join(rows))


async def read_page(address: Address, bench: Bench) -> Outcome:
    """Read a page of the web; its text is kept as a file, for quoting and for comparing.

    Raises:
        ToolError: it may not be read, cannot, or has no words.
    """
    page = await fetched(address.url, bench.may_reach)
    host = urlsplit(page.url).hostname or "page"
    # By its type alone: many a host's name ends like a file's.
    file = File("the page", page.content_type or "text/html", page.content)
    document = await asyncio.to_thread(document_of, file)
    told = await asyncio.to_thread(_told, document, address.find)
    kept = File(f"{host} page.md", "text/markdown", f"{page.url}\n\n{document.text}".encode())
    return Outcome(f"{page.url}\n\n{told}", (kept,))


async def analyse(reading: Reading, bench: Bench) -> Outcome:
    """Say what a document is about, or what it says around some words.

    Raises:
        ToolError: there is no such file, or no words in it.
    """
    file = file_named(bench, reading.file)
    return await asyncio.to_thread(_analysed, file, reading.find)


async def extract(extraction: Extraction, bench: Bench) -> Outcome:
    """Take the tables and figures out of a document; tables become files.

    Raises:
        ToolError: there is no such file, or nothing of that kind in it.
    """
    file = file_named(bench, extraction.file)
    return await asyncio.to_thread(_extracted, file)


def _analysed(file: File, find: str) -> Outcome:
    document = document_of(file)
    return Outcome(f"{_outline(file.name, document)}\n\n{_told(document, find)}")


def _extracted(file: File) -> Outcome:
    """The tables and figures of a document.

    Raises:
        ToolError: there is nothing of that kind in it.
    """
    document = document_of(file)
    figures = _figures(document.text)
    tables = document.tables[:_MOST_TABLES]
    if not figures and not tables:
        message = f"There are no tables and no figures in {file.name}."
        raise ToolError(message)
    told, files = [], []
    for number, table in enumerate(tables, start=1):
        width = max(map(len, table))
        rows = [tuple(row + [""] * (width - len(row))) for row in table]
        name = f"{file.name} table {number}.csv"
        files.append(File(name, "text/csv", _as_csv(rows)))
        told.append(f"Table {number} ({name}):\n{markdown(list(rows[0]), rows[1:31])}")
    if len(document.tables) > _MOST_TABLES:
        told.append(f"{len(document.tables) - _MOST_TABLES} further tables are left out.")
    told += ["Figures:\n" + "\n".join(figures)] if figures else []
    return Outcome("\n\n".join(told), tuple(files))


def _fits(bench: Bench) -> Mapping[str, Any] | None:
    return next(({"file": one.name} for one in bench.files.values() if is_document(one)), None)


TOOLS = (
    Tool(
        "web_search",
        frozenset({"research", "marketing", "sales", "content"}),
        "Searches the web: titles, addresses and beginnings of pages.",
        Search,
        search,
    ),
    Tool(
        "page_reader",
        frozenset({"research", "marketing", "sales", "content"}),
        "Reads a page of the web, or what it says around some words.",
        Address,
        read_page,
    ),
    Tool(
        "document_analyzer",
        frozenset({"research", "content", "general"}),
        "Reads an attached PDF, Word, HTML or text file, or what it says around some words.",
        Reading,
        analyse,
        _fits,
    ),
    Tool(
        "data_extractor",
        frozenset({"research", "data"}),
        "Takes the tables and figures out of an attached document; tables become CSV files.",
        Extraction,
        extract,
        _fits,
    ),
)


def _searched(wanted: Search) -> list[tuple[int, dict[str, str]]]:
    from ddgs import DDGS  # noqa: PLC0415  # for who needs it
    from ddgs.exceptions import DDGSException  # noqa: PLC0415  # with it

    try:
        found = DDGS(timeout=_SEARCH_SECONDS).text(wanted.query, max_results=wanted.results)
    except DDGSException as exc:
        said = " ".join(str(exc).split())[:160]
        message = (
            "The web cannot be searched from here: there is no network, or the search engines do "
            f"not answer ({said}). Go on with what you know, and say that it was not looked up."
        )
        raise ToolError(message) from exc
    return list(enumerate(found, start=1))


def _outline(name: str, document: Document) -> str:
    words = len(document.text.split())
    parts = [f"{document.pages} pages" if document.pages else "", f"{words:,} words"]
    parts.append(f"{len(document.tables)} tables" if document.tables else "")
    headings = re.findall(r"(?m)^#{1,4} +(.+)$", document.text)[:40]
    lines = [f"{name}: {', '.join(part for part in parts if part)}. {document.note}".strip()]
    lines += ["Headings:", *(f"- {one}" for one in headings)] if headings else []
    return "\n".join(lines)


def _told(document: Document, find: str) -> str:
    """The beginning of a document, or the passages around some words."""
    text = document.text.strip()
    if not find:
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}\n… (use find to see more)"
    passages, end = [], -1
    for hit in re.finditer(re.escape(find), text, re.IGNORECASE):
        if hit.start() < end:
            continue
        end = hit.end() + _AROUND
        passages.append(f"… {text[max(0, hit.start() - _AROUND) : end].strip()} …")
        if len(passages) == _MOST_FOUND:
            break
    return "\n\n".join(passages) or f"'{find}' does not stand in it."


def _figures(text: str) -> list[str]:
    """Sentences with a number that counts or measures something."""
    sentences = re.split(r"(?<=[.!?])\s+|\n+", text)
    told = [" ".join(one.split()) for one in sentences if _FIGURE.search(one)]
    return [f"- {one[:300]}" for one in dict.fromkeys(told)][:40]


def _as_csv(rows: list[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
