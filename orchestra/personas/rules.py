"""Fields from outside, made into a persona; what breaks a rule is told in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from orchestra.errors import PersonaInvalidError
from orchestra.types.persona import Persona, clashes

_NUMBER = "must be a number from 0 (not at all) to 1 (as strong as it gets)"
_RULES = {
    "greater_than_equal": _NUMBER,
    "less_than_equal": _NUMBER,
    "float_parsing": "must be a number from 0 to 1",
    "float_type": "must be a number from 0 to 1",
    "missing": "is required",
    "extra_forbidden": "is not a known field; check its spelling",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "string_too_long": "is too long",
    "too_long": "is too long",
}


def checked(source: str, fields: Mapping[str, Any]) -> Persona:
    """The persona with these fields.

    Args:
        source: Where they come from, for the message.
        fields: As `Persona` has them; a revision, which follows from the others, is not looked at.

    Raises:
        PersonaInvalidError: one breaks a rule.
    """
    try:
        return Persona.model_validate({k: v for k, v in fields.items() if k != "revision"})
    except ValidationError as exc:
        first = exc.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        value = None if first["type"] == "missing" else first["input"]
        said = first["msg"].removeprefix("Value error, ")
        rule = f"it {_RULES.get(first['type'], said if said.startswith('must') else said.lower())}"
        raise PersonaInvalidError(source, field, value, rule) from exc


def check_subjects(members: Iterable[Persona]) -> None:
    """Make sure that each subject belongs to one persona.

    Raises:
        PersonaInvalidError: somebody claims what another one has.
    """
    for one, subject, owner in clashes(members):
        rule = f"it already belongs to {owner.name}"
        raise PersonaInvalidError(one.id, "domains", subject, rule)
