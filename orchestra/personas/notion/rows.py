"""A row of the Personas table in Notion, read as its author meant it.

People rename columns, type '70%', leave cells empty, turn a number into a formula. What can be
understood is; what cannot is listed as a problem, in words, beside the best that can be made of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestra.personas.notion.pages import plain, sections_of
from orchestra.types.persona import DEFAULT_TEMPLATE, Traits

_MIDDLE = 0.5
_OTHER_NAMES = {"humour": "humor", "prompt": "prompttemplate", "subjects": "domains"}
_COLUMNS = frozenset(Traits.model_fields) | {
    "role",
    "backstory",
    "voice",
    "prompttemplate",
    "domains",
    "active",
    "accent",
    "starters",
}


@dataclass(frozen=True)
class Row:
    """What a row says about a persona."""

    page_id: str
    name: str
    is_active: bool
    fields: dict[str, Any]
    """Those of a persona, by name; without its id."""
    technical: dict[str, Any]
    """What its page keeps for programs."""
    missing: frozenset[str]
    """Fields that the persona needs and that are empty: `problems` says so."""
    problems: tuple[str, ...]
    """One line each, for the author."""


def known_columns(properties: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The ids of the columns that mean something here, each with what it means."""
    return {
        cell["id"]: column(name)
        for name, cell in properties.items()
        if column(name) in _COLUMNS and "id" in cell
    }


def columns_of(
    properties: Mapping[str, dict[str, Any]], remembered: Mapping[str, str]
) -> dict[str, tuple[str, dict[str, Any]]]:
    """The columns by what they mean, each with the name it has and its cell or description.

    Args:
        properties: Of a page, or of the table.
        remembered: Earlier `known_columns`: a column that was given another name keeps its id.
    """
    named = [(column(name), name, cell) for name, cell in properties.items()]
    renamed = [(remembered.get(one.get("id", ""), ""), name, one) for _, name, one in named]
    found = {what: (name, cell) for what, name, cell in [*renamed, *named] if what}
    title = next((name for name, cell in properties.items() if cell.get("type") == "title"), None)
    found.pop("name", None)  # a column of that name need not be the title, which may have another
    return found if title is None else {**found, "name": (title, properties[title])}


def read_row(page: Mapping[str, Any], body: str, remembered: Mapping[str, str]) -> Row:
    """Read a row.

    Args:
        page: The page, as the API gives it.
        body: The page's content as Markdown; what its headings Prompt, Examples, Backstory, Voice
            and Starters hold counts where the column of that name is empty or missing.
        remembered: Earlier `known_columns`: a column that was given another name keeps its id.

    Raises:
        KeyError: it is no page.
        TypeError: likewise.
        AttributeError: likewise.
    """
    properties: dict[str, Any] = page["properties"]
    found = columns_of(properties, remembered)
    columns = {what: cell for what, (_, cell) in found.items()}
    sections = sections_of(body)
    problems: list[str] = []

    def words(what: str, section: str) -> str:
        return text_of(columns.get(what)) or plain(sections.get(section, ""))

    name = next((text_of(one) for one in properties.values() if one.get("type") == "title"), "")
    if not name:
        problems.append("Name is empty: a persona needs one")
    empty = frozenset(one for one in ("role", "backstory") if not words(one, one))
    problems += [f"{one.capitalize()} is empty" for one in sorted(empty, reverse=True)]
    traits = {}
    for trait in Traits.model_fields:
        value, problem = number_of(columns.get(trait))
        traits[trait] = _MIDDLE if value is None else min(max(value, 0.0), 1.0)
        if problem:
            problems.append(f"{trait.capitalize()} {problem}")
    fields = {
        "name": name,
        "role": words("role", "role"),
        "voice": words("voice", "voice"),
        "backstory": words("backstory", "backstory"),
        "template": words("prompttemplate", "prompt") or DEFAULT_TEMPLATE,
        "traits": traits,
        "domains": _options(columns.get("domains")),
        "examples": examples_of(sections.get("examples", "")),
        "starters": tuple(_lines(words("starters", "starters"))),
    }
    accent = text_of(columns.get("accent"))
    if accent:
        fields["accent"] = accent
    technical, problem = _technical(sections.get("technical", ""))
    problems += [problem] if problem else []
    icon = page.get("icon") or {}
    fields["icon"] = str(icon.get("emoji", "")) if icon.get("type") == "emoji" else ""
    is_active = _is_active(columns.get("active"))
    missing = empty if name else empty | {"name"}
    return Row(page["id"], name, is_active, fields, technical, missing, tuple(problems))


