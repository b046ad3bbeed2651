"""Templates with [placeholders]: filled in once, in one pass, with text that stays text."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestra.types.persona import PLACEHOLDER

_TAGS = re.compile(r"<(?=\s*/?\s*(?:message|decisions|earlier|work)\b)", re.IGNORECASE)


def fill(template: str, values: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Fill a template in.

    Every placeholder is replaced in one pass over the template, so a value that itself contains
    "[task]" is never expanded. Placeholders without a value stay as written and are returned.

    Returns:
        The text, and the names that have no value, in order, each once.
    """
    unknown: dict[str, None] = {}

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name in values:
            return values[name]
        unknown[name] = None
        return match[0]

    return PLACEHOLDER.sub(value_of, template), tuple(unknown)


def framed(tag: str, text: str) -> str:
    """Put words that are not ours between tags that they cannot close or open."""
    return f"<{tag}>\n{_TAGS.sub('‹', text)}\n</{tag}>"
