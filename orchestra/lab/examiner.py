"""Examines edited personas before they serve: who got less distinct is held back."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestra.errors import EvaluationError, OrchestraError, SettingsError
from orchestra.lab.asking import Plan, asked, still_wanted
from orchestra.lab.figures import figures
from orchestra.lab.gate import gate
from orchestra.lab.interview import Interviewer
from orchestra.lab.kept import METRICS, REPLIES, read_metrics, read_replies
from orchestra.llm.embedding import Embedder
from orchestra.types.lab import Gate
from orchestra.types.persona import Personas

log = logging.getLogger(__name__)

_AT_ONCE = 2
"""Questions under way: people are served meanwhile."""


@dataclass(frozen=True)
class _Office:
    """What an examination takes."""

    interviewer: Interviewer
    embedder: Embedder
    tell: Callable[[], None]
    """Called when there is a verdict."""


class Examiner:
    """Lets personas serve whose wording passed the gate, and the last good ones until then.

    Only who was edited is asked anew; everybody else's replies are those of the baseline. Verdicts
    and the last good personas are kept on disk, so that a restart neither asks again nor lets
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
        try:
            self._metrics = read_metrics(baseline / METRICS)
            self._replies = read_replies(baseline / REPLIES)
        except EvaluationError as exc:
            message = f"ORCHESTRA_GATE_BASELINE: {exc}"
            raise SettingsError(message) from exc
        firsts = sorted((one.place, one.question) for one in self._replies if one.part == "first")
        self._questions = tuple(dict.fromkeys(question for _, question in firsts))
        if not self._questions:
            message = f"ORCHESTRA_GATE_BASELINE: {baseline / REPLIES} has no replies."
            raise SettingsError(message)
        self._file = kept
        self._good: Personas | None = None
        self._verdicts: dict[str, str] = {}
        """By wording: why it is held back; empty: it passed."""
        self._trouble = ""
        self._office: _Office | None = None
        self._examining: tuple[str, asyncio.Task[None]] | None = None
        self._read()

    def open(self, interviewer: Interviewer, embedder: Embedder, tell: Callable[[], None]) -> None:
        """Be ready to examine; without this, what nobody has examined yet waits.

        Raises:
            SettingsError: the baseline is of another model.
        """
        if interviewer.model != self._metrics.model:
            message = (
                f"ORCHESTRA_GATE_BASELINE: it is of model {self._metrics.model}, and here "
                f"{interviewer.model} answers. Run 'orchestra lab run' with this one."
            )
            raise SettingsError(message)
        self._office = _Office(interviewer, embedder, tell)

    async def close(self) -> None:
        """Stop an examination; the next process begins it anew."""
        if self._examining is not None:
            self._examining[1].cancel()
            await asyncio.wait([self._examining[1]])

    def admitted(self, fresh: Personas) -> Personas:
        """Who is to serve now that these were read: they, or the last good ones and why."""
        if self._good is None or _wording(self._good) == _wording(fresh):
            return self._admit(fresh)
        why = self.verdict(fresh)
        if why == "":
            return self._admit(fresh)
        self._start(fresh)
        said = why or f"is being examined before it serves. {self._trouble}".strip()
        note = f"revision {fresh.revision} {said}"
        return self._good.model_copy(update={"problems": (*fresh.problems, note)})

    def verdict(self, personas: Personas) -> str | None:
        """Why these are held back; empty: they passed; None: nobody has examined them."""
        return self._verdicts.get(_wording(personas))

    def _admit(self, fresh: Personas) -> Personas:
        if fresh != self._good:
            self._good = fresh
            self._write()
        return fresh

    def _start(self, fresh: Personas) -> None:
        """Examine them, if nobody has and nobody does; an edit later, the one before is no more."""
        wording = _wording(fresh)
        if self._office is None or wording in self._verdicts:
            return
        if self._examining is not None and not self._examining[1].done():
            if self._examining[0] == wording:
                return
            self._examining[1].cancel()
        task = asyncio.create_task(self._examine(fresh, wording, self._office))
        self._examining = (wording, task)

    async def _examine(self, personas: Personas, wording: str, office: _Office) -> None:
        plan = Plan(personas, self._questions)
        samples, missing = still_wanted(plan, self._replies)
        log.info("Examining revision %s: %s replies", personas.revision, len(missing))
        try:
            replies = asked(office.interviewer, plan, samples, _AT_ONCE)
            async with aclosing(replies):
                samples += [one async for one in replies]
            model = office.interviewer.model
            found = gate(self._metrics, await figures(personas, samples, office.embedder, model))
        except OrchestraError as exc:
            self._trouble = f"The last try failed: {exc}"
            log.warning("Revision %s could not be examined: %s", personas.revision, exc)
            return
        except Exception as exc:  # a mistake of ours: it must show, and holds nobody back for good
            self._trouble = f"The last try failed: {type(exc).__name__}: {exc}"
            log.exception("Revision %s could not be examined", personas.revision)
            return
        self._trouble = ""
        self._verdicts[wording] = "" if found.passed else _told(found)
        self._write()
        log.info("Revision %s: %s", personas.revision, self._verdicts[wording] or "passed")
        office.tell()

    def _read(self) -> None:
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            self._verdicts = {str(key): str(why) for key, why in content["verdicts"].items()}
            self._good = Personas.model_validate(content["good"]) if content["good"] else None
        except FileNotFoundError:
            return
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as exc:
            log.warning("%s cannot be read and is made anew: %s", self._file, exc)

    def _write(self) -> None:
        left_out: Any = {"revision": True, "members": {"__all__": {"revision"}}}
        good = self._good.model_dump(mode="json", exclude=left_out) if self._good else None
        content = json.dumps({"verdicts": self._verdicts, "good": good}, ensure_ascii=False)
        part = self._file.with_suffix(".part")
        try:
            part.write_text(content, encoding="utf-8")
            part.replace(self._file)
        except OSError as exc:
            log.warning("%s cannot be written, the next start examines again: %s", part, exc)


def _wording(personas: Personas) -> str:
    """All that a model is told of them, as a key."""
    told = "\n".join(f"{one.id} {one.wording}" for one in personas.members)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _told(found: Gate) -> str:
    drops = "; ".join(
        f"{drop.who}: {drop.what}, {drop.before:.0%} before, {drop.after:.0%} now"
        for drop in found.drops
    )
    return f"is held back, and the one before serves: {drops}. Edit it again, or roll it back."
