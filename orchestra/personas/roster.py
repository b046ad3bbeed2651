"""The personas in use: at most one TTL old, and never waited for after the first load."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from orchestra.errors import PersonaError
from orchestra.personas.store import PersonaStore
from orchestra.types.persona import Personas

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RosterStatus:
    """How fresh the personas in use are, for health and people."""

    source: str
    revision: str
    age_seconds: float
    reloads: int
    failures: int
    last_error: str | None


class Roster:
    """Gives every turn the current personas; reads them again behind its back.

    After the first load nobody waits: whoever finds the personas older than the TTL gets them
    as they are and starts the one refresh. A refresh that fails leaves the last good set in
    use, is logged, and shows in `status` until one succeeds.
    """

    def __init__(
        self,
        store: PersonaStore,
        ttl_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._personas: Personas | None = None
        self._checked_at = 0.0
        self._loaded_at = 0.0
        self._refresh: asyncio.Task[Personas] | None = None
        self._reloads = 0
        self._failures = 0
        self._last_error: str | None = None

    async def current(self) -> Personas:
        """Return the personas to use for one turn.

        Raises:
            PersonaError: the very first load failed.
        """
        if self._personas is None:
            return await self.reload()
        if self._clock() - self._checked_at >= self._ttl_seconds:
            self._start_refresh()
        return self._personas

    async def reload(self) -> Personas:
        """Read the personas now; joins a refresh that is already on its way.

        Raises:
            PersonaError: they could not be read; the last good set stays in use.
        """
        return await asyncio.shield(self._start_refresh())

    def status(self) -> RosterStatus:
        """How fresh the personas are."""
        return RosterStatus(
            source=self._store.source,
            revision=self._personas.revision if self._personas else "",
            age_seconds=round(self._clock() - self._loaded_at, 1) if self._personas else 0.0,
            reloads=self._reloads,
            failures=self._failures,
            last_error=self._last_error,
        )

    async def close(self) -> None:
        """Wait for a refresh that is on its way."""
        if self._refresh is not None:
            await asyncio.wait([self._refresh])

    def _start_refresh(self) -> asyncio.Task[Personas]:
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._read())
            self._refresh.add_done_callback(_retrieve)
        return self._refresh

    async def _read(self) -> Personas:
        self._checked_at = self._clock()
        try:
            fresh = await self._store.load()
        except PersonaError as exc:
            self._failures += 1
            self._last_error = str(exc)
            kept = "the last good personas stay in use" if self._personas else "there are none yet"
            log.warning("Personas were not reloaded, %s: %s", kept, exc)
            raise
        except Exception as exc:
            # A mistake of ours in a store: it must show like any other failure, and be mended.
            self._failures += 1
            self._last_error = f"{type(exc).__name__}: {exc}"
            log.exception("Personas were not reloaded")
            raise
        if self._personas is None or fresh.revision != self._personas.revision:
            log.info(
                "Personas: %s from %s, revision %s",
                ", ".join(fresh.ids),
                fresh.source,
                fresh.revision,
            )
            self._personas = fresh
        self._loaded_at = self._checked_at = self._clock()
        self._reloads += 1
        self._last_error = None
        return self._personas


def _retrieve(refresh: asyncio.Task[Personas]) -> None:
    """Mark the outcome as seen: a failed refresh is already in the log and the status."""
    if not refresh.cancelled():
        refresh.exception()
