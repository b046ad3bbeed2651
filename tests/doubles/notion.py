"""Notion on loopback, as strict as the real one: one table of personas, and faults on demand.

Words of errors, shapes of answers and minute-rounded times as recorded from the API 2025-09-03.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

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
                    Route("/v1/databases/{id}", self._guarded(self._database)),
                    Route("/v1/data_sources/{id}", self._guarded(self._data_source)),
                    Route(
                        "/v1/data_sources/{id}/query", self._guarded(self._query), methods=["POST"]
                    ),
                    Route("/v1/pages/{id}/markdown", self._guarded(self._markdown)),
                    Route("/{path:path}", self._guarded(self._nowhere)),
                ]
            )
        )
        self.database_id, self.data_source_id = str(uuid.uuid4()), str(uuid.uuid4())
        self.rows: dict[str, dict[str, Any]] = {}
        self.bodies: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.is_shared, self.token = True, TOKEN
        self.fail_at: tuple[str, int, Fault] | None = None
        """An endpoint, which of its requests, and what it gets."""
        self.unshared: set[str] = set()
        self.truncated: set[str] = set()
        self.endless = False
        self.cursor_expires = False
        self._faults: deque[Fault] = deque()
        self._always: Fault | None = None
        self._minute = 0

    # ---- what people do in the browser

    def add(self, name: str, body: str = "", **cells: Any) -> str:
        """A person adds a row; returns the page's id."""
        page_id = str(uuid.uuid4())
        self.bodies[page_id] = body
        values = {"Name": name, "Active": True, "Domains": [], **cells}
        self.rows[page_id] = {
            "object": "page",
            "id": page_id,
            "parent": {
                "type": "data_source_id",
                "data_source_id": self.data_source_id,
                "database_id": self.database_id,
            },
            "icon": None,
            "in_trash": False,
            "archived": False,
            "properties": {
                column: cell(KINDS[column], values.get(column), column) for column in KINDS
            },
        }
        self._touch(page_id)
        self.rows[page_id]["created_time"] = self.rows[page_id]["last_edited_time"]
        return page_id

    def edit(self, page_id: str, **cells: Any) -> None:
        """A person types into cells; a ready-made cell is taken as it is."""
        for column, value in cells.items():
            ready = isinstance(value, dict) and "type" in value
            self.rows[page_id]["properties"][column] = (
                {"id": column, **value} if ready else cell(KINDS[column], value, column)
            )
        self._touch(page_id)

    def rename(self, column: str, name: str) -> None:
        """A person renames a column: its id stays."""
        for row in self.rows.values():
            row["properties"][name] = row["properties"].pop(column)

    def trash(self, page_id: str) -> None:
        """A person moves a row to the trash: listings leave it out."""
        self.rows[page_id]["in_trash"] = True

    def _touch(self, page_id: str) -> None:
        self._minute += 1
        days, minutes = divmod(self._minute, 60)
        self.rows[page_id]["last_edited_time"] = f"2026-11-{1 + days:02}T10:{minutes:02}:00.000Z"

    # ---- what goes wrong

    def fail(self, *faults: Fault) -> None:
        """The next requests get these, one each."""
        self._faults.extend(faults)

    def always(self, fault: Fault | None) -> None:
        """Every request gets this, until it is None."""
        self._always = fault

    # ---- what the API answers

    def _guarded(self, answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            endpoint = f"{request.method} {request.url.path.split('/')[2]}"
            self.asked[endpoint] += 1
            fault = self._always or (self._faults.popleft() if self._faults else None)
            if self.fail_at and (endpoint, self.asked[endpoint]) == self.fail_at[:2]:
                fault = self.fail_at[2]
            if fault is not None:
                return await self._fault(fault)
            if "notion-version" not in request.headers:
                said = "Notion-Version header failed validation: it should be defined."
                return error(400, "missing_version", said)
            if request.headers.get("authorization") != f"Bearer {self.token}":
                return error(401, "unauthorized", "API token is invalid.")
            result: Response = await answer(request)
            return result

        return guarded

    async def _fault(self, fault: Fault) -> Response:
        while fault.hang and not self.released.is_set():
            await asyncio.sleep(0.05)
        if fault.drop:
            raise ConnectionResetError
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

    async def _database(self, request: Request) -> Response:
        given = request.path_params["id"]
        if not self.is_shared or given != self.database_id:
            return self._hidden("database", given)
        sources = [{"id": self.data_source_id, "name": "Personas"}]
        return JSONResponse({"object": "database", "id": given, "data_sources": sources})

    async def _data_source(self, request: Request) -> Response:
        given = request.path_params["id"]
        if not self.is_shared or given != self.data_source_id:
            return self._hidden("data_source", given)
        return JSONResponse({"object": "data_source", "id": given, "properties": {}})

    async def _query(self, request: Request) -> Response:
        given, body = request.path_params["id"], await request.json()
        if not self.is_shared or given != self.data_source_id:
            return self._hidden("data_source", given)
        unknown = set(body) - {"page_size", "start_cursor", "filter", "sorts", "in_trash"}
        size = body.get("page_size", 100)
        if unknown or not isinstance(size, int) or not 1 <= size <= 100:
            return error(400, "validation_error", f"body failed validation: {sorted(unknown)}")
        live = [row for row in reversed(self.rows.values()) if not row["in_trash"]]
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
        kept = "\n".join(line for line in self.bodies[given].splitlines() if line.strip())
        escaped = re.sub(r"([*~`$\[\]<{}|^])", r"\\\1", kept)
        cut = given in self.truncated
        content = {"object": "page_markdown", "id": given, "markdown": escaped, "truncated": cut}
        return JSONResponse({**content, "unknown_block_ids": []})


def cell(kind: str, value: Any, column: str) -> dict[str, Any]:
    """A cell as the API gives it."""
    content: Any = value
    if kind in {"title", "rich_text"}:
        pieces = [value[start : start + 2000] for start in range(0, len(value or ""), 2000)]
        content = [
            {"type": "text", "text": {"content": one, "link": None}, "plain_text": one}
            for one in pieces
        ]
    elif kind == "multi_select":
        content = [{"id": str(uuid.uuid4()), "name": one, "color": "gray"} for one in value or []]
    return {"id": column, "type": kind, kind: content}


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


def as_json(content: Any) -> Fault:
    """An answer of another shape than the one that was asked for."""
    return Fault(body=json.dumps(content))
