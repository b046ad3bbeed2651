"""Notion on loopback, as strict as the real one: tables of personas, and faults on demand.

Words of errors, shapes of answers and minute-rounded times as recorded from the API 2025-09-03.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from orchestra.personas.files import read_persona
from orchestra.settings import ROOT
from tests.doubles.notion_content import (
    RefusedError,
    block,
    cell,
    checked_blocks,
    checked_cells,
    markdown,
    parsed,
    refuse,
    typed,
)
from tests.doubles.served import Served

TOKEN = "ntn_for_tests"
NUMBERS = (
    "Openness Conscientiousness Extraversion Agreeableness Neuroticism Humor Formality".split()
)
KINDS = {
    "Name": "title",
    "Role": "rich_text",
    "Voice": "rich_text",
    "Backstory": "rich_text",
    "Prompt Template": "rich_text",
    "Domains": "multi_select",
    "Active": "checkbox",
    **dict.fromkeys(NUMBERS, "number"),
}


@dataclass
class Fault:
    """What the next requests get instead of an answer."""

    status: int = 0
    code: str = ""
    message: str = "Unexpected error occurred."
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    """Sent as it is, with the status or 200."""
    hang: bool = False
    drop: bool = False


class NotionServer(Served):
    """The double; a context manager."""

    def __init__(self) -> None:
        super().__init__(
            Starlette(
                routes=[
                    self._route("users/me", self._me),
                    self._route("databases", self._create_database, "POST"),
                    self._route("databases/{id}", self._database),
                    self._route("data_sources/{id}", self._data_source, "GET", "PATCH"),
                    self._route("data_sources/{id}/query", self._query, "POST"),
                    self._route("pages", self._create_page, "POST"),
                    self._route("search", self._search, "POST"),
                    self._route("pages/{id}", self._page, "GET", "PATCH"),
                    self._route("pages/{id}/markdown", self._markdown, "GET", "PATCH"),
                    self._route("blocks/{id}/children", self._children, "GET", "PATCH"),
                    self._route("blocks/{id}", self._block, "DELETE"),
                    Route("/{path:path}", self._guarded(self._nowhere)),
                ]
            )
        )
        self.parent_page_id = str(uuid.uuid4())
        self.tables: list[dict[str, Any]] = []
        """What stands on the parent page, as blocks."""
        self.databases: dict[str, str] = {}
        """Each with its data source."""
        self.schemas: dict[str, dict[str, dict[str, Any]]] = {}
        """By data source: the columns by name."""
        self.database_id = self.add_table({name: {kind: {}} for name, kind in KINDS.items()})
        self.data_source_id = self.databases[self.database_id]
        self.rows: dict[str, dict[str, Any]] = {}
        self.page_ids: dict[str, str] = {}
        """Of the personas that a test put there, by id."""
        self.pages: dict[str, list[dict[str, Any]]] = {}
        """By page: its blocks."""
        self.asked: Counter[str] = Counter()
        self.is_shared, self.token = True, TOKEN
        self.fail_at: tuple[str, int, Fault] | None = None
        """An endpoint, which of its requests, and what it gets."""
        self.unshared: set[str] = set()
        self.truncated: set[str] = set()
        self.knows_markdown = True
        self.may_write = True
        self.per_second = 0
        """How many requests a second are answered; 0: all."""
        self.endless = self.cursor_expires = False
        self._faults: deque[Fault] = deque()
        self._always: Fault | None = None
        self._minute = 0
        self._answered: deque[float] = deque()

    @property
    def settings(self) -> dict[str, str]:
        """What to set so that personas live here."""
        plain = self.database_id.replace("-", "")
        return {
            "NOTION_API_KEY": self.token,
            "NOTION_PERSONAS_DB_ID": f"https://app.notion.com/p/{plain}",
            "NOTION_BASE_URL": self.url,
        }

    # ---- what people do in the browser

    def add_table(self, columns: dict[str, Any]) -> str:
        """A person makes a table; returns the database's id."""
        database_id, data_source_id = str(uuid.uuid4()), str(uuid.uuid4())
        self.databases[database_id] = data_source_id
        self.schemas[data_source_id] = {}
        self._add_columns(data_source_id, columns)
        return database_id

    def add(self, name: str, body: str = "", **cells: Any) -> str:
        """A person adds a row; returns the page's id."""
        values = {"Name": name, "Active": True, "Domains": [], **cells}
        schema = self.schemas[self.data_source_id]
        properties = {
            column: cell(one["type"], values.get(column), one["id"])
            for column, one in schema.items()
        }
        return self._add_page(self.data_source_id, properties, None, typed(body))

    def write(self, page_id: str, body: str) -> None:
        """A person types a page anew."""
        self.pages[page_id] = typed(body)
        self._touch(page_id)

    def edit(self, page_id: str, **cells: Any) -> None:
        """A person types into cells; a ready-made cell is taken as it is."""
        schema = self.schemas[self.rows[page_id]["parent"]["data_source_id"]]
        for column, value in cells.items():
            ready = isinstance(value, dict) and "type" in value
            column_id = schema[column]["id"]
            self.rows[page_id]["properties"][column] = (
                {"id": column_id, **value}
                if ready
                else cell(schema[column]["type"], value, column_id)
            )
        self._touch(page_id)

    def set_icon(self, page_id: str, emoji: str) -> None:
        """A person picks an icon for the page."""
        self.rows[page_id]["icon"] = {"type": "emoji", "emoji": emoji}
        self._touch(page_id)

    def remove_column(self, column: str) -> None:
        """A person deletes a column."""
        del self.schemas[self.data_source_id][column]
        for row in self.rows.values():
            row["properties"].pop(column, None)

    def rename(self, column: str, name: str) -> None:
        """A person renames a column: its id stays."""
        schema = self.schemas[self.data_source_id]
        schema[name] = schema.pop(column)
        for row in self.rows.values():
            row["properties"][name] = row["properties"].pop(column)

    def trash(self, page_id: str) -> None:
        """A person moves a row to the trash: listings leave it out."""
        self.rows[page_id]["in_trash"] = True

    def _touch(self, page_id: str) -> None:
        self._minute += 1
        days, minutes = divmod(self._minute, 60)
        self.rows[page_id]["last_edited_time"] = f"2026-11-{1 + days:02}T10:{minutes:02}:00.000Z"

    def _add_columns(self, data_source_id: str, columns: dict[str, Any]) -> None:
        for name, given in columns.items():
            kind = next(one for one in given if one not in {"name", "description", "type"})
            self.schemas[data_source_id][name] = {
                "id": "title" if kind == "title" else f"c{uuid.uuid4().hex[:4]}",
                "name": name,
                "description": given.get("description"),
                "type": kind,
                kind: given[kind],
            }

    def _add_page(
        self, data_source_id: str, properties: Any, icon: Any, blocks: list[dict[str, Any]]
    ) -> str:
        page_id = str(uuid.uuid4())
        database_id = next(one for one, two in self.databases.items() if two == data_source_id)
        self.pages[page_id] = blocks
        self.rows[page_id] = {
            "object": "page",
            "id": page_id,
            "parent": {
                "type": "data_source_id",
                "data_source_id": data_source_id,
                "database_id": database_id,
            },
            "icon": icon,
            "in_trash": False,
            "archived": False,
            "properties": properties,
        }
        self._touch(page_id)
        self.rows[page_id]["created_time"] = self.rows[page_id]["last_edited_time"]
        return page_id

    # ---- what goes wrong

    def fail(self, *faults: Fault) -> None:
        """The next requests get these, one each."""
        self._faults.extend(faults)

    def always(self, fault: Fault | None) -> None:
        """Every request gets this, until it is None."""
        self._always = fault

    # ---- what the API answers

    def _route(self, path: str, answer: Callable[[Request], Any], *methods: str) -> Route:
        return Route(f"/v1/{path}", self._guarded(answer), methods=list(methods or ("GET",)))

    def _guarded(self, answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            endpoint = f"{request.method} {request.url.path.split('/')[2]}"
            self.asked[endpoint] += 1
            fault = self._always or (self._faults.popleft() if self._faults else None)
            if self.fail_at and (endpoint, self.asked[endpoint]) == self.fail_at[:2]:
                fault = self.fail_at[2]
            if fault is not None:
                return await self._fault(fault)
            refused = self._refused(request)
            if refused is not None:
                return refused
            try:
                result: Response = await answer(request)
            except RefusedError as exc:
                return error(400, "validation_error", str(exc))
            return result

        return guarded

    def _refused(self, request: Request) -> Response | None:
        if "notion-version" not in request.headers:
            said = "Notion-Version header failed validation: it should be defined."
            return error(400, "missing_version", said)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return error(401, "unauthorized", "API token is invalid.")
        if self._is_too_fast():
            said = "You have been rate limited. Please try again in a few minutes."
            return error(429, "rate_limited", said, {"retry-after": "1"})
        if self._writes(request) and not self.may_write:
            said = "Insufficient permissions for this endpoint."
            return error(403, "restricted_resource", said)
        if not self.knows_markdown and request.url.path.endswith("/markdown"):
            return error(400, "invalid_request_url", "Invalid request URL.")
        return None

    def _writes(self, request: Request) -> bool:
        return request.method != "GET" and not request.url.path.endswith(("/query", "/search"))

    def _is_too_fast(self) -> bool:
        now = time.monotonic()
        while self._answered and self._answered[0] < now - 1:
            self._answered.popleft()
        if self.per_second and len(self._answered) >= self.per_second:
            return True
        self._answered.append(now)
        return False

    async def _fault(self, fault: Fault) -> Response:
        while fault.hang and not self.released.is_set():
            await asyncio.sleep(0.05)
        if fault.drop:
            return _Dropped()
        if fault.body is not None:
            return HTMLResponse(fault.body, fault.status or 200, dict(fault.headers))
        return error(fault.status, fault.code, fault.message, dict(fault.headers))

    async def _nowhere(self, _request: Request) -> Response:
        return error(400, "invalid_request_url", "Invalid request URL.")

    def _hidden(self, kind: str, given: str) -> Response:
        said = (
            f"Could not find {kind} with ID: {given}. Make sure the relevant pages and databases "
            'are shared with your integration "orchestra".'
        )
        return error(404, "object_not_found", said)

    async def _me(self, _request: Request) -> Response:
        bot = {"owner": {"type": "workspace", "workspace": True}, "workspace_name": "Acme"}
        return JSONResponse({"object": "user", "name": "orchestra", "type": "bot", "bot": bot})

    async def _create_database(self, request: Request) -> Response:
        body = await _body(request, {"parent", "title", "icon", "initial_data_source", "is_inline"})
        if not self.is_shared or body["parent"].get("page_id") != self.parent_page_id:
            return self._hidden("page", str(body["parent"].get("page_id")))
        columns = body["initial_data_source"]["properties"]
        if sum("title" in one for one in columns.values()) != 1:
            refuse("Title is not provided")
        made = self.add_table(columns)
        title = "".join(one["text"]["content"] for one in body["title"])
        table = {"object": "block", "id": made, "type": "child_database", "in_trash": False}
        self.tables.append({**table, "child_database": {"title": title}})
        return self._shown_database(made)

    async def _database(self, request: Request) -> Response:
        given = request.path_params["id"]
        if not self.is_shared or given not in self.databases:
            return self._hidden("database", given)
        return self._shown_database(given)

    def _shown_database(self, database_id: str) -> Response:
        sources = [{"id": self.databases[database_id], "name": "Personas"}]
        return JSONResponse(
            {
                "object": "database",
                "id": database_id,
                "data_sources": sources,
                "url": f"https://app.notion.com/p/{database_id.replace('-', '')}",
            }
        )

    async def _data_source(self, request: Request) -> Response:
        given = request.path_params["id"]
        if not self.is_shared or given not in self.schemas:
            return self._hidden("data_source", given)
        if request.method == "PATCH":
            self._add_columns(given, (await _body(request, {"properties", "title"}))["properties"])
        columns = self.schemas[given]
        return JSONResponse({"object": "data_source", "id": given, "properties": columns})

    async def _create_page(self, request: Request) -> Response:
        body = await _body(request, {"parent", "properties", "icon", "children", "markdown"})
        if body["parent"].get("type") == "page_id":
            return self._create_below(body)
        given = body["parent"].get("data_source_id")
        if not self.is_shared or given not in self.schemas:
            return self._hidden("data_source", str(given))
        schema = self.schemas[given]
        written = checked_cells(body["properties"], schema)
        blank = {one: cell(column["type"], None, column["id"]) for one, column in schema.items()}
        for one, column in schema.items():
            if column["type"] == "checkbox":
                blank[one]["checkbox"] = False
        blocks = [block(*one) for one in checked_blocks(body.get("children", []))]
        page_id = self._add_page(given, blank | written, body.get("icon"), blocks)
        return JSONResponse(self.rows[page_id])

    def _create_below(self, body: dict[str, Any]) -> Response:
        """A page below another one, which has a title and nothing else."""
        given = body["parent"]["page_id"]
        if not self.is_shared or given not in {self.parent_page_id, *self.rows}:
            return self._hidden("page", given)
        said = checked_cells(body["properties"], {"title": {"id": "title", "type": "title"}})
        blocks = [block(*one) for one in checked_blocks(body.get("children", []))]
        page_id = str(uuid.uuid4())
        self.pages[page_id] = blocks
        self.rows[page_id] = {
            "object": "page",
            "id": page_id,
            "url": f"https://www.notion.so/{page_id.replace('-', '')}",
            "parent": body["parent"],
            "icon": None,
            "in_trash": False,
            "properties": said,
        }
        self._touch(page_id)
        return JSONResponse(self.rows[page_id])

    async def _search(self, request: Request) -> Response:
        body = await _body(request, {"query", "filter", "page_size", "start_cursor", "sort"})
        found = [one for one in self.rows.values() if self.is_shared and not one["in_trash"]]
        words = body.get("query", "").lower()
        named = [one for one in found if words in json.dumps(one["properties"]).lower()]
        page = named[: body.get("page_size", 100)]
        answer = {"object": "list", "results": page, "has_more": False, "next_cursor": None}
        return JSONResponse(answer)

    async def _page(self, request: Request) -> Response:
        given = request.path_params["id"]
        if not self.is_shared or given not in self.rows:
            return self._hidden("page", given)
        row = self.rows[given]
        if request.method == "PATCH":
            body = await _body(request, {"properties", "icon", "in_trash", "cover"})
            if row["in_trash"] and body.get("in_trash") is not False:
                refuse("Can't edit page that is archived. You must unarchive it first.")
            schema = self.schemas[row["parent"]["data_source_id"]]
            row["properties"] |= checked_cells(body.get("properties", {}), schema)
            row["icon"] = body.get("icon", row["icon"])
            row["in_trash"] = body.get("in_trash", row["in_trash"])
            self._touch(given)
        return JSONResponse(row)

    async def _children(self, request: Request) -> Response:
        given = request.path_params["id"]
        if given == self.parent_page_id:
            return JSONResponse(
                {"object": "list", "results": self.tables, "has_more": False, "next_cursor": None}
            )
        if not self.is_shared or given not in self.pages or given in self.unshared:
            return self._hidden("block", given)
        blocks = self.pages[given]
        if request.method == "PATCH":
            body = await _body(request, {"children", "position"})
            blocks += [block(*one) for one in checked_blocks(body["children"])]
            self._touch(given)
        size, start = int(request.query_params.get("page_size", 100)), 0
        if "start_cursor" in request.query_params:
            ids = [one["id"] for one in blocks]
            start = ids.index(request.query_params["start_cursor"])
        more = start + size < len(blocks)
        return JSONResponse(
            {
                "object": "list",
                "results": blocks[start : start + size],
                "has_more": more,
                "next_cursor": blocks[start + size]["id"] if more else None,
            }
        )

    async def _block(self, request: Request) -> Response:
        given = request.path_params["id"]
        for blocks in self.pages.values():
            for one in blocks:
                if one["id"] == given:
                    blocks.remove(one)
                    return JSONResponse({**one, "in_trash": True})
        return self._hidden("block", given)

    async def _query(self, request: Request) -> Response:
        given, body = request.path_params["id"], await request.json()
        if not self.is_shared or given not in self.schemas:
            return self._hidden("data_source", given)
        unknown = set(body) - {"page_size", "start_cursor", "filter", "sorts", "in_trash"}
        size = body.get("page_size", 100)
        if unknown or not isinstance(size, int) or not 1 <= size <= 100:
            return error(400, "validation_error", f"body failed validation: {sorted(unknown)}")
        live = [
            row
            for row in reversed(self.rows.values())
            if not row["in_trash"] and row["parent"]["data_source_id"] == given
        ]
        start = 0
        if "start_cursor" in body:
            if self.cursor_expires:
                said = f"The start_cursor provided is invalid: {body['start_cursor']}"
                return error(400, "validation_error", said)
            start = 0 if self.endless else int(body["start_cursor"].split(":")[1])
        more = self.endless or start + size < len(live)
        return JSONResponse(
            {
                "object": "list",
                "results": live[start : start + size],
                "has_more": more,
                "next_cursor": f"s:{start + size}:{uuid.uuid4()}" if more else None,
                "type": "page_or_data_source",
                "page_or_data_source": {},
            }
        )

    async def _markdown(self, request: Request) -> Response:
        given = request.path_params["id"]
        if not self.is_shared or given not in self.rows or given in self.unshared:
            return self._hidden("page", given)
        if request.method == "PATCH":
            body = await _body(request, {"type", "replace_content"})
            if body["type"] != "replace_content":
                refuse("body failed validation: body.type")
            self.pages[given] = parsed(body["replace_content"]["new_str"])
            self._touch(given)
        cut = given in self.truncated
        content = {"object": "page_markdown", "id": given, "truncated": cut}
        content["markdown"] = markdown(self.pages[given])
        return JSONResponse({**content, "unknown_block_ids": []})


class _Dropped(Response):
    """Begins, and then the connection is gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"object": ', "more_body": True})


async def _body(request: Request, known: set[str]) -> dict[str, Any]:
    body: dict[str, Any] = await request.json()
    if unknown := sorted(set(body) - known):
        said = f"body failed validation: body.{unknown[0]} should be not present"
        refuse(said)
    return body


def error(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """An error body as the API gives it."""
    content = {"object": "error", "status": status, "code": code, "message": message}
    return JSONResponse({**content, "request_id": str(uuid.uuid4())}, status, headers)


def add_persona(server: NotionServer, persona: Any) -> str:
    """A person types a whole persona into a row."""
    traits = {name: getattr(persona.traits, name.lower()) for name in NUMBERS}
    examples = "\n\n".join(f"> {one.message}\n\n{one.reply}" for one in persona.examples)
    return server.add(
        persona.name,
        body=f"## Examples\n\n{examples}\n\n## Notes\n\nNobody reads this.",
        Role=persona.role,
        Voice=persona.voice,
        Backstory=persona.backstory,
        Domains=list(persona.domains),
        **{"Prompt Template": persona.template, **traits},
    )


@contextmanager
def filled_notion() -> Iterator[NotionServer]:
    """A Notion with the shipped personas in its table; their pages are in `page_ids`."""
    with NotionServer() as server:
        for path in sorted((ROOT / "personas_seed").glob("*.md")):
            server.page_ids[path.stem] = add_persona(server, read_persona(path))
        yield server


def as_json(content: Any) -> Fault:
    """An answer of another shape than the one that was asked for."""
    return Fault(body=json.dumps(content))
