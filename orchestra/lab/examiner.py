"""Examines edited personas before they serve: who got less distinct is held back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from orchestra.errors import EvaluationError, OrchestraError, SettingsError
from orchestra.lab.asking import Plan, asked, still_wanted
from orchestra.lab.baseline import read_baseline
from orchestra.lab.figures import figures
from orchestra.lab.gate import gate, told
from orchestra.lab.interview import Interviewer
from orchestra.lab.register import Register
from orchestra.llm.embedding import Embedder
from orchestra.types.lab import Gate, Sample
from orchestra.types.persona import Persona, Personas

log = logging.getLogger(__name__)

_AT_ONCE = 2
"""Questions under way: people are served meanwhile."""
_TRIES = 3
"""After so many, what everybody has answered must do."""
_REST_SECONDS = 3600.0
"""From then on, before each new try: questions that are refused are paid for each time."""


@dataclass(frozen=True)
class _Office:
    """What an examination takes."""

    interviewer: Interviewer
    embedder: Embedder
    tell: Callable[[], None]
    """Called when there is a verdict."""


@dataclass
class _Case:
    """Who is examined, and how that goes."""

    personas: Personas
    """Everybody, those who are examined as they were edited."""
    serving: Personas
    """Everybody, as they serve until there is a verdict."""
    waiting: tuple[Persona, ...]
    failures: int = 0
    trouble: str = ""
    rests_until: float = 0.0

    @property
    def words(self) -> tuple[tuple[str, str], ...]:
        """Who it is about, in which wording: as long as this is the same, so is the case."""
        members = (*self.personas.members, *self.serving.members)
        return tuple((one.id, one.wording) for one in members)


class Examiner:
    """Lets personas serve whose wording passed the gate, and their last good one until then.

    Everybody is judged by themselves: one who is held back keeps nobody else's edit from serving.
    Only who was edited is asked anew; everybody else's replies are those of the baseline. Verdicts
    and the last good versions are kept on disk, so that a restart neither asks again nor lets
    through what was held back.
    """

    def __init__(self, baseline: Path, kept: Path) -> None:
        """Read the baseline and what earlier processes found.

        Args:
            baseline: Folder of the run that was good.
            kept: The file of verdicts.

        Raises:
            SettingsError: there is no whole run in the folder.
        """
        self._baseline = read_baseline(baseline)
        self._register = Register(kept, self._baseline)
        self._office: _Office | None = None
        self._case: _Case | None = None
        self._examining: asyncio.Task[None] | None = None
        self._came: list[Sample] = []
        """Replies since the baseline; kept when an examination fails, or gives way to another."""

    def open(self, interviewer: Interviewer, embedder: Embedder, tell: Callable[[], None]) -> None:
        """Be ready to examine; without this, what nobody has examined yet waits.

        Raises:
            SettingsError: the baseline is of another model.
        """
        model = self._baseline.metrics.model
        if interviewer.model != model:
            message = (
                f"ORCHESTRA_GATE_BASELINE: it is of model {model}, and here {interviewer.model} "
                "answers. Run 'orchestra lab run' with this one."
            )
            raise SettingsError(message)
        self._office = _Office(interviewer, embedder, tell)

    async def close(self) -> None:
        """Stop an examination; the next process begins it anew."""
        if self._examining is not None:
            self._examining.cancel()
            await asyncio.wait([self._examining])

    def admitted(self, fresh: Personas) -> Personas:
        """Who is to serve now that these were read: each of them, or its last good version and why.

        Who left is gone at once, and who joined serves: the baseline says nothing about them.
        """
        self._register.admit(fresh.members)
        members = tuple(self._register.served(one) for one in fresh.members)
        serving = fresh.model_copy(update={"members": members})
        self._take_up(fresh, serving)
        notes = tuple(self._notes(fresh))
        if not notes:
            return fresh
        return serving.model_copy(update={"problems": (*fresh.problems, *notes)})

    def verdict(self, personas: Personas) -> str | None:
        """Why some are held back; empty: all passed; None: nobody has examined some of them."""
        verdicts = {one.name: self._register.verdict(one) for one in personas.members}
        found = [f"{name} is held back: {why}" for name, why in verdicts.items() if why]
        difference = self._baseline.difference(personas.ids)
        if found or difference:
            return "; ".join([*found, *([difference] if difference else [])])
        return None if None in verdicts.values() else ""

    def _notes(self, fresh: Personas) -> Iterator[str]:
        """What keeps any of these from serving, one line each."""
        difference = self._baseline.difference(fresh.ids)
        if difference:
            yield difference
        for one in fresh.members:
            why = self._register.verdict(one)
            if why == "":
                continue
            has_good = self._register.served(one).wording != one.wording
            who = "the one before serves" if has_good else "it serves, as there is no good one"
            if why:
                state = f"is held back, and {who}" if has_good else f"did not pass, yet {who}"
                state = f"{state}: {why}. Edit it again, or roll it back."
            elif difference or self._case is None:
                state = f"waits for a new baseline; {who}."
            elif self._case.rests_until:
                state = f"could not be examined; {who}. In an hour it is tried again."
            else:
                state = f"is being examined; {who} meanwhile."
            yield f"{one.name}: revision {one.revision} {state} {self._trouble(why)}".strip()

    def _trouble(self, why: str | None) -> str:
        return self._case.trouble if self._case is not None and why is None else ""

    def _take_up(self, fresh: Personas, serving: Personas) -> None:
        """Examine whoever waits, if nobody does; an edit later, the examination before is void."""
        waiting = tuple(one for one in fresh.members if self._register.verdict(one) is None)
        if self._baseline.difference(fresh.ids):  # nothing could be compared: nobody is asked
            waiting = ()
        members = tuple(
            edited if edited in waiting else one
            for edited, one in zip(fresh.members, serving.members, strict=True)
        )
        case = _Case(serving.model_copy(update={"members": members}), serving, waiting)
        if not waiting or self._case is None or self._case.words != case.words:
            if self._examining is not None:
                self._examining.cancel()
            self._case = case if waiting else None
        self._start()

    def _start(self) -> None:
        """Begin to examine, or try again."""
        if self._case is None or self._office is None or time.monotonic() < self._case.rests_until:
            return
        task = self._examining
        if task is None or task.done() or task.cancelling():
            needed = {wording for _, wording in self._case.words} | {""}  # '': without any persona
            self._came = [one for one in self._came if one.wording in needed]
            self._examining = asyncio.create_task(self._examine(self._case, self._office))

    async def _examine(self, case: _Case, office: _Office) -> None:
        try:
            await self._judge(case, office)
        except OrchestraError as exc:
            _failed(case, str(exc))
            log.warning("Edits could not be examined: %s", exc)
        except Exception as exc:  # a mistake of ours: it must show, and holds nobody back for good
            _failed(case, f"{type(exc).__name__}: {exc}")
            log.exception("Edits could not be examined")
        else:
            office.tell()

    async def _judge(self, case: _Case, office: _Office) -> None:
        """Find a verdict on all who wait: together, and where that fails, on one after the other.

        Raises:
            EvaluationError: too many of them did not come.
        """
        found = await self._compared(case.personas, case, office)
        if found.passed or len(case.waiting) == 1:
            self._decide(case.waiting, found)
            return
        serving = case.serving
        for one in case.waiting:
            tried = _with(serving, one)
            found = await self._compared(tried, case, office)
            self._decide((one,), found)
            if found.passed:
                serving = tried

    async def _compared(self, personas: Personas, case: _Case, office: _Office) -> Gate:
        """The gate's word on these, asked whatever has not been answered.

        Raises:
            EvaluationError: replies did not come, and there may be more at the next try; or too
                few came to say anything.
        """
        model = office.interviewer.model
        plan = Plan(personas, self._baseline.metrics.asked)
        samples, missing = still_wanted(plan, (*self._baseline.replies, *self._came), model)
        names = ", ".join(one.name for one in case.waiting)
        log.info("Examining %s: %s replies to ask for", names, len(missing))
        replies = asked(office.interviewer, plan, samples, _AT_ONCE)
        try:
            async with aclosing(replies):
                async for one in replies:
                    self._came.append(one)
                    samples.append(one)
        except EvaluationError as exc:
            if case.failures + 1 < _TRIES:
                raise
            log.warning("Examining %s by what everybody answered: %s", names, exc)
        now = await figures(personas, samples, office.embedder, model)
        return gate(self._baseline.metrics, now, in_part=True)

    def _decide(self, personas: tuple[Persona, ...], found: Gate) -> None:
        why = "; ".join(told(drop) for drop in found.drops)
        self._register.decide(personas, why)
        for one in personas:
            log.info("%s, revision %s: %s", one.name, one.revision, why or "passed")


def _failed(case: _Case, why: str) -> None:
    """Note a failure; after the last try it is left at that for a while."""
    case.failures += 1
    case.trouble = f"The last try failed: {why}"
    if case.failures >= _TRIES:
        case.rests_until = time.monotonic() + _REST_SECONDS


def _with(personas: Personas, edited: Persona) -> Personas:
    """The same, one of them edited."""
    members = tuple(edited if one.id == edited.id else one for one in personas.members)
    return personas.model_copy(update={"members": members})
