"""Personas from a table in Notion.

People edit while we read. So a listing counts only when all of it was read; a row that cannot be
understood leaves its persona as it was.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from orchestra.errors import PersonaStoreError
from orchestra.personas.kept import KeptTable, plain_id
from orchestra.personas.notion.cells import (
    COLUMNS,
    cell,
    icon_of,
    looks_of,
    picture_of,
    sections_for,
    values_of,
)
from orchestra.personas.notion.pages import escaped, with_sections
from orchestra.personas.notion.rows import Row, columns_of, known_columns, read_row
from orchestra.personas.notion.table import Content, NotionTable
from orchestra.personas.notion.wire import NotionWire, shown_id, told_as
from orchestra.types.persona import Persona, Personas, without_clashes

LIST_SECONDS = 20.0
"""Longest time for the listing alone."""
PAGE_SECONDS = 1.0
"""And for each page on top: Notion allows about three requests a second."""
_ON_PAGE = frozenset({"role", "backstory", "voice", "starters"})
"""Columns that a table may lack: their text then stands on the page."""


@dataclass
class _Found:
    """What a reading comes to."""

    members: dict[str, Persona] = field(default_factory=dict)
    """By page."""
    problems: list[str] = field(default_factory=list)
    provisional: set[str] = field(default_factory=set)
    understood: dict[str, Persona] = field(default_factory=dict)
    """By page, those whose row has nothing wrong."""


@dataclass(frozen=True)
class _Place:
    """Where a persona stands in the table, as it was last read."""

    page: dict[str, Any]
    content: Content
    persona: Persona | None
    """As the row has it; None where it was not understood."""


class NotionPersonas:
    """The rows of one data source, as personas."""

    def __init__(self, wire: NotionWire, reference: str, kept: KeptTable) -> None:
        """Prepare; nothing is asked yet.

        Args:
            wire: The connection to Notion, closed with this.
            reference: Id of the database or data source, or any link to it.
            kept: The last good versions, on disk.
        """
        self.source = f"Notion {shown_id(reference)}"
        self.table = NotionTable(wire, reference)
        self._wire = wire
        self._kept = kept
        self._places: dict[str, _Place] = {}
        """By persona, of the last reading."""

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()

    @property
    def known_columns(self) -> Mapping[str, str]:
        """Ids of columns with what they mean, from earlier readings."""
        return self._kept.columns

    def kept(self) -> Personas | None:
        """What was last read well, from disk; None if there is nothing."""
        rows = self._kept.rows
        return self._personas(list(rows.values()), ()) if rows else None

    def distrust(self) -> None:
        """Read every page anew: somebody says that something changed."""
        self.table.forget()

    async def load(self) -> Personas:
        """Read the whole table.

        Raises:
            PersonaStoreError: Notion does not answer, refuses, or gave less than the whole; or no
                row can be used.
        """
        with told_as(self.source):
            async with asyncio.timeout(LIST_SECONDS):
                pages = await self.table.rows()
            async with asyncio.timeout(LIST_SECONDS + PAGE_SECONDS * len(pages)):
                contents = await self.table.contents(pages)
            rows = [
                read_row(page, contents[page["id"]].markdown, self._kept.columns) for page in pages
            ]
            columns = {
                key: what
                for page in pages
                for key, what in known_columns(page["properties"]).items()
            }
        found, present = _Found(), {row.page_id for row in rows}
        for row in rows:
            if row.is_active:
                self._take(row, contents[row.page_id].problem, present, found)
        if not found.members:
            reason = "; ".join(found.problems[:3]) or "it has no active row"
            message = f"{self.source} holds no persona that can be used: {reason}."
            raise PersonaStoreError(message)
        await asyncio.to_thread(self._kept.keep, found.members, found.provisional, columns)
        self._places = {
            found.members[page["id"]].id: _Place(
                page,
                contents[page["id"]],
                found.understood.get(page["id"]),
            )
            for page in pages
            if page["id"] in found.members
        }
        return self._personas(list(found.members.values()), found.problems)

    def misread(self) -> frozenset[str]:
        """Ids of those whose row, when it was last read, had something wrong."""
        return frozenset(one for one, place in self._places.items() if place.persona is None)

    async def put(self, persona: Persona) -> None:
        """Write a persona into its row, or into a new one; only what differs is touched.

        The table must have been read before.

        Raises:
            PersonaStoreError: Notion refuses, or the table has no place for a value.
        """
        place = self._places.get(persona.id)
        with told_as(self.source):
            columns = columns_of(await self.table.columns(), self._kept.columns)
            before = place.persona if place else None
            cells, texts = _written(persona, before, columns)
            sections = {**texts, **_sections(persona, before)}
            if place is None:
                await self._add(persona, cells, sections, columns)
                return
            if sections and place.content.problem:
                message = (
                    f"{persona.name} was not changed: {place.content.problem}, so it cannot be "
                    "written back. Edit the page in Notion."
                )
                raise PersonaStoreError(message)
            icon = icon_of(persona) if before and before.icon != persona.icon else None
            if sections:
                markdown = with_sections(place.content.markdown, sections)
                await self.table.rewrite_page(place.page["id"], markdown)
            if cells or icon:
                await self.table.change_row(place.page["id"], cells, icon)

    async def remove(self, persona_id: str) -> None:
        """Move a persona's row to the trash, from which people can bring it back.

        Raises:
            PersonaStoreError: Notion refuses.
        """
        place = self._places.get(persona_id)
        if place is not None:
            with told_as(self.source):
                await self.table.trash_row(place.page["id"])

    async def _add(
        self,
        persona: Persona,
        cells: dict[str, Any],
        sections: Mapping[str, str],
        columns: Mapping[str, tuple[str, dict[str, Any]]],
    ) -> None:
        name, active = columns.get("active", ("", {}))
        if active.get("type") == "checkbox":
            cells = {**cells, name: {"checkbox": True}}
        page = await self.table.add_row(cells, icon_of(persona), with_sections("", sections))
        self._kept.keep_id(page["id"], persona.id)

    def _personas(self, members: list[Persona], problems: Sequence[str]) -> Personas:
        """The set; a subject that two claim stays with whoever was there first."""
        served, shared = without_clashes(members)
        return Personas(
            members=tuple(sorted(served, key=lambda one: one.id)),
            source=self.source,
            problems=(*problems, *shared),
        )

    def _take(self, row: Row, cut: str, present: set[str], found: _Found) -> None:
        """Find the persona of a row: as it stands there, or as it was when it was understood."""
        earlier = self._kept.rows.get(row.page_id)
        is_sound = earlier is not None and row.page_id not in self._kept.provisional
        wrong = [*row.problems, *([cut] if cut else [])]
        persona = None
        if not (wrong and is_sound):
            persona_id = self._id_of(row, present)
            persona, broken = _persona(row, persona_id)
            wrong += [one for one in broken if one not in wrong]
            if persona is not None:
                self._kept.keep_id(row.page_id, persona_id)
        served = persona or earlier
        what = "an earlier version answers" if persona is None else "a stand-in is used"
        what = what if served is not None else "it is left out"
        name = row.name or "A row without a name"
        found.problems += [f"{name}: {one} ({what})." for one in wrong]
        if served is not None:
            found.members[row.page_id] = served
            if wrong and not is_sound:
                found.provisional.add(row.page_id)
        if persona is not None and not wrong:
            found.understood[row.page_id] = persona

    def _id_of(self, row: Row, present: set[str]) -> str:
        said = row.technical.get("id")
        is_id = isinstance(said, str) and re.fullmatch(r"[a-z][a-z0-9-]{0,39}", said)
        wanted = str(said) if is_id else row.name
        return self._kept.id_for(row.page_id, wanted, present)


def _persona(row: Row, persona_id: str) -> tuple[Persona | None, list[str]]:
    """The persona that a row describes, or what is wrong with it."""
    icon = str(row.fields["icon"])
    drawn = looks_of(persona_id)
    picture = picture_of(persona_id, icon)
    fields = {
        "accent": drawn.accent,
        **row.fields,
        "id": persona_id,
        "icon": "" if picture else icon,
        "avatar": row.technical.get("avatar", picture),
        "card": row.technical.get("card", ""),
    }
    try:
        return Persona.model_validate(fields), []
    except ValidationError as exc:
        wrong = ((str(one["loc"][0]), one["msg"]) for one in exc.errors())
        return None, [f"{name}: {said}" for name, said in wrong if name not in row.missing]


def _written(
    persona: Persona,
    before: Persona | None,
    columns: Mapping[str, tuple[str, dict[str, Any]]],
) -> tuple[dict[str, Any], dict[str, str]]:
    """The cells to write, by column, and what goes onto the page for want of a column.

    Raises:
        PersonaStoreError: the table has no place for a value.
    """
    old = values_of(before) if before is not None else {}
    cells, texts = {}, {}
    for what, value in values_of(persona).items():
        if what in old and old[what] == value:
            continue
        name, column = columns.get(what, ("", None))
        if column is not None:
            written = cell(column["type"], value)
            if written is None:
                message = (
                    f"The column '{name}' is of the type {column['type']} in Notion, which cannot "
                    f"be written: change it there, or make it a plain one."
                )
                raise PersonaStoreError(message)
            cells[name] = written
        elif what in _ON_PAGE:
            texts[what] = escaped(str(value))
        elif what == "prompttemplate":
            texts["prompt"] = escaped(persona.template)
        elif value and value != looks_of(persona.id).accent:
            message = (
                f"The table has no column '{COLUMNS[what].name}'. 'orchestra notion init' adds "
                "what is missing and changes nothing else."
            )
            raise PersonaStoreError(message)
    return cells, texts


def _sections(persona: Persona, before: Persona | None) -> dict[str, str]:
    """The sections of the page that differ."""
    new = sections_for(persona, plain_id(persona.name))
    old = sections_for(before, plain_id(before.name)) if before is not None else {}
    return {title: text for title, text in new.items() if old.get(title) != text}
