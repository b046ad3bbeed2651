"""Whose memories, what is kept, and the state that all of an owner's memories are in."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

_NAMESPACE = uuid.UUID("6f0c2c1e-6d0c-5b0e-9a52-6f7263686573")


@dataclass(frozen=True)
class Owner:
    """Whose memories: one persona's, about one person."""

    user_id: str
    persona_id: str

    @property
    def scope(self) -> str:
        """One word that stands for the owner in the full text index."""
        digest = hashlib.sha256(f"{self.user_id}\0{self.persona_id}".encode()).hexdigest()
        return f"o{digest[:24]}"

    def memory_id(self, message_id: str) -> str:
        """Under what the exchange of that name is kept."""
        name = f"{self.user_id}\0{self.persona_id}\0{message_id}"
        return str(uuid.uuid5(_NAMESPACE, name))


@dataclass(frozen=True)
class Record:
    """A decision to be kept."""

    owner: Owner
    conversation_id: str | None
    domain: str
    task: str
    decision: str
    importance: float
    created_at: datetime
    message_id: str
    """Names the exchange; the same one twice is kept once."""
    pinned: bool = False
    times: int = 1

    @property
    def id(self) -> str:
        """The memory's id: the same for the same exchange of the same owner."""
        return self.owner.memory_id(self.message_id)

    @property
    def text(self) -> str:
        """What is embedded."""
        return f"{self.task}\n{self.decision}"


class Version(NamedTuple):
    """The state of an owner's memories; it changes whenever one comes, goes or is changed."""

    memories: int
    newest: int
    """The highest number of a memory."""
    indexed: int
    pinned: int


NOTHING = Version(0, 0, 0, 0)
"""The version of an owner who has no memories."""


class Outline(NamedTuple):
    """A memory without its words."""

    number: int
    id: str
    conversation_id: str | None
    created_at: datetime
    pinned: bool
