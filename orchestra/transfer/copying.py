"""Personas from one place into another: planned, shown, carried out or taken back."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestra.errors import PersonaError, PersonaStoreError
from orchestra.personas.changes import differences
from orchestra.personas.store import PersonaStore
from orchestra.types.persona import Persona, same_words

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """What is to be done about one persona."""

    persona_id: str
    action: Literal["add", "change", "keep", "skip"]
    detail: str
    persona: Persona | None = None
    """The new content, for 'add' and 'change'."""
    before: Persona | None = None
    """The content that is replaced, for 'change'."""


def planned(coming: Iterable[Persona], there: Mapping[str, Persona], where: str) -> list[Step]:
    """What would make `there` have all that is coming; nobody is removed.

    Args:
        coming: The personas to bring.
        there: Those that are there, by id.
        where: What 'there' is, for people.
    """
    steps, brought = [], set()
    for persona in coming:
        brought.add(persona.id)
        before = there.get(persona.id)
        if before is None:
            steps.append(Step(persona.id, "add", f"new in {where}", persona))
        elif same_words(before, persona):
            steps.append(Step(persona.id, "keep", "the same in both"))
        else:
            said = ", ".join(differences(before, persona))
            steps.append(Step(persona.id, "change", said, persona, before))
    alone = [
        Step(one, "skip", f"only in {where}; nobody is removed")
        for one in there
        if one not in brought
    ]
    return steps + alone


async def carry_out(steps: Sequence[Step], store: PersonaStore) -> None:
    """Do what was planned: all of it, or, where the store fails half-way, nothing.

    Raises:
        PersonaStoreError: the store failed; the message says whether all is as it was.
    """
    done: list[Step] = []
    for step in steps:
        if step.persona is None:
            continue
        try:
            await store.put(step.persona, step.before)
        except PersonaError as exc:
            undone = await _taken_back([*done, step], store)
            message = f"'{step.persona_id}' could not be written: {exc} {undone}"
            raise PersonaStoreError(message) from exc
        done.append(step)


async def _taken_back(done: Sequence[Step], store: PersonaStore) -> str:
    """Undo, the last first; says how that went."""
    try:
        there = {one.id: one for one in (await store.load()).members}
        for step in reversed(done):
            found = there.get(step.persona_id)
            if found == step.before:
                continue
            if step.before is not None:
                await store.put(step.before, found)
            elif found is not None:
                await store.remove(step.persona_id)
    except PersonaError as exc:
        log.exception("Could not be taken back")
        names = ", ".join(step.persona_id for step in done)
        return f"And what was written before ({names}) could not be taken back: {exc}"
    return "Everything is as it was before."
