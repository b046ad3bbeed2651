"""What has to be written so that a row and its page say what a persona is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestra.errors import PersonaStoreError
from orchestra.personas.kept import plain_id
from orchestra.personas.notion.cells import COLUMNS, cell, looks_of, sections_for, values_of
from orchestra.personas.notion.pages import escaped, texts_of
from orchestra.types.persona import Persona

_ON_PAGE = frozenset({"backstory", "voice", "starters", "prompttemplate"})
"""Columns that a table may lack: their text then stands on the page."""


def edits_for(
    persona: Persona,
    before: Persona | None,
    columns: Mapping[str, tuple[str, dict[str, Any]]],
) -> tuple[dict[str, Any], dict[str, str]]:
    """The cells to write, by the column's name, and the sections, by title; only what differs.

    Args:
        persona: What the row is to say.
        before: What it says; None where nothing, or nothing that was understood.
        columns: By what they mean, as `columns_of` gives them.

    Raises:
        PersonaStoreError: the table has no place for a value.
    """
    changed = _changed(persona, before)
    cells = _cells(persona, changed, columns)
    return cells, {**_sections(persona, before), **_texts(persona, changed, columns)}


def undoing(changes: Mapping[str, Any], page: Mapping[str, Any]) -> dict[str, Any]:
    """What brings a row back to what it was.

    Args:
        changes: What was sent: `properties`, `icon`, or both.
        page: The row as it was before.
    """
    undone = dict(changes)
    if "icon" in changes:
        undone["icon"] = page["icon"]
    if "properties" in changes:
        cells = {name: page["properties"][name] for name in changes["properties"]}
        undone["properties"] = {
            name: {one["type"]: _as_sent(one["type"], one)} for name, one in cells.items()
        }
    return undone


def _as_sent(kind: str, read: Mapping[str, Any]) -> Any:  # noqa: ANN401  # whatever the cell holds
    """A cell's content as it has to be sent: texts in pieces that the API takes."""
    if kind in {"title", "rich_text"}:
        return texts_of("".join(str(one["plain_text"]) for one in read[kind]))
    if kind == "multi_select":
        return [{"name": one["name"]} for one in read[kind]]
    return read[kind]


def _changed(persona: Persona, before: Persona | None) -> frozenset[str]:
    """The columns, by what they mean, whose text or number differs."""
    if before is None:
        return frozenset(values_of(persona))
    new, old = values_of(persona), values_of(before)
    changed = {what for what in new if new[what] != old[what]}
    # A long prompt is not in its cell, before and after.
    return frozenset(
        changed | ({"prompttemplate"} if persona.template != before.template else set())
    )


def _cells(
    persona: Persona,
    changed: frozenset[str],
    columns: Mapping[str, tuple[str, dict[str, Any]]],
) -> dict[str, Any]:
    """The cells to write, by the column's name.

    Raises:
        PersonaStoreError: the table has no place for a value.
    """
    cells = {}
    for what, value in values_of(persona).items():
        if what not in changed:
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
        elif what not in _ON_PAGE and value not in {"", (), looks_of(persona.id).accent}:
            message = (
                f"The table has no column '{COLUMNS[what].name}'. 'orchestra notion init' adds "
                "what is missing and changes nothing else."
            )
            raise PersonaStoreError(message)
    return cells


def _texts(
    persona: Persona,
    changed: frozenset[str],
    columns: Mapping[str, tuple[str, dict[str, Any]]],
) -> dict[str, str]:
    """Sections for what has no column; '' for what its cell says now, which stood there before."""
    values = values_of(persona)
    texts = {
        what: "" if what in columns else escaped(str(values[what]))
        for what in (_ON_PAGE & changed) - {"prompttemplate"}
    }
    if "prompttemplate" in changed and "prompttemplate" not in columns:
        texts["prompt"] = escaped(persona.template)  # a long one is not among the values
    return texts


def _sections(persona: Persona, before: Persona | None) -> dict[str, str]:
    """The sections of the page that differ, of those that are always on it."""
    new = sections_for(persona, plain_id(persona.name))
    old = sections_for(before, plain_id(before.name)) if before is not None else {}
    same = {title for title, text in new.items() if old.get(title) == text}
    if before is not None and before.template != persona.template:
        same.discard("prompt")  # it may have stood there, though it would have fitted its cell
    return {title: text for title, text in new.items() if title not in same}
