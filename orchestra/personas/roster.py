"""The personas in use: at most one TTL old, and never waited for after the first load."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from orchestra import metrics
from orchestra.errors import PersonaError, PersonaStoreError, StorageError
from orchestra.personas.store import PersonaStore
from orchestra.types.persona import Personas

log = logging.getLogger(__name__)

_FIRST_SECONDS = 10.0
"""Longest wait for the very first load."""
_LAST_SECONDS = 2.0
_MOMENT_SECONDS = 1.0
"""Edits come in bursts: one reading serves all that happen within this time."""
_LEAST_SECONDS = 0.05
_FIRST_PAUSE_SECONDS = 5.0
"""Before the first new try after a failure; doubled up to the TTL."""


@dataclass(frozen=True)
class RosterStatus:
    """How fresh the personas in use are, for health and people."""

    source: str
    revision: str
    age_seconds: float
    reloads: int
    failures: int
    last_error: str | None
    problems: tuple[str, ...] = ()


class Roster:
    """Gives every turn the current personas; reads them again behind its back.

    After the first load nobody waits. They are read again whenever they are due: by
    `stay_fresh` where that runs, and whoever finds the personas older than the TTL gets them
    as they are and starts the one refresh. A refresh that fails leaves the last good set in
    use, is logged, and shows in `status` until one succeeds; the next try comes sooner than the
    TTL, and not before the store wants to be asked. Where even the first load fails, what the
    store kept from an earlier process answers, or else the personas of the fallback; the gate is
    asked about those too.
    """

    def __init__(
        self,
        store: PersonaStore,
        ttl_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        fallback: PersonaStore | None = None,
        recorder: Callable[[Personas], Awaitable[None]] | None = None,
        gate: Callable[[Personas], Personas] | None = None,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            store: Where the personas live.
            ttl_seconds: How old they may get before they are read again.
            clock: Seconds.
            fallback: Who answers when the store fails and nothing of it was kept.
            recorder: Keeps what was read, when it differs from what it kept last.
            gate: Who serves once these were read: they, or others with the reason as a problem.
        """
        self.store = store
        self._recorder = recorder
        self._gate = gate
        self._recorded: Personas | None = None
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._personas: Personas | None = None
        self._fallback = fallback
        self._due_at = 0.0
        self._not_before = 0.0
        self._failures_in_a_row = 0
        self._loaded_at = 0.0
        self._refresh: asyncio.Task[Personas] | None = None
        self._nudge: asyncio.Task[None] | None = None
        self._nudged = False
        self._reloads = 0
        self._failures = 0
        self._last_error: str | None = None

    async def current(self) -> Personas:
        """Return the personas to use for one turn.

        Raises:
            PersonaError: the very first load failed.
        """
        metrics.persona_reads.labels("store" if self._personas is None else "memory").inc()
        if self._personas is None:
            return await self._first()
        if self._clock() >= self._due_at:
            self._start_refresh()
        return self._personas

    async def reload(self) -> Personas:
        """Read the personas now: what comes back was asked for after this was called.

        That is what the store has, which serves unless the gate holds it back.

        Raises:
            PersonaError: they could not be read; the last good set stays in use.
        """
        await self._end_of_refresh()  # it may have read what was there before
        return await asyncio.shield(self._start_refresh())

    async def stay_fresh(self) -> None:
        """Read the personas whenever they are due, for good: nobody's message has to begin it.

        Without this a message after a quiet hour would be answered by the personas of an hour ago.
        """
        while self._ttl_seconds:
            await asyncio.sleep(max(self._due_at - self._clock(), _LEAST_SECONDS))
            if self._clock() >= self._due_at:
                await asyncio.wait([self._start_refresh()])  # a failure is in log and status

    def reload_soon(self) -> None:
        """Read the personas in a moment, once, however often this is called by then."""
        self.store.distrust()
        self._nudged = True
        if self._nudge is None or self._nudge.done():
            self._nudge = asyncio.create_task(self._reload_after_a_moment())

    async def _reload_after_a_moment(self) -> None:
        while self._nudged:
            await asyncio.sleep(max(_MOMENT_SECONDS, self._not_before - self._clock()))
            self._nudged = False
            await self._end_of_refresh()
            await asyncio.wait([self._start_refresh()])  # a failure is in the log and the status

    async def _end_of_refresh(self) -> None:
        if self._refresh is not None:
            await asyncio.wait([self._refresh])

    async def _first(self) -> Personas:
        """The first personas of this process, from wherever they can be had.

        Raises:
            PersonaError: from nowhere.
        """
        try:
            fresh = await self._read_in_time()
        except PersonaError:
            if self._personas is not None:  # somebody else has found some
                return self._personas
            known = self.store.kept()
            if known is not None:
                log.warning("%s: what was read before answers meanwhile", self.store.source)
            elif self._fallback is not None:
                known = await self._fallback.load()
                log.error(  # noqa: TRY400  # the log has the cause already
                    "%s CANNOT BE READ AND WAS NEVER READ BEFORE: the personas of %s answer "
                    "instead",
                    self.store.source,
                    self._fallback.source,
                )
            else:
                raise
            if self._personas is None:
                self._personas = self._admitted(known)
            return self._personas
        return self._personas or fresh

    def _admitted(self, found: Personas) -> Personas:
        """Who serves now that these were found."""
        return self._gate(found) if self._gate is not None else found

    async def _read_in_time(self) -> Personas:
        """Read the personas, and do not wait for ever.

        Raises:
            PersonaStoreError: the store is silent.
            PersonaError: they could not be read.
        """
        try:
            async with asyncio.timeout(_FIRST_SECONDS):
                return await asyncio.shield(self._start_refresh())
        except TimeoutError as exc:
            message = f"{self.store.source} is silent."
            raise PersonaStoreError(message) from exc

    def status(self) -> RosterStatus:
        """How fresh the personas are."""
        return RosterStatus(
            source=self._personas.source if self._personas else self.store.source,
            revision=self._personas.revision if self._personas else "",
            age_seconds=round(self._clock() - self._loaded_at, 1) if self._reloads else 0.0,
            reloads=self._reloads,
            failures=self._failures,
            last_error=self._last_error,
            problems=self._personas.problems if self._personas else (),
        )

    async def close(self) -> None:
        """Wait a little for a refresh that is on its way, then close the store."""
        if self._nudge is not None:
            self._nudge.cancel()
            await asyncio.wait([self._nudge])
        if self._refresh is not None:
            _, late = await asyncio.wait([self._refresh], timeout=_LAST_SECONDS)
            for refresh in late:
                refresh.cancel()
                await asyncio.wait([refresh])
        await self.store.close()

    def _start_refresh(self) -> asyncio.Task[Personas]:
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._read())
            self._refresh.add_done_callback(_retrieve)
        return self._refresh

    async def _read(self) -> Personas:
        try:
            fresh = await self.store.load()
        except PersonaError as exc:
            wanted = exc.retry_after_seconds if isinstance(exc, PersonaStoreError) else 0.0
            self._failed(str(exc), wanted)
            kept = "the last good personas stay in use" if self._personas else "there are none yet"
            log.warning("Personas were not reloaded, %s: %s", kept, exc)
            raise
        except Exception as exc:
            # A mistake of ours in a store: it must show like any other failure, and be mended.
            self._failed(f"{type(exc).__name__}: {exc}")
            log.exception("Personas were not reloaded")
            raise
        serving = self._admitted(fresh)
        if serving != self._personas:
            log.info(
                "Personas: %s from %s, revision %s",
                ", ".join(serving.ids),
                serving.source,
                serving.revision,
            )
            for problem in serving.problems:
                log.warning("%s", problem)
            self._personas = serving
        self._loaded_at = self._clock()
        self._due_at = self._loaded_at + self._ttl_seconds
        self._reloads += 1
        self._failures_in_a_row = 0
        self._last_error = None
        await self._record(fresh)
        return self._personas if fresh == self._personas else fresh

    async def _record(self, personas: Personas) -> None:
        """Keep a version of what is new; a database that is down is asked again next time."""
        if self._recorder is None or personas == self._recorded:
            return
        try:
            await self._recorder(personas)
        except StorageError as exc:
            log.warning("The new versions of personas are not kept yet: %s", exc)
        else:
            self._recorded = personas

    def _failed(self, error: str, retry_after_seconds: float = 0.0) -> None:
        """Note a failure; the next try comes when the store allows it, and sooner at first."""
        pause = min(self._ttl_seconds, _FIRST_PAUSE_SECONDS * 2 ** min(self._failures_in_a_row, 10))
        self._not_before = self._clock() + retry_after_seconds
        self._due_at = self._clock() + max(retry_after_seconds, pause)
        self._failures_in_a_row += 1
        self._failures += 1
        self._last_error = error


def _retrieve(refresh: asyncio.Task[Personas]) -> None:
    """Mark the outcome as seen: a failed refresh is already in the log and the status."""
    if not refresh.cancelled():
        refresh.exception()
