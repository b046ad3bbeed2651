"""A scripted model that says for each persona what the test gave it to say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.doubles.llm import Reply


def speaker_of(body: dict[str, Any]) -> str:
    """Whose prompt a request carries."""
    found = re.search(r"You are (\w+),", body["messages"][0]["content"])
    return found[1] if found else ""


def saying(said: Mapping[str, str], failing: str = "") -> Callable[[dict[str, Any]], Reply]:
    """Answer as whoever is asked.

    Args:
        said: Name of a persona to its words.
        failing: Who gets an error instead.
    """

    def choose(body: dict[str, Any]) -> Reply:
        who = speaker_of(body)
        return Reply(status=400) if who == failing else Reply(said[who])

    return choose
