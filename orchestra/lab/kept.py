"""What a run leaves in its folder: every reply as a line, and the figures."""

from __future__ import annotations

from pathlib import Path

from orchestra.errors import EvaluationError
from orchestra.types.lab import Metrics, Sample

REPLIES = "replies.jsonl"
METRICS = "metrics.json"


def read_metrics(path: Path) -> Metrics:
    """The figures of an earlier run.

    Raises:
        EvaluationError: there are none in the file.
    """
    try:
        return Metrics.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        message = f"{path} cannot be read: {exc}"
        raise EvaluationError(message) from exc
    except ValueError as exc:
        message = f"{path} is no metrics.json of 'orchestra lab run'."
        raise EvaluationError(message) from exc


def read_replies(path: Path) -> list[Sample]:
    """The replies that an earlier run wrote; a last line that was cut off is taken away.

    Raises:
        EvaluationError: the file holds something else.
    """
    try:
        *whole, cut = path.read_text(encoding="utf-8").split("\n")
        kept = [Sample.model_validate_json(line) for line in whole]
        if cut:  # or what is written next would stand on the same line
            path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as exc:
        message = f"{path} is not of an earlier run ({exc}). Give another --out, or remove it."
        raise EvaluationError(message) from exc
    return kept
