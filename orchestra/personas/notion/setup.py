"""Makes the table of personas, and says what is wrong with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from orchestra.errors import PersonaStoreError
from orchestra.personas.kept import plain_id
from orchestra.personas.notion.cells import COLUMNS, cell, schema
from orchestra.personas.notion.rows import columns_of, read_row
from orchestra.personas.notion.store import NotionPersonas
from orchestra.personas.notion.wire import NotionRefusal, NotionWire, notion_id, told_as
from orchestra.types.persona import Persona, Traits
from orchestra.types.status import PartStatus

TITLE = "Personas"
_NEEDED = frozenset({"role", "backstory", *Traits.model_fields})


@dataclass
class Made:
    """What `make_table` did."""

    database_id: str
    data_source_id: str = ""
    created: bool = False
    columns: list[str] = field(default_factory=list)
    """Added to a table that was there."""
    personas: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Personas that were left alone, and why."""


async def find_table(wire: NotionWire, parent: str, note: Path) -> str | None:
    """The table that an earlier run made under a page; None if there is none.

    Args:
        wire: The connection.
        parent: The page, as an id or a link.
        note: Where the earlier run wrote down what it made.

    Raises:
        PersonaStoreError: Notion does not answer, or refuses.
    """
    parent_id = notion_id(parent, "NOTION_PARENT_PAGE_ID")
    with told_as("Notion"):
        for known in (_noted(note).get(parent_id), await _child(wire, parent_id)):
            if known is not None and await _is_there(wire, known):
                return known
    return None


async def new_table(wire: NotionWire, parent: str, note: Path) -> str:
    """Make an empty table under a page; returns the database's id.

    Raises:
        PersonaStoreError: Notion does not answer, or refuses.
    """
    parent_id = notion_id(parent, "NOTION_PARENT_PAGE_ID")
    body = {
        "parent": {"type": "page_id", "page_id": parent_id},
        "title": [{"type": "text", "text": {"content": TITLE}}],
        "icon": {"type": "emoji", "emoji": "🎭"},
        "initial_data_source": {"properties": schema(COLUMNS.values())},
    }
    with told_as("Notion", writing=True):
        made = await wire.ask("POST", "databases", body, idempotent=False)
        database_id = str(made["id"])
    noted = json.dumps({**_noted(note), parent_id: database_id})
    await asyncio.to_thread(note.write_text, noted, encoding="utf-8")
    return database_id


async def complete(store: NotionPersonas, shipped: Sequence[Persona], made: Made) -> None:
    """Add the columns and personas that a table lacks, and change nothing else.

    Args:
        store: The table.
        shipped: Who is to be in it.
        made: Told what was done, as it is done.

    Raises:
        PersonaStoreError: Notion does not answer, or refuses.
    """
    with told_as(store.source):
        made.data_source_id = await store.table.data_source_id()
        columns = await store.table.columns()
        known = columns_of(columns, store.known_columns)
        missing = [one for what, one in COLUMNS.items() if what not in known and what != "name"]
        if missing:
            await store.table.add_columns(schema(missing))
            made.columns = [one.name for one in missing]
        pages = await store.table.rows()
        names = {read_row(page, "", store.known_columns).name for page in pages}
    there = {plain_id(name) for name in names if name}
    for persona in shipped:
        if there & {persona.id, plain_id(persona.name)}:
            made.skipped[persona.name] = "it has a row already"
        else:
            await store.put(persona, None)
            made.personas.append(persona.name)


