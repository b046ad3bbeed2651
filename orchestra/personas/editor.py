"""Changes personas where they live, one at a time: read anew, compare, write, read back, note."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from orchestra.errors import (
    OrchestraError,
    PersonaChangedError,
    PersonaConflictError,
    PersonaStoreError,
    StorageError,
)
from orchestra.personas.history import Act, PersonaHistory
from orchestra.personas.roster import Roster
from orchestra.personas.rules import check_subjects, checked
from orchestra.types.conversation import shorten
from orchestra.types.persona import Example, Persona, Personas

log = logging.getLogger(__name__)

ANY = "*"
"""Expects whatever is there."""


@dataclass
class _Change:
    """One change, while it happens."""

    personas: Personas
    """What is in the store right now."""
    before: Persona | None
    after: Personas
    """What is in the store once it is done: the gate may have others serve."""


class Editor:
    """Writes to the live store, so that what it says is what the next turn uses."""

    def __init__(self, roster: Roster, history: PersonaHistory) -> None:
        self._roster = roster
        self._history = history
        self._one_at_a_time = asyncio.Lock()

    async def create(self, persona: Persona, author: str) -> Persona:
        """Add a persona.

        Returns:
            The persona as the store has it now.

        Raises:
            PersonaConflictError: there is one with this id.
            PersonaInvalidError: a subject belongs to somebody else.
            PersonaStoreError: the store does not answer, or refuses.
        """
        async with self._change("create", persona.id, author) as change:
            if persona.id in {*change.personas.ids, *change.personas.unread}:
                message = (
                    f"There is a persona '{persona.id}' already. Replace it, or take another id."
                )
                raise PersonaConflictError(message)
            await self._put(persona, change)
        return change.after.get(persona.id)

    async def replace(
        self, persona: Persona, expected: str, author: str, note: str = ""
    ) -> Persona:
        """Replace the persona with the same id.

        Args:
            persona: The new content.
            expected: Revision that is to be replaced; ANY for whichever.
            author: Who does it.
            note: Why, for the history.

        Returns:
            The persona as the store has it now.

        Raises:
            PersonaNotFoundError: there is none.
            PersonaChangedError: somebody else changed it meanwhile.
            PersonaInvalidError: a subject belongs to somebody else.
            PersonaStoreError: the store does not answer, or refuses.
        """
        async with self._change("replace", persona.id, author, note) as change:
            change.personas.get(persona.id)
            await self._check_expected(persona.id, expected, change.before)
            await self._put(persona, change)
        return change.after.get(persona.id)

    async def teach(self, persona_id: str, example: Example, author: str) -> Persona:
        """Add an exchange to a persona's examples; one on the same message is replaced.

        Returns:
            The persona as the store has it now.

        Raises:
            PersonaNotFoundError: there is none.
            PersonaInvalidError: the exchange breaks a rule.
            PersonaStoreError: the store does not answer, or refuses.
        """
        note = f"learned: {shorten(example.message, 80)}"
        async with self._change("teach", persona_id, author, note) as change:
            persona = change.personas.get(persona_id)
            others = [one for one in persona.examples if one.message != example.message]
            fields = persona.model_dump() | {"examples": (*others, example)}
            await self._put(checked(persona_id, fields), change)
        return change.after.get(persona_id)

    async def remove(self, persona_id: str, expected: str, author: str) -> None:
        """Remove a persona; its versions and memories stay.

        Raises:
            PersonaNotFoundError: there is none.
            PersonaChangedError: somebody else changed it meanwhile.
            PersonaConflictError: it is the last one.
            PersonaStoreError: the store does not answer, or refuses.
        """
        async with self._change("remove", persona_id, author) as change:
            name = change.personas.get(persona_id).name
            await self._check_expected(persona_id, expected, change.before)
            if len(change.personas.members) == 1:
                message = f"{name} is the last one: somebody has to answer."
                raise PersonaConflictError(message)
            await self._roster.store.remove(persona_id)

    async def roll_back(self, persona_id: str, version: int, expected: str, author: str) -> Persona:
        """Give a persona the content of an earlier version, in the store as well.

        Returns:
            The persona as the store has it now.

        Raises:
            PersonaNotFoundError: there is no such persona or version.
            PersonaChangedError: somebody else changed it meanwhile.
            PersonaInvalidError: a subject belongs to somebody else by now.
            PersonaStoreError: the store does not answer, or refuses.
        """
        note = f"back to version {version}"
        async with self._change("rollback", persona_id, author, note) as change:
            await self._check_expected(persona_id, expected, change.before)
            persona = await self._history.version(persona_id, version)
            await self._put(persona, change)
        return change.after.get(persona_id)

    async def _check_expected(self, persona_id: str, expected: str, before: Persona | None) -> None:
        """Refuse to change what is not as it was expected.

        Raises:
            PersonaChangedError: it is not.
        """
        found = before.revision if before else "gone"
        if expected in {ANY, found}:
            return
        why = f"you expected revision {expected}, it is {found}"
        serving = (await self._roster.current()).find(persona_id)
        if serving is not None and serving.revision == expected:
            why = f"{why}; the one you expected serves, as {found} has not passed the gate"
        raise PersonaChangedError(persona_id, why)

    @asynccontextmanager
    async def _change(
        self, action: str, persona_id: str, author: str, note: str = ""
    ) -> AsyncIterator[_Change]:
        """What is in the store right now, for one change, which is then read back.

        Whatever comes of it is noted.

        Raises:
            PersonaStoreError: it was removed, and is still there.
            OrchestraError: whatever the change raises, or reading.
        """
        async with self._one_at_a_time:
            before = None
            try:
                personas = await self._roster.reload()
                before = personas.find(persona_id)
                change = _Change(personas, before, personas)
                yield change
            except OrchestraError as exc:
                await self._note(action, persona_id, author, before, str(exc))
                raise
            try:
                change.after = await self._roster.reload()
                after = change.after.find(persona_id)
                if after != before:
                    revision = after.revision if after else ""
                    await self._history.credit(persona_id, revision, author, note)
                elif action == "remove":
                    message = (
                        f"'{persona_id}' was removed, and is still there; look into the store."
                    )
                    raise PersonaStoreError(message)
            except OrchestraError as exc:
                outcome = f"done, but not read back: {exc}"
                await self._note(action, persona_id, author, before, outcome)
                raise
            await self._note(action, persona_id, author, before, "done")

    async def _put(self, persona: Persona, change: _Change) -> None:
        """Write a persona among the others.

        Raises:
            PersonaInvalidError: a subject belongs to one of them.
            PersonaStoreError: the store does not answer, or refuses.
        """
        others = (one for one in change.personas.members if one.id != persona.id)
        check_subjects((*others, persona))
        await self._roster.store.put(persona, change.before)

    async def _note(
        self, action: str, persona_id: str, author: str, before: Persona | None, outcome: str
    ) -> None:
        act = Act(author, action, persona_id, before.revision if before else "", outcome)
        log.info("%s: %s %s: %s", author, action, persona_id, outcome)
        try:
            await self._history.note(act)
        except StorageError:
            log.exception("It is not in the audit log: %s", act)