def text_of(cell: Mapping[str, Any] | None) -> str:
    """The words of a cell of any type; its `plain_text`, for a mention has no text."""
    value = _value(cell)
    if isinstance(value, list):
        return "".join(_words(one) for one in value).strip()
    if isinstance(value, Mapping):
        return str(value.get("name") or value.get("plain_text") or "").strip()
    return "" if value is None or isinstance(value, bool) else str(value).strip()


def number_of(cell: Mapping[str, Any] | None) -> tuple[float | None, str | None]:
    """The number of a cell, and what is wrong with it, if anything."""
    if cell is None:
        return None, "has no column in the table"
    value = _value(cell)
    if isinstance(value, bool):
        return None, "is a checkbox, but must be a number from 0 to 1"
    if not isinstance(value, int | float):
        said = text_of(cell)
        if not said:
            return None, "is empty: it must be a number from 0 to 1"
        match = re.fullmatch(r"(-?\d+(?:[.,]\d+)?)\s*(%?)", said)
        if match is None:
            return None, f"is '{said[:40]}', but must be a number from 0 to 1"
        value = float(match[1].replace(",", ".")) / (100 if match[2] else 1)
    if not 0 <= value <= 1:
        return float(value), f"is {value:g}, but must be a number from 0 to 1"
    return float(value), None


def examples_of(text: str) -> tuple[dict[str, str], ...]:
    """Pairs of a quoted message and the reply below it; a message without a reply is left out.

    Args:
        text: As Notion wrote it: a sign for a quote that somebody typed has a backslash.
    """
    pieces = re.split(r"^((?:>.*\n?)+)", text, flags=re.MULTILINE)
    pairs = zip(pieces[1::2], pieces[2::2], strict=True)
    said = [(re.sub(r"^> ?", "", one, flags=re.MULTILINE), two) for one, two in pairs]
    return tuple(
        {"message": plain(message).strip(), "reply": plain(reply).strip()}
        for message, reply in said
        if message.strip() and reply.strip()
    )


def _value(cell: Mapping[str, Any] | None) -> Any:  # noqa: ANN401  # whatever the type of the cell holds
    """What a cell holds; formulas and rollups hold what they came to."""
    value: Any = cell
    for _ in range(3):
        if not isinstance(value, Mapping) or "type" not in value:
            break
        value = value.get(value["type"])
    return value


def _words(part: Mapping[str, Any]) -> str:
    if "plain_text" in part:
        return str(part["plain_text"])
    return str(part["name"]) if "name" in part else text_of(part)


def _options(cell: Mapping[str, Any] | None) -> tuple[str, ...]:
    value = _value(cell)
    named = [str(one.get("name", "")) for one in value] if isinstance(value, list) else []
    if not any(named):  # a column of text: names between commas
        named = text_of(cell).split(",")
    return tuple(dict.fromkeys(one.strip().lower() for one in named if one.strip()))


def _is_active(cell: Mapping[str, Any] | None) -> bool:
    """Whether the persona is to answer; a table without that column leaves nobody out."""
    value = _value(cell)
    return value if isinstance(value, bool) else True


def _lines(text: str) -> list[str]:
    return [line.lstrip("-*• ").strip() for line in text.splitlines() if line.strip("-*• ")]


def _technical(text: str) -> tuple[dict[str, Any], str | None]:
    """What a page keeps for programs, and what is wrong with it, if anything."""
    fenced = re.search(r"\{.*\}", text, re.DOTALL)
    if fenced is None:
        return {}, None
    try:
        return dict(json.loads(fenced[0])), None
    except (ValueError, RecursionError):
        return {}, "what its page says under Technical is no JSON; remove it, or undo the edit"


def column(name: str) -> str:
    """What a column is called here, however its author wrote it."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return _OTHER_NAMES.get(plain, plain)