async def examine(wire: NotionWire, store: NotionPersonas) -> list[PartStatus]:
    """Look at token, sharing, capabilities, columns and each row; what hides the rest ends it."""
    findings: list[PartStatus] = []
    try:
        with told_as("Notion"):
            me = await wire.ask("GET", "users/me")
        where = (me.get("bot") or {}).get("workspace_name") or "its workspace"
        said = f"the connection '{me.get('name') or 'without a name'}' of {where}"
        findings.append(PartStatus("token", ok=True, detail=said))
    except PersonaStoreError as exc:
        return [PartStatus("token", ok=False, detail=str(exc), fix=_advice(exc))]
    try:
        with told_as(store.source):
            columns = await store.table.columns()
        findings.append(PartStatus("sharing", ok=True, detail=f"{store.source} can be read"))
    except PersonaStoreError as exc:
        return [*findings, PartStatus("sharing", ok=False, detail=str(exc), fix=_advice(exc))]
    findings.append(await _capabilities(wire, await store.table.data_source_id()))
    findings += _columns(columns, store)
    try:
        personas = await store.load()
    except PersonaStoreError as exc:
        return [*findings, PartStatus("rows", ok=False, detail=str(exc), fix=_advice(exc))]
    fix = "Mend the cell that it names, in Notion."
    findings += [PartStatus("row", ok=False, detail=one, fix=fix) for one in personas.problems]
    findings += [
        PartStatus("row", ok=True, detail=f"{one.name}, revision {one.revision}")
        for one in personas.members
        if not any(problem.startswith(f"{one.name}:") for problem in personas.problems)
    ]
    return findings


async def _capabilities(wire: NotionWire, data_source_id: str) -> PartStatus:
    """Whether the connection may write, found out by a change that changes nothing."""
    part, may = "capabilities", "the connection may read and update"
    try:
        with told_as("Notion"):
            await wire.ask("PATCH", f"data_sources/{data_source_id}", {"properties": {}})
    except PersonaStoreError as exc:
        status = exc.__cause__.status if isinstance(exc.__cause__, NotionRefusal) else None
        if status == HTTPStatus.FORBIDDEN:
            fix = "For init, push and edits from here, also let it update and insert content."
            return PartStatus(part, ok=False, detail="the connection may only read", fix=fix)
        if status != HTTPStatus.BAD_REQUEST:  # what may not be done is refused before it is read
            said = f"it could not be seen what the connection may do: {exc}"
            return PartStatus(part, ok=False, detail=said, fix="Check again.")
    return PartStatus(part, ok=True, detail=may)


def _columns(columns: dict[str, dict[str, Any]], store: NotionPersonas) -> list[PartStatus]:
    """What is wrong with each column; one finding if nothing is."""
    found = columns_of(columns, store.known_columns)
    findings = []
    for what, column in COLUMNS.items():
        (kind,) = column.kind
        name, there = found.get(what, ("", None))
        if what == "name":
            continue
        if there is None:
            needed = what in _NEEDED
            fix = "Run 'orchestra notion init': it adds what is missing." if needed else ""
            detail = f"'{column.name}' is missing" + ("" if needed else ", which is fine")
            findings.append(PartStatus("column", ok=not needed, detail=detail, fix=fix))
        elif there["type"] != kind and what != "active" and not _can_hold(there["type"], what):
            detail = f"'{name}' is of the type {there['type']}, and should be {kind}"
            fix = "Change its type in Notion; it is read as well as can be, and not written."
            findings.append(PartStatus("column", ok=False, detail=detail, fix=fix))
    return findings or [PartStatus("columns", ok=True, detail=f"all {len(COLUMNS)} are there")]


def _can_hold(kind: str, what: str) -> bool:
    value = 0.5 if what in Traits.model_fields else ("x",) if what == "domains" else "x"
    return cell(kind, value) is not None


def _advice(exc: PersonaStoreError) -> str:
    cause = exc.__cause__
    if isinstance(cause, NotionRefusal) and "is a page" in str(cause):
        return "That is a page: open the table in full and copy its link."
    return "Mend that, then check again."


def _noted(note: Path) -> dict[str, str]:
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


async def _child(wire: NotionWire, parent_id: str) -> str | None:
    """A table of our title that stands on the page."""
    with _nothing_where_unknown():
        for block in await wire.listed("GET", f"blocks/{parent_id}/children"):
            title = (block.get("child_database") or {}).get("title")
            if title == TITLE and not block.get("in_trash"):
                return str(block["id"])
    return None


async def _is_there(wire: NotionWire, database_id: str) -> bool:
    with _nothing_where_unknown():
        return not (await wire.ask("GET", f"databases/{database_id}")).get("in_trash")
    return False


@contextmanager
def _nothing_where_unknown() -> Iterator[None]:
    """Go on behind the block where Notion does not know what is asked for.

    Raises:
        NotionRefusal: it refuses for another reason.
    """
    try:
        yield
    except NotionRefusal as exc:
        if exc.status not in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}:
            raise
