"""A task that a crew works on: what was asked, who works, and how it stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import Field

from orchestra.types.conversation import Usage
from orchestra.types.persona import Frozen

Complexity = Literal["low", "medium", "high"]
"""low: one specialist. medium: a lead with support. high: a lead, an expert and support."""

TaskStatus = Literal["pending", "running", "waiting", "completed", "failed", "cancelled"]
"""waiting: for a person's answer about the plan; only where somebody asked to be asked."""
Seniority = Literal["lead", "expert", "support", "specialist"]
StepKind = Literal["plan", "review", "agent", "tool"]
StepStatus = Literal["running", "done", "failed", "interrupted"]

Permission = Literal["no", "ask", "yes"]
"""Whether tools may change something outside of Orchestra, such as a page in Notion."""

OVER: frozenset[TaskStatus] = frozenset({"completed", "failed", "cancelled"})
"""What a task stays in."""


class Request(Frozen):
    """What somebody asks of a crew; what is left open is found out."""

    description: str
    domain: str | None = None
    complexity: str | None = None
    persona_id: str | None = None
    """Who is to lead and review; None: who the subject belongs to."""
    user_id: str = "local"
    conversation_id: str | None = None
    asks_first: bool = False
    """Whether the person wants to see the plan before the work starts."""
    writing: Permission = "no"


class Member(Frozen):
    """One of a crew."""

    role: str
    """Title, unique within the crew: 'Senior Sales Strategist'."""
    domain: str
    seniority: Seniority


class Verdict(Frozen):
    """What the persona thinks of a plan or a result."""

    approved: bool
    reasons: str = ""
    """What is to be done differently; or, where it was approved, what is good."""


class Review(Frozen):
    """A verdict, on what, and of which attempt."""

    of: Literal["plan", "result"]
    attempt: int = Field(ge=1)
    persona_id: str
    verdict: Verdict
    is_last: bool = False
    """Whether it went on in spite of a refusal, because enough was tried."""


class Question(Frozen):
    """What a crew wants to know from the person."""

    id: str
    about: Literal["plan", "tool"]
    text: str
    """The plan, or what a tool would do."""


class Answer(Frozen):
    """What the person said to a question."""

    question_id: str
    approved: bool
    text: str = ""
    """The plan as the person wants it; empty: as it was."""


class Step(Frozen):
    """Something that somebody did or does for a task."""

    id: str
    parent_id: str | None = None
    kind: StepKind
    title: str
    """'Sales Strategist works on …', for people."""
    who: str
    """Role of the agent, id of the persona, or name of the tool."""
    status: StepStatus = "running"
    started_at: datetime
    finished_at: datetime | None = None
    input: str = ""
    output: str = ""
    usage: Usage = Usage()


@dataclass(frozen=True)
class File:
    """Something that was attached, or that a tool made."""

    name: str
    content_type: str
    content: bytes


class Artifact(Frozen):
    """A file that came of a task."""

    name: str
    """Unique within the task."""
    content_type: str
    size: int
    """In bytes."""
    step_id: str
    """What it was made in."""


class Task(Frozen):
    """How a task stands: what the outside sees."""

    task_id: str
    description: str
    domain: str
    complexity: Complexity
    complexity_reason: str = ""
    """'given', or why it was estimated so."""
    status: TaskStatus = "pending"
    orchestrator: str
    """Id of the persona who leads and reviews."""
    user: str = "local"
    conversation: str | None = None
    files: tuple[str, ...] = ()
    """Names of what is attached to the conversation."""
    asks_first: bool = False
    writing: Permission = "no"
    question: Question | None = None
    """What the crew wants to know right now."""
    answers: tuple[Answer, ...] = ()
    team: tuple[Member, ...] = ()
    plan: str | None = None
    plan_review: Review | None = None
    steps: tuple[Step, ...] = ()
    reviews: tuple[Review, ...] = ()
    """Every one, in order; `plan_review` and `final_review` are the last of their kind."""
    artifacts: tuple[Artifact, ...] = ()
    result: str | None = None
    final_review: Review | None = None
    error: str | None = None
    usage: Usage = Usage()
    model_calls: int = 0
    starts: int = 0
    """How often work on it was begun."""
    crashes: int = 0
    """How often a worker left it without a word."""
    notes: tuple[str, ...] = ()
    """What is to be known beside the result."""
    worker: str = ""
    """Which process works on it, or did last."""
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in OVER

    def answer_to(self, question_id: str) -> Answer | None:
        """What the person said to a question, if anything yet."""
        return next((one for one in self.answers if one.question_id == question_id), None)
