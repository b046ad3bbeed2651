"""Personas from a file into the live store: all of them, or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestra.errors import PersonaInvalidError, PersonaStoreError
from orchestra.personas.files import read_persona
from orchestra.personas.roster import Roster
from orchestra.personas.rules import check_subjects
from orchestra.transfer import cards, document
from orchestra.transfer.copying import Step, carry_out, planned
from orchestra.types.persona import Persona


def read_file(path: Path) -> list[Persona]:
    """The personas of a document, a character card (JSON or PNG) or a persona file.

    Raises:
        PersonaInvalidError: it is none of these, or a persona breaks a rule.
        PersonaStoreError: it cannot be read.
    """
    try:
        if path.suffix == ".md":
            return [read_persona(path)]
        raw = path.read_bytes()
    except OSError as exc:
        message = f"{path} cannot be read: {exc.strerror or exc}."
        raise PersonaStoreError(message) from exc
    if cards.is_picture(raw):
        return [cards.read_picture(raw, path.name)]
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        rule = f"it must be JSON, a PNG card or NAME.md ({exc})"
        raise PersonaInvalidError(path.name, "content", path.suffix, rule) from exc
    if cards.is_card(content):
        return [cards.read(content, path.name)]
    return document.read(content, path.name)


async def bring(coming: Sequence[Persona], roster: Roster, *, dry_run: bool) -> list[Step]:
    """Bring personas into the store that the roster reads.

    Returns:
        What was, or would be, done about each.

    Raises:
        PersonaInvalidError: a subject would belong to two.
        PersonaStoreError: the store fails; nothing was changed, or the message says what was.
    """
    personas = await roster.reload()
    there = {one.id: one for one in personas.members}
    named = [_with_free_id(one, there) for one in coming]
    steps = planned(named, there, personas.source)
    check_subjects({**there, **{one.id: one for one in named}}.values())
    if not dry_run:
        await carry_out(steps, roster.store)
        await roster.reload()
    return steps


def _with_free_id(persona: Persona, there: Mapping[str, Persona]) -> Persona:
    """The same, with an id that nobody has where it is only a namesake of somebody's."""
    if cards.is_ours(persona):
        return persona
    own, number = persona.id, 1
    while own in there and there[own].card != persona.card:
        number += 1
        own = f"{persona.id[:36]}-{number}"
    return persona.model_copy(update={"id": own})
