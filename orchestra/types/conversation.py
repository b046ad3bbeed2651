"""A message and what becomes of it: route, memories, prompt, and the events of a turn."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from orchestra.types.persona import Frozen, Score

ReplyLength = Literal["short", "medium", "long"]
SeatTask = Literal["opens", "answers", "replies", "decides"]


class Exchange(Frozen):
    """One message and its reply, as they were said."""

    message: str
    reply: str
    persona_id: str


class Message(Frozen):
    """What a person asks, with all that a turn needs to know about the asking."""

    text: str
    user_id: str = "local"
    conversation_id: str | None = None
    persona_id: str | None = None
    """Whom the person picked; None lets the router choose."""
    history: tuple[Exchange, ...] | None = None
    """The conversation so far, oldest first; None: the house remembers it by conversation_id."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    length: ReplyLength = "medium"
    max_tokens: int | None = Field(default=None, ge=1)
    """Longest reply; None: what the length stands for."""
    instructions: str = ""
    """What a calling program asks of the reply, beside the person's words."""
    revisable: bool = True
    """Whether the asker can still replace text that was shown; else only checked text is sent."""
    briefing: str = ""
    """What else the persona is told of this turn, in the house's own words: a seat at a table."""


class Route(Frozen):
    """Where a message goes, and why."""

    domain: str
    persona_id: str
    confidence: Score
    reason: str


class Memory(Frozen):
    """A decision a persona made for one person: the task and what was answered."""

    id: str
    persona_id: str
    user_id: str
    task: str
    decision: str
    when: datetime
    pinned: bool = False
    times: int = 1
    """How often the same was asked and answered."""
    rejected: bool = False
    """Whether the person said that it was wrong; it is not recalled."""
    score: float | None = None
    """How well it fits the present message, 0..1; None outside a recall."""


class ToolCall(Frozen):
    """One use of a tool that a model asks for."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    """JSON, as the model wrote it: anything may stand here."""


class Tool(Frozen):
    """What a model is told of a tool that it may ask for."""

    name: str
    description: str
    parameters: str
    """JSON schema of the arguments."""


class ChatTurn(Frozen):
    """One entry of the OpenAI wire's `messages`."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    """What an assistant asked for."""
    tool_call_id: str | None = None
    """Which of these a tool answers."""


class Guard(Frozen):
    """What the embedded model's reply is checked against."""

    question: str
    recalled: str = ""
    """The earlier exchange that the model was shown: a reply may be about that as well."""
    forbidden_names: tuple[str, ...] = ()
    revisable: bool = True
    """Whether text may be shown before the whole reply was checked."""
    enough_words: int | None = None
    """Words after which the reply ends with its sentence."""


class Prompt(Frozen):
    """Everything a model is given for one reply."""

    turns: tuple[ChatTurn, ...]
    max_tokens: int
    temperature: float | None = None
    guard: Guard | None = None
    """Set for the embedded model only."""
    voice: int | None = None
    """Slot of the embedded voice; None: the adapter stays off."""
    tools: tuple[Tool, ...] = ()
    """What the model may ask for; the embedded one cannot."""
    shape: str | None = None
    """JSON schema of the reply; None: words. A server is told so only where it is known to hold
    to it, so the prompt has to ask for it too."""
    settled: str | None = None
    """The reply itself, where a rule knows it and a small model would guess."""
    unknown_placeholders: tuple[str, ...] = ()


class Usage(Frozen):
    """Tokens of one reply, as the model server counts them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def plus(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )


class Timings(Frozen):
    """Milliseconds from the arrival of the message; None for what did not happen."""

    route: float
    recall: float
    first_token: float | None = None
    total: float


class Routed(Frozen):
    """The first event of a turn: who answers, and why."""

    route: Route
    persona_name: str
    persona_role: str


class Recalled(Frozen):
    """What the persona remembered that bears on the message."""

    memories: tuple[Memory, ...]


class Delta(Frozen):
    """A piece of the reply, in order; what counts in the end is `Answered.answer`."""

    text: str


class Consulted(Frozen):
    """The persona asked a colleague; question and answer stand in the reply, but no error."""

    persona_id: str
    """Who was asked."""
    persona_name: str
    question: str
    answer: str
    error: str = ""
    """Why there is no answer."""


class Answered(Frozen):
    """The last event of a turn that went well."""

    persona_id: str
    domain: str
    answer: str
    memories: tuple[Memory, ...]
    timings_ms: Timings
    usage: Usage
    model: str
    revision: str = ""
    """Of the persona that answered."""
    finished: bool = True
    """Whether the model ended by itself rather than at the limit of tokens."""
    memory_id: str | None = None
    """Under what this exchange was remembered; None: too slight, or see `notes`."""
    notes: tuple[str, ...] = ()
    """What went wrong beside the answer, in words for people."""


Event = Routed | Recalled | Delta | Consulted | Answered


class Seat(Frozen):
    """Somebody's turn at a round table begins; the events of their answer follow."""

    persona_id: str
    persona_name: str
    task: SeatTask
    number: int
    """From 1."""
    seats: int
    """How many turns there are."""


class SeatEmpty(Frozen):
    """Somebody could not answer; the others go on."""

    persona_id: str
    persona_name: str
    error: str


TableEvent = Seat | SeatEmpty | Event


def shorten(text: str, limit: int) -> str:
    """One line of at most `limit` characters, cut at a word, with an ellipsis where it was cut."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    return line[: limit - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"
