"""Tools for everybody: pages in Notion, read, and written where the person allows it."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field

from orchestra.crews.tools.tool import ALL, Arguments, Bench, Outcome, Tool
from orchestra.errors import ToolError
from orchestra.personas.notion.pages import blocks_of, markdown_of, plain, texts_of
from orchestra.personas.notion.wire import (
    NotionRefusal,
    NotionWire,
    is_unknown_address,
    notion_id,
    told_as,
)

_MOST_RESULTS = 10
_BLOCKS_AT_ONCE = 100
_SHOWN = 8_000


class Wanted(Arguments):
    """What to read in Notion."""

    query: str = Field("", max_length=200, description="Words in the titles of pages to list.")
    page: str = Field("", max_length=500, description="Link or id of one page to read.")


class NewPage(Arguments):
    """A page to be made in Notion."""

    parent: str = Field(max_length=500, description="Link or id of the page it goes below.")
    title: str = Field(min_length=1, max_length=200)
    text: str = Field(min_length=1, max_length=60_000, description="Its content, as Markdown.")


async def read(wanted: Wanted, bench: Bench) -> Outcome:
    """Read a page of Notion, or list those whose title has some words.

    Raises:
        ToolError: Notion is not connected, or knows no such page.
        PersonaStoreError: Notion refuses, or is silent.
    """
    wire = _wire(bench)
    with told_as("Notion"):
        if wanted.page:
            text = plain(await _content(wire, notion_id(wanted.page, "page")))
            cut = f"{text[:_SHOWN]}\n… (cut)" if len(text) > _SHOWN else text
            return Outcome(cut or "The page is empty.")
        body = {
            "query": wanted.query,
            "filter": {"property": "object", "value": "page"},
            "page_size": _MOST_RESULTS,
        }
        found = (await wire.ask("POST", "search", body))["results"]
    lines = [f"- {_title(one)}: {one.get('url') or one['id']}" for one in found]
    return Outcome("\n".join(lines) or "No page that is shared with Orchestra has these words.")


async def write(page: NewPage, bench: Bench) -> Outcome:
    """Make a page in Notion.

    Raises:
        ToolError: Notion is not connected.
        PersonaStoreError: Notion refuses, or is silent.
    """
    wire = _wire(bench)
    blocks = blocks_of(page.text)
    with told_as("Notion", writing=True):
        body: dict[str, Any] = {
            "parent": {"type": "page_id", "page_id": notion_id(page.parent, "parent")},
            "properties": {"title": {"title": texts_of(page.title)}},
            "children": blocks[:_BLOCKS_AT_ONCE],
        }
        made = await wire.ask("POST", "pages", body, idempotent=False)
        for start in range(_BLOCKS_AT_ONCE, len(blocks), _BLOCKS_AT_ONCE):
            more = {"children": blocks[start : start + _BLOCKS_AT_ONCE]}
            await wire.ask("PATCH", f"blocks/{made['id']}/children", more, idempotent=False)
    return Outcome(f"Made '{page.title}': {made.get('url') or made['id']}")


TOOLS = (
    Tool(
        "notion_reader",
        frozenset({ALL}),
        "Reads a page in Notion, or lists the pages whose title has some words.",
        Wanted,
        read,
    ),
    Tool(
        "notion_writer",
        frozenset({ALL}),
        "Makes a page in Notion; the person is asked first.",
        NewPage,
        write,
        changes=lambda page: f"make the page '{page.title}' in Notion, below {page.parent}",
    ),
)


def _wire(bench: Bench) -> NotionWire:
    """The connection to Notion.

    Raises:
        ToolError: there is none.
    """
    if bench.notion is None:
        message = "Notion is not connected: whoever runs this sets NOTION_API_KEY."
        raise ToolError(message)
    return bench.notion


async def _content(wire: NotionWire, page_id: str) -> str:
    """A page's content; block by block where the API does not know Markdown.

    Raises:
        NotionRefusal: Notion refuses.
    """
    try:
        answer = await wire.ask("GET", f"pages/{page_id}/markdown")
    except NotionRefusal as exc:
        if not is_unknown_address(exc):
            raise
        blocks = await wire.listed("GET", f"blocks/{page_id}/children")
        return markdown_of(blocks)[0]
    return str(answer.get("markdown") or "")


def _title(page: dict[str, Any]) -> str:
    for cell in (page.get("properties") or {}).values():
        if cell.get("type") == "title":
            words = "".join(str(one.get("plain_text", "")) for one in cell.get("title") or ())
            return re.sub(r"\s+", " ", words).strip() or "Untitled"
    return "Untitled"
