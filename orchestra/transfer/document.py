"""Personas as one JSON document, out and in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestra.database import now
from orchestra.errors import PersonaInvalidError
from orchestra.personas.kept import plain_id
from orchestra.personas.rules import checked
from orchestra.types.persona import Persona, Personas, Traits

VERSION = "1.0"
_OTHER_NAMES = {"prompt_template": "template", "prompt": "template", "humour": "humor"}
_NOT_OURS = frozenset({"active", "revision", "persona"})


def written(personas: Personas) -> dict[str, Any]:
    """The document: each persona as its row reads, and whole; with the schema of the whole."""
    return {
        "version": VERSION,
        "export_date": now().isoformat(timespec="seconds"),
        "source": personas.source,
        "revision": personas.revision,
        "personas": [_entry(one) for one in personas.members],
        "schema": Persona.model_json_schema(mode="serialization"),
    }


def read(content: object, source: str) -> list[Persona]:
    """The personas of a document, of a list of personas, or of one persona alone.

    Args:
        content: Parsed JSON.
        source: Where it is from, for messages.

    Raises:
        PersonaInvalidError: it is none of these, or a persona breaks a rule, or two share an id.
    """
    entries = content.get("personas", [content]) if isinstance(content, Mapping) else content
    if not isinstance(entries, list) or not all(isinstance(one, Mapping) for one in entries):
        rule = "it must be a document with 'personas', a list of personas, or one"
        raise PersonaInvalidError(source, "personas", type(content).__name__, rule)
    found = [
        checked(f"{source}, persona {number}", _fields(entry))
        for number, entry in enumerate(entries, start=1)
    ]
    _no_twins(found, source)
    return found


def _no_twins(found: Sequence[Persona], source: str) -> None:
    seen: set[str] = set()
    for one in found:
        if one.id in seen:
            raise PersonaInvalidError(source, "id", one.id, "two of its personas have it")
        seen.add(one.id)


def _entry(persona: Persona) -> dict[str, Any]:
    return {
        "id": persona.id,
        "name": persona.name,
        "role": persona.role,
        "backstory": persona.backstory,
        **persona.traits.model_dump(),
        "prompt_template": persona.template,
        "domains": list(persona.domains),
        "active": True,
        "icon": persona.icon,
        "persona": persona.model_dump(mode="json"),
    }


def _fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a persona, from what was written whole or from what reads like a row."""
    whole = entry.get("persona")
    if isinstance(whole, Mapping):
        return dict(whole)
    fields = {
        _OTHER_NAMES.get(str(key), str(key)): value
        for key, value in entry.items()
        if key not in _NOT_OURS
    }
    flat = {name: fields.pop(name) for name in Traits.model_fields if name in fields}
    if flat:
        told = fields.get("traits")
        fields["traits"] = {**(told if isinstance(told, Mapping) else {}), **flat}
    fields.setdefault("id", plain_id(str(fields.get("name", ""))))
    return fields
