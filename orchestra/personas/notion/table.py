"""One table in Notion: its rows, their pages and its columns; read and changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from orchestra.errors import PersonaStoreError
from orchestra.personas.notion.pages import blocks_of, is_text, markdown_of
from orchestra.personas.notion.wire import (
    FAILURES,
    NotionRefusal,
    NotionWire,
    is_unknown_address,
    notion_id,
)

_AT_ONCE = 3
_BLOCKS_AT_ONCE = 100
_DEEPEST = 3
_CUT = "Notion gave only a part of its page"
_SETTLED = timedelta(minutes=2)
_OF_THIS_PAGE = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})


@dataclass(frozen=True)
class Content:
    """What stands on a page."""

    markdown: str
    problem: str = ""
    """Why that is not all of it."""
    is_rewritable: bool = True
    """Whether there is nothing on it that would be lost if it was written anew."""


class NotionTable:
    """One data source; its id is asked for once, and again after it was not found."""

    def __init__(self, wire: NotionWire, reference: str) -> None:
        """Prepare; nothing is asked yet.

        Args:
            wire: The connection.
            reference: Id of the database or data source, or any link to it.
        """
        self._wire = wire
        self._reference = reference
        self._data_source_id: str | None = None
        self._settled: dict[str, tuple[str, Content]] = {}
        """By page: when it was edited, and its content; only once that minute is over."""
        self._has_markdown = True

    def forget(self) -> None:
        """Read every page anew: somebody says that something changed."""
        self._settled.clear()

    @property
    def ids(self) -> frozenset[str]:
        """The data source's and the database's, once they are known."""
        if self._data_source_id is None:
            return frozenset()
        return frozenset({self._data_source_id, notion_id(self._reference)})

    async def rows(self) -> list[dict[str, Any]]:
        """All rows that are not in the trash, the oldest first.

        Raises:
            PersonaStoreError: the reference names no table, or several.
            NotionRefusal: Notion refuses.
            ValueError: the listing does not end, or is incomplete.
        """
        path = f"data_sources/{await self.data_source_id()}/query"
        with self._forgetting_what_moved():
            pages = await self._wire.listed("POST", path)
        rows = {
            page["id"]: page
            for page in pages
            if page["object"] == "page" and "properties" in page and not page.get("in_trash")
        }
        # Notion lists the newest first; who was there first keeps name and subjects.
        return sorted(rows.values(), key=lambda page: (page.get("created_time", ""), page["id"]))

    async def contents(self, pages: list[dict[str, Any]]) -> dict[str, Content]:
        """What stands on each page, by its id; read when the page was edited since.

        Raises:
            NotionRefusal: Notion refuses all, not just one page.
        """
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def content_of(page: Mapping[str, Any]) -> Content:
            async with at_once:
                return await self._content(page)

        tasks = [asyncio.create_task(content_of(page)) for page in pages]
        try:
            contents = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()  # the others, when one failed
        return {page["id"]: content for page, content in zip(pages, contents, strict=True)}

    async def columns(self) -> dict[str, dict[str, Any]]:
        """Every column by its name, with id and type.

        Raises:
            PersonaStoreError: the reference names no table, or several.
            NotionRefusal: Notion refuses.
        """
        path = f"data_sources/{await self.data_source_id()}"
        with self._forgetting_what_moved():
            found = await self._wire.ask("GET", path)
        return {str(name): dict(one) for name, one in found["properties"].items()}

    async def add_columns(self, columns: Mapping[str, Any]) -> None:
        """Add columns; what there is stays as it is.

        Raises:
            NotionRefusal: Notion refuses.
        """
        path = f"data_sources/{await self.data_source_id()}"
        await self._wire.ask("PATCH", path, {"properties": dict(columns)})

    async def add_row(
        self, properties: Mapping[str, Any], icon: Mapping[str, Any] | None, markdown: str
    ) -> dict[str, Any]:
        """Add a row with its page; all of it or nothing.

        Returns:
            The page.

        Raises:
            NotionRefusal: Notion refuses.
        """
        blocks = blocks_of(markdown)
        body: dict[str, Any] = {
            "parent": {"type": "data_source_id", "data_source_id": await self.data_source_id()},
            "properties": dict(properties),
            "children": blocks[:_BLOCKS_AT_ONCE],
        }
        if icon is not None:
            body["icon"] = dict(icon)
        page = await self._wire.ask("POST", "pages", body, idempotent=False)
        try:
            await self._append(page["id"], blocks[_BLOCKS_AT_ONCE:])
        except BaseException:
            with contextlib.suppress(*FAILURES):  # the first failure is the one to tell
                await self.trash_row(page["id"])
            raise
        return page

    async def change_row(self, page_id: str, changes: Mapping[str, Any]) -> None:
        """Change a row.

        Args:
            page_id: Its page.
            changes: `properties`, and `icon` if that changes, as the API takes them.

        Raises:
            NotionRefusal: Notion refuses.
        """
        await self._wire.ask("PATCH", f"pages/{page_id}", changes)

    async def row(self, page_id: str) -> dict[str, Any]:
        """A row as it is right now.

        Raises:
            NotionRefusal: Notion refuses.
        """
        return await self._wire.ask("GET", f"pages/{page_id}")

    async def content(self, page_id: str) -> Content:
        """What stands on a page right now.

        Raises:
            NotionRefusal: Notion refuses.
        """
        return await self._read_page(page_id)

    async def trash_row(self, page_id: str) -> None:
        """Move a row to the trash, from which people can bring it back.

        Raises:
            NotionRefusal: Notion refuses.
        """
        await self._wire.ask("PATCH", f"pages/{page_id}", {"in_trash": True})

    async def rewrite_page(self, page_id: str, markdown: str) -> None:
        """Replace what stands on a page.

        Raises:
            NotionRefusal: Notion refuses.
        """
        self._settled.pop(page_id, None)
        if self._has_markdown:
            body = {"type": "replace_content", "replace_content": {"new_str": markdown}}
            try:
                await self._wire.ask("PATCH", f"pages/{page_id}/markdown", body)
            except NotionRefusal as exc:
                if not is_unknown_address(exc):
                    raise
            else:
                return
        old = await self._wire.listed("GET", f"blocks/{page_id}/children")
        await self._append(page_id, blocks_of(markdown))
        for block in old:
            await self._wire.ask("DELETE", f"blocks/{block['id']}")

    async def data_source_id(self) -> str:
        """The table's own id.

        Raises:
            PersonaStoreError: the reference names none, or several.
            NotionRefusal: Notion refuses.
        """
        if self._data_source_id is not None:
            return self._data_source_id
        given = notion_id(self._reference)
        try:
            database = await self._wire.ask("GET", f"databases/{given}")
        except NotionRefusal as exc:
            if exc.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}:
                raise
            found = await self._wire.ask("GET", f"data_sources/{given}")
            self._data_source_id = str(found["id"])
            return self._data_source_id
        sources = database["data_sources"]
        if len(sources) != 1:
            names = ", ".join(f"{one['name']} ({one['id']})" for one in sources)
            message = (
                f"The database of NOTION_PERSONAS_DB_ID has {len(sources)} data sources that the "
                f"connection can see ({names or 'share the table with it'}). Put one's id there."
            )
            raise PersonaStoreError(message)
        self._data_source_id = str(sources[0]["id"])
        return self._data_source_id

    async def _content(self, page: Mapping[str, Any]) -> Content:
        page_id, edited = str(page["id"]), str(page["last_edited_time"])
        known = self._settled.get(page_id)
        if known is not None and known[0] == edited:
            return known[1]
        try:
            content = await self._read_page(page_id)
        except NotionRefusal as exc:
            if exc.status not in _OF_THIS_PAGE:
                raise
            return Content("", f"its page cannot be read ({exc})")
        # Notion rounds to the minute: a further edit within it would look like this one.
        if not content.problem and datetime.now(UTC) - datetime.fromisoformat(edited) > _SETTLED:
            self._settled[page_id] = (edited, content)
        return content

    async def _read_page(self, page_id: str) -> Content:
        """The content as Markdown; block by block where the API does not know Markdown.

        Raises:
            NotionRefusal: Notion refuses.
        """
        if not self._has_markdown:
            return await self._read_blocks(page_id)
        try:
            answer = await self._wire.ask("GET", f"pages/{page_id}/markdown")
        except NotionRefusal as exc:
            if exc.status not in _OF_THIS_PAGE and not is_unknown_address(exc):
                raise
            content = await self._read_blocks(page_id)
            self._has_markdown = not is_unknown_address(exc)
            return content
        said = answer.get("markdown")
        if not isinstance(said, str):
            return Content("", _CUT)
        is_cut = bool(answer.get("truncated") or answer.get("unknown_block_ids"))
        is_rewritable = not is_cut and is_text(said)
        return Content(said, _CUT if is_cut else "", is_rewritable=is_rewritable)

    async def _read_blocks(self, page_id: str) -> Content:
        markdown, is_whole = markdown_of(await self._blocks(page_id, _DEEPEST))
        return Content(markdown, is_rewritable=is_whole)

    async def _blocks(self, block_id: str, deepest: int) -> list[dict[str, Any]]:
        """The blocks below one, each with its own in `children`."""
        blocks = await self._wire.listed("GET", f"blocks/{block_id}/children")
        for block in blocks:
            if block.get("has_children") and deepest:
                block["children"] = await self._blocks(block["id"], deepest - 1)
        return [block for block in blocks if not block.get("in_trash")]

    async def _append(self, page_id: str, blocks: list[dict[str, Any]]) -> None:
        for start in range(0, len(blocks), _BLOCKS_AT_ONCE):
            body = {"children": blocks[start : start + _BLOCKS_AT_ONCE]}
            path = f"blocks/{page_id}/children"
            await self._wire.ask("PATCH", path, body, idempotent=False)

    @contextlib.contextmanager
    def _forgetting_what_moved(self) -> Iterator[None]:
        """Ask for the table's id again next time, if it was not found.

        Raises:
            NotionRefusal: Notion refuses.
        """
        try:
            yield
        except NotionRefusal as exc:
            if exc.status == HTTPStatus.NOT_FOUND:
                self._data_source_id = None
            raise
