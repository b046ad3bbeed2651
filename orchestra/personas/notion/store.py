"""Personas from a table in Notion.

People edit while we read. So a listing counts only when all of it was read; a row that cannot be
understood leaves its persona as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from orchestra.errors import PersonaChangedError, PersonaConflictError, PersonaStoreError
from orchestra.personas.kept import KeptTable, plain_id
from orchestra.personas.notion.cells import (
    icon_of,
    looks_of,
    picture_of,
)
from orchestra.personas.notion.edits import edits_for, undoing
from orchestra.personas.notion.pages import sections_of, with_sections
from orchestra.personas.notion.rows import Row, columns_of, known_columns, read_row
from orchestra.personas.notion.table import Content, NotionTable
from orchestra.personas.notion.wire import FAILURES, NotionWire, shown_id, told_as
from orchestra.types.persona import Persona, Personas, without_clashes

LIST_SECONDS = 20.0
"""Longest time for the listing alone."""
PAGE_SECONDS = 1.0
"""And for each page on top: Notion allows about three requests a second."""


@dataclass
class _Found:
    """What a reading comes to."""

    members: dict[str, Persona] = field(default_factory=dict)
    """By page."""
    problems: list[str] = field(default_factory=list)
    provisional: set[str] = field(default_factory=set)
    understood: dict[str, Persona] = field(default_factory=dict)
    """By page, those whose row has nothing wrong."""
    ids: dict[str, str] = field(default_factory=dict)
    """By page, of all rows that belong to somebody."""


@dataclass(frozen=True)
class _Place:
    """Where a persona stands in the table, as it was last read."""

    page: dict[str, Any]
    content: Content
    is_active: bool
    persona: Persona | None
    """As the row has it; None where it was not understood, or not looked at."""


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
        for row in sorted(rows, key=lambda row: not row.is_active):
            if row.is_active:
                self._take(row, contents[row.page_id].problem, present, found)
            elif row.name:
                persona_id = self._id_of(row, present)
                if persona_id not in found.ids.values():
                    found.ids[row.page_id] = persona_id
        if not found.members:
            reason = "; ".join(found.problems[:3]) or "it has no active row"
            message = f"{self.source} holds no persona that can be used: {reason}."
            raise PersonaStoreError(message)
        await asyncio.to_thread(self._kept.keep, found.members, found.provisional, columns)
        self._places = {
            found.ids[row.page_id]: _Place(
                page,
                contents[row.page_id],
                row.is_active,
                found.understood.get(row.page_id),
            )
            for page, row in zip(pages, rows, strict=True)
            if row.page_id in found.ids
        }
        personas = self._personas(list(found.members.values()), found.problems)
        active = {row.page_id for row in rows if row.is_active}
        unread = (found.ids[one] for one in found.ids if one in active - set(found.members))
        return personas.model_copy(update={"unread": tuple(unread)})

    @property
    def ids(self) -> frozenset[str]:
        """Ids of the table and of every row that somebody has, as far as they are known."""
        return frozenset({*self.table.ids, *(one.page["id"] for one in self._places.values())})

    def misread(self) -> frozenset[str]:
        """Ids of those whose row, when it was last read, had something wrong."""
        return frozenset(
            one for one, place in self._places.items() if place.is_active and place.persona is None
        )

    async def put(self, persona: Persona, before: Persona | None) -> None:
        """Write a persona into its row, or into a new one; only what differs is touched.

        Raises:
            PersonaConflictError: a row that does not answer has that name.
            PersonaChangedError: somebody changed the same row since it was read.
            PersonaStoreError: Notion refuses, or the table has no place for a value.
        """
        place = self._places.get(persona.id)
        if before is None and place is not None:
            why = "cannot be understood" if place.is_active else "is switched off"
            message = (
                f"'{persona.id}' has a row in the table already, which {why}: mend that first."
            )
            raise PersonaConflictError(message)
        if before and place and place.persona and persona.domains == before.domains:
            # A subject that somebody else has first was left out; the row keeps it.
            persona = persona.model_copy(update={"domains": place.persona.domains})
        with told_as(self.source, writing=True):
            columns = columns_of(await self.table.columns(), self._kept.columns)
            old = place.persona if place else None
            cells, sections = edits_for(persona, old, columns)
            active, column = columns.get("active", ("", {}))
            if place is None:
                if column.get("type") == "checkbox":
                    cells[active] = {"checkbox": True}
                page = await self.table.add_row(
                    cells, icon_of(persona), with_sections("", sections)
                )
                self._kept.keep_id(page["id"], persona.id)
            else:
                there = sections_of(place.content.markdown)
                differing = {
                    one: said for one, said in sections.items() if there.get(one, "") != said
                }
                await self._change(persona, place, cells, differing)

    async def _change(
        self,
        persona: Persona,
        place: _Place,
        cells: Mapping[str, Any],
        sections: Mapping[str, str],
    ) -> None:
        """Change a row and its page, if both are still as they were read.

        Raises:
            PersonaChangedError: one of them is not.
            PersonaStoreError: the page holds what would be lost.
            FAILURES: Notion refuses or is gone; what was changed by then was taken back.
        """
        page_id = place.page["id"]
        now = await self.table.row(page_id)
        if now.get("in_trash") or any(
            now["properties"].get(one) != place.page["properties"].get(one) for one in cells
        ):
            raise PersonaChangedError(persona.id, "somebody edits its row in Notion")
        changes: dict[str, Any] = {"properties": dict(cells)} if cells else {}
        icon = icon_of(persona)
        if (place.persona is None or place.persona.icon != persona.icon) and icon != now["icon"]:
            changes["icon"] = icon
        markdown = await self._markdown(persona, place, sections) if sections else None
        if changes:
            await self.table.change_row(page_id, changes)
        if markdown is not None:
            try:
                await self.table.rewrite_page(page_id, markdown)
            except FAILURES:
                if changes:
                    with contextlib.suppress(*FAILURES):  # the first failure is the one to tell
                        await self.table.change_row(page_id, undoing(changes, place.page))
                raise

    async def _markdown(self, persona: Persona, place: _Place, sections: Mapping[str, str]) -> str:
        """What is to stand on the page: what stands there right now, with these sections.

        Raises:
            PersonaChangedError: a section of ours is not as it was read.
            PersonaStoreError: the page holds what would be lost.
        """
        now = await self.table.content(place.page["id"])
        if now.problem or not now.is_rewritable:
            message = (
                f"{persona.name} was not changed: {now.problem or 'its page holds more than text'}"
                ", which would be lost if it was written from here. Edit the page in Notion."
            )
            raise PersonaStoreError(message)
        read, there = sections_of(place.content.markdown), sections_of(now.markdown)
        if any(read.get(one) != there.get(one) for one in sections):
            raise PersonaChangedError(persona.id, "somebody edits its page in Notion")
        return with_sections(now.markdown, sections)

    async def remove(self, persona_id: str) -> None:
        """Move a persona's row to the trash, from which people can bring it back.

        Raises:
            PersonaStoreError: Notion refuses.
        """
        place = self._places.get(persona_id)
        if place is not None:
            with told_as(self.source, writing=True):
                await self.table.trash_row(place.page["id"])

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
        persona_id = self._free(self._id_of(row, present) if row.name else "", earlier, found)
        found.ids[row.page_id] = persona_id
        if not (wrong and is_sound):
            persona, broken = _persona(row, persona_id)
            wrong += [one for one in broken if one not in wrong]
            if persona is not None:
                self._kept.keep_id(row.page_id, persona_id)
        served = persona or earlier
        what = "an earlier version answers" if persona is None else "a stand-in is used"
        what = what if served is not None else "it is left out"
        name = row.name or (earlier.name if earlier else "A row without a name")
        found.problems += [f"{name}: {one} ({what})." for one in wrong]
        if served is not None:
            found.members[row.page_id] = served.model_copy(update={"id": persona_id})
            if wrong and not is_sound:
                found.provisional.add(row.page_id)
        if persona is not None and not wrong:
            found.understood[row.page_id] = persona

    def _free(self, wanted: str, earlier: Persona | None, found: _Found) -> str:
        """The id of a row: its own, unless a row that was there first has it by now."""
        own = wanted or (earlier.id if earlier else plain_id(wanted))
        free, number = own, 1
        while free in found.ids.values():
            number += 1
            free = f"{own[:36]}-{number}"
        return free

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
