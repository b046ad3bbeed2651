"""The port to where personas live."""

from __future__ import annotations

from typing import Protocol

from orchestra.types.persona import Persona, Personas


class PersonaStore(Protocol):
    """A place where personas are read and written."""

    source: str
    """What it is, for people."""

    async def load(self) -> Personas:
        """Read all personas at once.

        Raises:
            PersonaStoreError: the place does not answer, or refuses.
            PersonaInvalidError: a persona breaks a rule.
        """
        ...

    async def put(self, persona: Persona, before: Persona | None) -> None:
        """Add a persona, or replace the one with its id; the place was loaded before.

        Args:
            persona: The new content.
            before: What is replaced, as it was loaded; None to add one.

        Raises:
            PersonaConflictError: there is something of that id which does not answer.
            PersonaChangedError: somebody else changed it meanwhile.
            PersonaInvalidError: the place cannot keep it as it is.
            PersonaStoreError: the place does not answer, or refuses.
        """
        ...

    async def remove(self, persona_id: str) -> None:
        """Remove a persona, if it is there.

        Raises:
            PersonaStoreError: the place does not answer, or refuses.
        """
        ...

    def kept(self) -> Personas | None:
        """What was last read well, by an earlier process; None where that is not kept."""
        ...

    def distrust(self) -> None:
        """Trust nothing of the last reading: somebody says that something changed."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...
