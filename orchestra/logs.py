"""How log lines look: text for people, JSON for machines, stderr for both."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        content = {
            "when": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        return json.dumps(content, ensure_ascii=False)


def set_up_logging(level: str, style: str) -> None:
    """Send all logs to stderr; vendors only from warnings up."""
    lines = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    lines.setFormatter(JsonLines() if style == "json" else text)
    root = logging.getLogger()
    root.handlers[:] = [lines]
    root.setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    logging.getLogger("orchestra").setLevel(level.upper())
    # Chainlit warns of every translation and welcome file that we leave out on purpose.
    logging.getLogger("chainlit").setLevel(logging.ERROR)
