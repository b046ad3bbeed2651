"""What the lab works with: replies to the same questions, and what they come to in figures."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from orchestra.types.persona import Frozen, Score

Part = Literal["first", "again", "control", "talk"]
"""Why a reply was asked for: to be told apart; to see how much the same persona differs from
itself; from the model without any persona; in the course of one conversation."""


class Sample(Frozen):
    """One reply to one question."""

    part: Part
    persona_id: str
    """Of a control: 'copy-1' and so on."""
    question: str
    place: int = Field(ge=0)
    """Of the question among the questions, or of the turn in a conversation."""
    reply: str
    finished: bool = True
    """Whether the model ended by itself rather than at the limit of tokens."""
    seconds: float = 0.0
    wording: str = ""
    """Of the persona: what a model is told of it."""
    model: str = ""
    """Which one answered; '' in runs of before that was kept."""


class Interval(Frozen):
    """A figure, a share most often, and where it may lie."""

    value: float
    low: float
    high: float
    """Ends of the 95 % interval; bootstrapped over questions unless said otherwise."""


class Hygiene(Frozen):
    """Shares of replies with something that no reply should have."""

    other_names: float
    """The name of another persona."""
    own_name: float
    invented_figures: float
    """A number, an amount or a percentage that is not in the question."""
    cut_off: float
    """Ended at the limit of tokens, in the middle of a sentence."""
    loops: float
    """Three words in a row, three times."""
    placeholders: float
    """'[your name]'."""
    copies: float
    """Eight words in a row out of the persona's own examples."""


class TraitReading(Frozen):
    """One trait of one persona: what its author set, and what its replies sound like."""

    configured: Score
    expressed: float
    """Mean of the trait's markers, in standard deviations from the mean of all replies."""
    low: float
    high: float


class TraitOrder(Frozen):
    """Whether the personas' replies stand in the order in which their authors put them."""

    pairs: int
    """Pairs of personas that are set apart by at least a tenth."""
    in_order: int
    certain: int
    """Of these, those whose order holds in 95 % of the resamples."""
    per_persona: dict[str, TraitReading]


class Drift(Frozen):
    """Whether a persona is still itself at the end of a long conversation."""

    turns: int
    first_half: float
    """Share of turns that are told to be this persona's."""
    second_half: float
    slope: Interval
    """Change of the margin over the others per turn; 0: none. Interval bootstrapped over turns."""


class PersonaFigures(Frozen):
    """How one persona did."""

    name: str
    revision: str
    wording: str
    attribution: Interval
    on_character: Interval | None
    """None where too few examples are written to learn from."""
    self_agreement: float | None
    """How well two rounds of it can be told apart; a half: not at all."""
    median_words: float
    median_seconds: float
    markers: dict[str, float]
    strength: Interval | None = None
    """How far these markers lie from those of the model without any persona, in standard
    deviations; None where that was not asked, and in runs of before this was measured."""
    drift: Drift | None = None


class Bar(Frozen):
    """One thing that must hold before personas count as distinct."""

    name: str
    value: float | None
    needed: str
    passed: bool


class Metrics(Frozen):
    """All that one run of the lab found; `metrics.json`."""

    model: str
    questions: int
    asked: tuple[str, ...] = ()
    """Those questions; none in runs of before they were kept."""
    replies: int
    chance: float
    attribution_accuracy: float
    ci95: tuple[float, float]
    p_value: float
    """Of no difference between personas: labels shuffled within questions."""
    hard_masked: Interval
    on_character: Interval | None
    question_id: Interval
    joint: float
    """Share of replies that tell both whose they are and what was asked."""
    separation_ratio: float | None
    """Distance between personas over the distance between two rounds of one; 1: none. None where
    it was not measured, or is not measurable, which a note says."""
    control_accuracy: float | None
    control_ci95: tuple[float, float] | None
    confusion: dict[str, dict[str, int]]
    """Who wrote it -> who was told -> how often."""
    hygiene: Hygiene
    trait_readback: dict[str, TraitOrder]
    per_persona: dict[str, PersonaFigures]
    bars: tuple[Bar, ...]
    distinct: bool
    """Whether every bar is passed."""
    notes: tuple[str, ...] = ()
    """What keeps these figures from saying more."""


class Drop(Frozen):
    """One figure in two runs."""

    who: str
    what: str
    before: float
    after: float | None
    """None where it is not measurable any more."""
    beyond_noise: bool
    """Whether it fell by more than chance explains."""
    is_share: bool = True
    """Whether it is a share of replies; otherwise a number of standard deviations."""


class Gate(Frozen):
    """Whether a new revision may serve."""

    passed: bool
    changed: tuple[str, ...]
    """Names of the personas that a model is told something else of than in the baseline."""
    drops: tuple[Drop, ...]


class Trial(Frozen):
    """An answer without names, and the question whose it is; never the truth."""

    id: str
    question: str
    text: str
    number: int
    """How many this tester has guessed before, plus one."""
    left: int
    """Questions that this tester has not seen, this one included."""


class Guessed(Frozen):
    """How a guess was."""

    right: bool
    truth: str
    """Id of the persona whose answer it is."""


class BlindScore(Frozen):
    """How well testers tell personas apart."""

    guesses: int
    right: int
    share: Interval | None
    """Wilson's interval; None before the first guess."""
    chance: float
    beats_chance: bool
    """Whether as many right guesses would come by chance in less than 5 of 100 tests."""
    confusion: dict[str, dict[str, int]]
    """Whose answer it was -> whose it was taken for -> how often."""
    testers: int


class Column(Frozen):
    """One of the answers that are compared."""

    key: str
    persona_id: str
    wording: str
    reply: str = ""
    error: str = ""
    seconds: float | None = None


class Comparison(Frozen):
    """Answers to one message, side by side."""

    id: str
    question: str
    model: str
    columns: tuple[Column, ...]
    vote: str | None = None


class ColumnText(Frozen):
    """A piece of one column's answer."""

    key: str
    text: str


class ColumnOver(Frozen):
    """One column is complete, or failed."""

    column: Column


ComparisonEvent = Comparison | ColumnText | ColumnOver
"""First the comparison with empty columns; in the end the same, as it is kept."""


class Liking(Frozen):
    """What people thought of one persona's answers on one subject."""

    persona_id: str
    domain: str
    up: int
    down: int
    liked: Interval
    """The share of thumbs that went up."""


class Comment(Frozen):
    """What somebody wrote beside a thumb."""

    persona_id: str
    domain: str
    up: bool
    comment: str
    answer: str
    """What it is about, shortened."""
    at: datetime


class Feedback(Frozen):
    """All thumbs there are."""

    likings: tuple[Liking, ...]
    """By persona and subject, the least liked first."""
    comments: tuple[Comment, ...]
    """The newest first."""
