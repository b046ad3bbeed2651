"""Dialogues to learn from: one message, and what each persona answers.

They stand in `dialogues.txt` as blocks of four lines: the message, then a line per persona.

    Q: a message that opens a conversation
    F: the next message of the same conversation; the exchange above it is its history
    M: a message days later; the exchange above it is what the persona remembers
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from orchestra.personas.files import PersonaFiles
from orchestra.prompts.compose import SmallComposer, Turn
from orchestra.settings import ROOT
from orchestra.types.conversation import ChatTurn, Exchange, Memory, Route
from orchestra.types.persona import GENERAL, Personas

Kind = Literal["Q", "F", "M"]

DIALOGUES = Path(__file__).parent / "dialogues.txt"
"""Those that the shipped voices learned from."""

_SPEAKERS = {"C": "cherry", "S": "sophia", "K": "karen"}
_THEN = datetime(2026, 1, 5)  # noqa: DTZ001  # of no account: the model is not told when


@dataclass(frozen=True)
class Dialogue:
    """One message and one persona's reply to it."""

    persona_id: str
    kind: Kind
    message: str
    reply: str
    before: Exchange | None = None
    """What was said before; None for one that opens a conversation."""

    @property
    def opening(self) -> str:
        """The message with which its conversation began."""
        return self.before.message if self.before else self.message


def read_dialogues(path: Path) -> list[Dialogue]:
    """Read a file of dialogues.

    Raises:
        ValueError: a block has other lines than it should, or a first one has nothing before it.
    """
    found: list[Dialogue] = []
    opened: dict[str, Exchange] = {}
    for number, block in enumerate(re.split(r"\n\s*\n", path.read_text("utf-8").strip()), 1):
        kind, message, replies = _block(block, f"{path.name}, block {number}")
        if kind == "Q":
            opened = {}
        elif not opened:
            problem = f"{path.name}, block {number}: {kind} follows no Q"
            raise ValueError(problem)
        for persona_id, reply in replies.items():
            found.append(Dialogue(persona_id, kind, message, reply, opened.get(persona_id)))
            if kind == "Q":
                opened[persona_id] = Exchange(message=message, reply=reply, persona_id=persona_id)
    return found


async def shipped_personas() -> Personas:
    """Whose voices are trained."""
    return await PersonaFiles(ROOT / "personas_seed").load()


def _block(block: str, place: str) -> tuple[Kind, str, dict[str, str]]:
    """The kind, the message and the replies of one block.

    Raises:
        ValueError: it has other lines than it should.
    """
    lines = [line.partition(": ") for line in block.splitlines()]
    tags = [tag for tag, _, _ in lines]
    for kind in ("Q", "F", "M"):
        if tags == [kind, *_SPEAKERS]:
            texts = [text.strip() for _, _, text in lines]
            return kind, texts[0], dict(zip(_SPEAKERS.values(), texts[1:], strict=True))
    problem = f"{place}: the lines should start with Q, F or M, then C, S, K, not with {tags}"
    raise ValueError(problem)


def asked(dialogue: Dialogue, personas: Personas) -> tuple[ChatTurn, ...]:
    """What the embedded model is given for a dialogue's message, by the product's own composer."""
    persona = personas.get(dialogue.persona_id)
    before = dialogue.before
    turn = Turn(
        persona=persona,
        personas=personas,
        route=Route(domain=GENERAL, persona_id=persona.id, confidence=1, reason="training"),
        text=dialogue.message,
        memories=_memories(before) if before and dialogue.kind == "M" else (),
        history=(before,) if before and dialogue.kind == "F" else (),
        now=_THEN,
    )
    return SmallComposer({persona.wording: 0}).compose(turn).turns


def _memories(before: Exchange) -> tuple[Memory]:
    memory = Memory(
        id="training",
        persona_id=before.persona_id,
        user_id="training",
        task=before.message,
        decision=before.reply,
        when=_THEN,
    )
    return (memory,)
