"""A run that was good: what edited personas are compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from orchestra.errors import EvaluationError, SettingsError
from orchestra.lab.kept import METRICS, REPLIES, read_metrics, read_replies
from orchestra.types.lab import Metrics, Sample
from orchestra.types.persona import Persona


@dataclass(frozen=True)
class Baseline:
    """The figures and replies of the run."""

    metrics: Metrics
    replies: tuple[Sample, ...]
    digest: str
    """Of its `metrics.json`: changes with every figure."""

    @property
    def ids(self) -> frozenset[str]:
        """Who was measured."""
        return frozenset(self.metrics.per_persona)

    def measured(self, persona: Persona) -> bool:
        """Whether a model was told the same of this persona in that run."""
        known = self.metrics.per_persona.get(persona.id)
        return known is not None and known.wording == persona.wording

    def difference(self, ids: Collection[str]) -> str:
        """Who came and went since, in words; empty: nobody."""
        came, gone = sorted(set(ids) - self.ids), sorted(self.ids - set(ids))
        said = [f"{', '.join(came)}: not in the baseline, serving unexamined"] if came else []
        said += [f"{', '.join(gone)}: only in the baseline"] if gone else []
        if not said:
            return ""
        return (
            f"{'; '.join(said)}. No edit can be examined until 'orchestra lab run' has made a new "
            "baseline for ORCHESTRA_GATE_BASELINE."
        )


def read_baseline(folder: Path) -> Baseline:
    """Read the run in a folder.

    Raises:
        SettingsError: there is no whole run in it.
    """
    path = folder / METRICS
    try:
        metrics, replies = read_metrics(path), tuple(read_replies(folder / REPLIES))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (EvaluationError, OSError) as exc:
        message = f"ORCHESTRA_GATE_BASELINE: {exc}"
        raise SettingsError(message) from exc
    if not replies:
        message = f"ORCHESTRA_GATE_BASELINE: {folder / REPLIES} has no replies."
        raise SettingsError(message)
    if not metrics.asked:
        message = (
            f"ORCHESTRA_GATE_BASELINE: {path} does not say what was asked: it is of an earlier "
            "version. Run 'orchestra lab run' again."
        )
        raise SettingsError(message)
    return Baseline(metrics, replies, digest)
