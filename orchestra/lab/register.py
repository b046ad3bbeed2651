"""What examinations found, and who passed last: kept on disk, across restarts."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from orchestra.lab.baseline import Baseline
from orchestra.types.persona import Persona

log = logging.getLogger(__name__)


class Register:
    """Verdicts by persona and wording, and everybody's last good version.

    A verdict compares with one baseline: another one makes it void. A version that was good once
    is kept beyond that, to be served in place of what nobody has examined.
    """

    def __init__(self, file: Path, baseline: Baseline) -> None:
        """Read what earlier processes wrote; a file that is damaged is made anew.

        Args:
            file: Where it is kept.
            baseline: What verdicts are of.
        """
        self._file = file
        self._baseline = baseline
        self._verdicts: dict[str, str] = {}
        self._good: dict[str, Persona] = {}
        self._read()

    def verdict(self, persona: Persona) -> str | None:
        """Why this version is less distinct; empty: it passed; None: nobody has examined it.

        What the baseline was made of has passed, and so has who is not in it: there is nothing to
        compare them with.
        """
        if persona.id not in self._baseline.ids or self._baseline.measured(persona):
            return ""
        return self._verdicts.get(_key(persona))

    def decide(self, personas: Iterable[Persona], why: str) -> None:
        """Keep one verdict on these versions."""
        self._verdicts |= {_key(one): why for one in personas}
        self._write()

    def admit(self, members: Iterable[Persona]) -> None:
        """Keep those of them that passed as everybody's last good version."""
        passed = {
            one.id: one
            for one in members
            if one.id in self._baseline.ids and self.verdict(one) == ""
        }
        if any(self._good.get(key) != one for key, one in passed.items()):
            self._good |= passed
            self._write()

    def served(self, fresh: Persona) -> Persona:
        """Who serves now that this version was read: it, or the last good one's words.

        It itself, too, where there is no good one: somebody has to answer.
        """
        good = self._good.get(fresh.id)
        if good is None or self.verdict(fresh) == "":
            return fresh
        return fresh.worded_as(good)

    def _read(self) -> None:
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            good = {key: Persona.model_validate(one) for key, one in content["good"].items()}
            if content["baseline"] == self._baseline.digest:
                self._verdicts = {str(key): str(why) for key, why in content["verdicts"].items()}
            self._good = good
        except FileNotFoundError:
            return
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as exc:
            log.warning("%s cannot be read and is made anew: %s", self._file, exc)

    def _write(self) -> None:
        good = {
            key: one.model_dump(mode="json", exclude={"revision"})
            for key, one in self._good.items()
        }
        content = {"baseline": self._baseline.digest, "verdicts": self._verdicts, "good": good}
        part = self._file.with_suffix(".part")
        try:
            part.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
            part.replace(self._file)
        except OSError as exc:
            log.warning("%s cannot be written, the next start examines again: %s", part, exc)


def _key(persona: Persona) -> str:
    return f"{persona.id} {persona.wording}"
