"""What a tool is: a name, arguments with types, and something real that it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from orchestra.crews.tools.web import MayReach, is_public
from orchestra.database import Database
from orchestra.memory.keeper import MemoryKeeper
from orchestra.personas.notion.wire import NotionWire
from orchestra.types.task import File, Permission

ALL = "all"
"""The subject of tools that everybody gets."""


class Arguments(BaseModel):
    """What a tool is given; a model makes it up, so every rule is checked."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


@dataclass(frozen=True)
class Outcome:
    """What came of using a tool."""

    text: str
    """For the agent, and for whoever reads the step."""
    files: tuple[File, ...] = ()


@dataclass(frozen=True)
class Bench:
    """Where a tool is used: whose task it is, and what is at hand."""

    task_id: str
    user_id: str
    description: str
    """The task, in the words of whoever asked."""
    database: Database
    files: dict[str, File] = field(default_factory=dict)
    """What was attached to this conversation, and what this task made so far, by name; a tool that
    makes one lays it here."""
    writing: Permission = "no"
    """Whether tools may change something outside of Orchestra."""
    memory: MemoryKeeper | None = None
    notion: NotionWire | None = None
    """None where Notion is not connected."""
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the tool that asks the person something."""
    may_reach: MayReach = is_public
    """Says of an IP address and a port whether tools may ask there."""


@dataclass(frozen=True)
class Tool:
    """One tool."""

    name: str
    domains: frozenset[str]
    """The subjects whose agents get it; `ALL`: everybody's."""
    description: str
    """For the model: what it does, and when to use it."""
    arguments: type[Arguments]
    use: Callable[[Any, Bench], Awaitable[Outcome]]
    """Does it.

    Raises:
        ToolError: it cannot be done: why, and what would help.
    """
    fits: Callable[[Bench], Mapping[str, Any] | None] = lambda _: None
    """Arguments with which it is of use for a task before anybody has thought about it, for models
    that cannot ask for tools; None: it is not."""
    changes: Callable[[Any], str] | None = None
    """What it would change outside of Orchestra, in words that follow 'It wants to'; None: nothing
    is changed."""
