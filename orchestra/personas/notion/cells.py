"""A persona, written into a row of the Personas table and onto its page."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from orchestra.personas.notion.pages import LONGEST_TEXT, escaped, length_of, texts_of
from orchestra.types.persona import Persona


@dataclass(frozen=True)
class Column:
    """One column of the table, as it is made."""

    name: str
    kind: dict[str, Any]
    description: str


@dataclass(frozen=True)
class Looks:
    """How a persona is drawn when its row does not say."""

    icon: str
    accent: str


DRAWN = {
    "cherry": Looks("🍒", "#d6336c"),
    "karen": Looks("📣", "#ee9012"),
    "sophia": Looks("🔬", "#2f6fde"),
}
"""Whom this project has a picture of; their rows carry the icon, the screen shows the picture."""

_COLOURS = ("#0f8b8d", "#7a4fd0", "#3d8b37", "#b5541c", "#a3348f", "#4f6d8f")
_SCALE = "A number from 0 (not at all) to 1 (as strong as it gets)."
_TRAITS = {
    "openness": "How much it likes the new and the unusual.",
    "conscientiousness": "How orderly and thorough it is.",
    "extraversion": "How outgoing and lively it is.",
    "agreeableness": "How warm and accommodating it is.",
    "neuroticism": "How easily it worries.",
    "humor": "How often it jokes.",
    "formality": "How formal its language is.",
}
_TEXT: dict[str, Any] = {"rich_text": {}}
COLUMNS: dict[str, Column] = {
    "name": Column("Name", {"title": {}}, "What people call the persona."),
    "role": Column("Role", _TEXT, "Its title, in a few words."),
    "backstory": Column("Backstory", _TEXT, "Who it is and what it has lived through."),
    "voice": Column(
        "Voice", _TEXT, "How it talks, as one line. Empty: worked out from the numbers."
    ),
    **{
        trait: Column(trait.capitalize(), {"number": {"format": "number"}}, f"{said} {_SCALE}")
        for trait, said in _TRAITS.items()
    },
    "prompttemplate": Column(
        "Prompt Template",
        _TEXT,
        "What the model is told, with [task], [domain], [historical_decisions] and so on. A long "
        "one goes into the page, under the heading Prompt.",
    ),
    "domains": Column(
        "Domains", {"multi_select": {"options": []}}, "The subjects that are its own."
    ),
    "active": Column("Active", {"checkbox": {}}, "Whether it answers."),
    "accent": Column("Accent", _TEXT, "Its colour on the screen: # and six hex digits."),
    "starters": Column(
        "Starters", _TEXT, "Questions offered on the welcome page, each on a line of its own."
    ),
}
"""By what they mean here, in the order in which they are shown."""


def looks_of(persona_id: str) -> Looks:
    """How a persona is drawn when nothing was said."""
    colour = _COLOURS[sum(persona_id.encode()) % len(_COLOURS)]
    return DRAWN.get(persona_id, Looks("", colour))


def picture_of(persona_id: str, icon: str) -> str:
    """The address of our picture of a persona; '' where its icon, or its initial, is shown."""
    known = DRAWN.get(persona_id)
    is_drawn = known is not None and icon in {"", known.icon}
    return f"/public/avatars/{persona_id}.svg" if is_drawn else ""


def schema(columns: Iterable[Column]) -> dict[str, Any]:
    """Columns as the API takes them."""
    return {one.name: {**one.kind, "description": one.description} for one in columns}


def values_of(persona: Persona) -> dict[str, str | float | tuple[str, ...]]:
    """What belongs into the cells, by the meaning of the column; a long prompt does not."""
    fits = length_of(persona.template) <= LONGEST_TEXT
    return {
        "name": persona.name,
        "role": persona.role,
        "backstory": persona.backstory,
        "voice": persona.voice,
        **persona.traits.model_dump(),
        "prompttemplate": persona.template if fits else "",
        "domains": persona.domains,
        "accent": persona.accent,
        "starters": "\n".join(persona.starters),
    }


def sections_for(persona: Persona, id_by_name: str) -> dict[str, str]:
    """What belongs onto the page, by section, as Markdown; '' where there is nothing to say.

    Args:
        persona: Whom to write down.
        id_by_name: The id that a reader would make of the name.
    """
    fits = length_of(persona.template) <= LONGEST_TEXT
    examples = [
        f"> {escaped(one.message).replace(chr(10), '<br>')}\n{escaped(one.reply)}"
        for one in persona.examples
    ]
    technical: dict[str, Any] = {}
    if persona.id != id_by_name:
        technical["id"] = persona.id
    if persona.avatar != picture_of(persona.id, persona.icon):
        technical["avatar"] = persona.avatar
    if persona.card:
        technical["card"] = json.loads(persona.card)
    said = json.dumps(technical, ensure_ascii=False, indent=1)
    return {
        "prompt": "" if fits else escaped(persona.template),
        "examples": "\n".join(examples),
        "technical": f"```json\n{said}\n```" if technical else "",
    }


def icon_of(persona: Persona) -> dict[str, Any] | None:
    """The page's icon."""
    emoji = persona.icon or looks_of(persona.id).icon
    return {"type": "emoji", "emoji": emoji} if emoji else None


def cell(kind: str, value: str | float | tuple[str, ...]) -> dict[str, Any] | None:
    """A value for a column of this type; None where such a column cannot hold it."""
    if kind in {"title", "rich_text"}:
        return {kind: texts_of(_words(value))}
    if kind == "number" and isinstance(value, float):
        return {"number": value}
    if kind == "multi_select" and isinstance(value, tuple):
        return {"multi_select": [{"name": one} for one in value]}
    return None


def _words(value: str | float | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else value
