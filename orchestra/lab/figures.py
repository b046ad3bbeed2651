"""Turns replies into figures, and figures into a verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orchestra.lab.answered import MANY_QUESTIONS, complete
from orchestra.lab.asking import CONTROLS
from orchestra.lab.distinctiveness import (
    Attribution,
    Integers,
    attributed,
    learned_elsewhere,
    p_value,
    separation,
    share,
    slope,
)
from orchestra.lab.expression import markers, read_back, strengths
from orchestra.lab.features import Floats, kernels
from orchestra.lab.hygiene import hygiene
from orchestra.lab.redaction import hard_masked, redacted
from orchestra.lab.verdict import bars_of
from orchestra.llm.embedding import Embedder
from orchestra.types.lab import (
    Drift,
    Interval,
    Metrics,
    Part,
    PersonaFigures,
    Sample,
)
from orchestra.types.persona import Persona, Personas

_FEWEST_EXAMPLES = 4
_FEWEST_TURNS = 4


@dataclass(frozen=True)
class _Texts:
    """Replies of one part, in one order: question by question, writers as they are listed."""

    texts: list[str]
    vectors: Floats
    truth: Integers
    questions: Integers

    @property
    def kernel(self) -> Floats:
        return kernels(self.texts, self.vectors)


async def figures(
    personas: Personas, samples: Sequence[Sample], embedder: Embedder, model: str
) -> Metrics:
    """What the replies of a run say.

    Args:
        personas: Who was asked.
        samples: Every reply of the run.
        embedder: Its vectors are one of three views on a reply.
        model: Name of the model.

    Raises:
        EvaluationError: there are too few replies, or too few personas.
    """
    known = complete(personas, samples)
    plain = {text: redacted(text, personas) for text in {one.reply for one in known}}
    asked = list(dict.fromkeys(one.question for one in known if one.part != "talk"))
    examples = [example.reply for one in personas.members for example in one.examples]
    examples = [redacted(text, personas) for text in examples]
    first = [plain[one.reply] for one in known if one.part == "first"]
    masked = hard_masked(first)
    wanted = list(dict.fromkeys([*plain.values(), *masked, *examples, *asked]))
    rows = await embedder.embed_all(wanted)
    vectors = dict(zip(wanted, np.asarray(rows, dtype=float), strict=True))
    # Half a minute of arithmetic at worst; whoever is served meanwhile is not to wait for it.
    return await asyncio.to_thread(
        _reckoned, _Run(personas, known, plain, masked, vectors, asked, model)
    )


@dataclass(frozen=True)
class _Run:
    personas: Personas
    samples: list[Sample]
    plain: Mapping[str, str]
    masked: list[str]
    vectors: Mapping[str, Floats]
    asked: list[str]
    model: str

    @property
    def members(self) -> tuple[Persona, ...]:
        return self.personas.members

    def of(self, *parts: Part) -> list[Sample]:
        """Replies of these parts."""
        return [one for one in self.samples if one.part in parts]

    def texts(self, samples: Sequence[Sample], writers: Sequence[str]) -> _Texts:
        """Redacted, with their vectors."""
        texts = [self.plain[one.reply] for one in samples]
        return self.arranged(texts, samples, writers)

    def arranged(
        self, texts: list[str], samples: Sequence[Sample], writers: Sequence[str]
    ) -> _Texts:
        """Any texts that stand for these samples."""
        return _Texts(
            texts,
            np.array([self.vectors[text] for text in texts]),
            np.array([writers.index(one.persona_id) for one in samples]),
            np.array([self.asked.index(one.question) for one in samples]),
        )


def _reckoned(run: _Run) -> Metrics:
    ids = run.personas.ids
    firsts = run.of("first")
    texts = run.texts(firsts, ids)
    kernel = texts.kernel
    told = attributed(kernel, texts.truth, texts.questions)
    hidden = run.arranged(run.masked, firsts, ids)
    hard = attributed(hidden.kernel, hidden.truth, hidden.questions)
    character, talks = _on_character(run, firsts), _talks(run)
    known = _questions_known(run, firsts, texts)
    control = _control(run)
    accuracy = told.accuracy()
    p = p_value(kernel, texts.truth, texts.questions)
    clean = hygiene([*firsts, *run.of("again")], run.personas)
    apart = _separation(run)
    without_phrases, fitting = hard.accuracy(), share(known, texts.questions)
    each = [told.accuracy_of(place) for place in range(len(ids))]
    bars = bars_of(accuracy, p, each, without_phrases, fitting, control)
    in_character = character.accuracy() if character is not None else None
    by_persona = {
        one.id: [run.plain[sample.reply] for sample in firsts if sample.persona_id == one.id]
        for one in run.members
    }
    found = _Found(told, character, talks, _strengths(run))
    return Metrics(
        model=run.model,
        questions=len(run.asked),
        asked=tuple(run.asked),
        replies=len(run.samples),
        chance=round(1 / len(ids), 4),
        attribution_accuracy=accuracy.value,
        ci95=(accuracy.low, accuracy.high),
        p_value=round(p, 4),
        hard_masked=without_phrases,
        on_character=in_character,
        question_id=fitting,
        joint=round(float((known * told.right).mean()), 4),
        separation_ratio=apart,
        control_accuracy=control.value if control else None,
        control_ci95=(control.low, control.high) if control else None,
        confusion=told.confusion(ids),
        hygiene=clean,
        trait_readback=read_back(by_persona, run.members),
        per_persona={
            one.id: _of_persona(run, place, found) for place, one in enumerate(run.members)
        },
        bars=bars,
        distinct=all(bar.passed for bar in bars),
        notes=tuple(_notes(run, character, apart)),
    )


def _on_character(run: _Run, samples: Sequence[Sample]) -> Attribution | None:
    """Who sounds like their own examples; None where somebody has too few of them."""
    if any(len(one.examples) < _FEWEST_EXAMPLES for one in run.members):
        return None
    taught = [
        (place, redacted(example.reply, run.personas))
        for place, one in enumerate(run.members)
        for example in one.examples
    ]
    replies = run.texts(samples, run.personas.ids)
    texts = [text for _, text in taught] + replies.texts
    vectors = np.array([run.vectors[text] for text in texts])
    known = np.array([place for place, _ in taught])
    return learned_elsewhere(kernels(texts, vectors), known, replies.truth, replies.questions)


def _questions_known(run: _Run, samples: Sequence[Sample], texts: _Texts) -> Floats:
    """1 where a reply lies nearer to its own question than to any other one."""
    asked = np.array([run.vectors[question] for question in run.asked])
    nearest = (texts.vectors @ asked.T).argmax(axis=1)
    own = np.array([run.asked.index(one.question) for one in samples])
    known: Floats = (nearest == own).astype(float)
    return known


def _control(run: _Run) -> Interval | None:
    """How well the model's own replies are told apart, as if three personas had written them."""
    samples = run.of("control")
    if not samples:
        return None
    texts = run.texts(samples, CONTROLS)
    return attributed(texts.kernel, texts.truth, texts.questions).accuracy()


def _strengths(run: _Run) -> dict[str, Interval]:
    """How strongly each persona shows, where the model without any was asked the same."""
    alone: dict[str, list[str]] = {}
    for one in run.of("control"):
        alone.setdefault(one.question, []).append(run.plain[one.reply])
    own: dict[str, list[str]] = {}
    asked = []
    for one in run.of("first"):
        if one.question in alone:
            own.setdefault(one.persona_id, []).append(run.plain[one.reply])
            asked.append(one.question)
    return strengths(own, [alone[question] for question in dict.fromkeys(asked)])


def _separation(run: _Run) -> float | None:
    samples = run.of("first", "again")
    if len({one.part for one in samples}) < 2:  # noqa: PLR2004  # two rounds
        return None
    texts = run.texts(samples, run.personas.ids)
    rounds = np.array([one.part == "again" for one in samples]).astype(int)
    return separation(texts.kernel, texts.truth, texts.questions, rounds)


@dataclass(frozen=True)
class _Found:
    """What is read of each persona from the replies of all."""

    told: Attribution
    character: Attribution | None
    talks: Attribution | None
    strengths: dict[str, Interval]


def _of_persona(run: _Run, place: int, found: _Found) -> PersonaFigures:
    persona = run.members[place]
    firsts = [one for one in run.of("first") if one.persona_id == persona.id]
    plain = [run.plain[one.reply] for one in firsts]
    shown = [markers(text) for text in plain]
    return PersonaFigures(
        name=persona.name,
        revision=persona.revision,
        wording=persona.wording,
        attribution=found.told.accuracy_of(place),
        on_character=found.character.accuracy_of(place) if found.character is not None else None,
        self_agreement=_against_itself(run, persona),
        median_words=float(np.median([len(one.reply.split()) for one in firsts])),
        median_seconds=round(float(np.median([one.seconds for one in firsts])), 3),
        markers={name: round(float(np.mean([row[name] for row in shown])), 3) for name in shown[0]},
        strength=found.strengths.get(persona.id),
        drift=_drift(found.talks, place) if found.talks is not None else None,
    )


def _against_itself(run: _Run, persona: Persona) -> float | None:
    """How well two rounds of one persona are told apart: a half is as good as not at all."""
    samples = [one for one in run.of("first", "again") if one.persona_id == persona.id]
    rounds = np.array([one.part == "again" for one in samples]).astype(int)
    if len(set(rounds)) < 2:  # noqa: PLR2004  # two rounds
        return None
    texts = run.texts(samples, run.personas.ids)
    return attributed(texts.kernel, rounds, texts.questions).accuracy().value


def _talks(run: _Run) -> Attribution | None:
    """Whose each turn of the conversations sounds like, by the first replies; None: nobody talked.

    The numbers of its questions are those of the turns.
    """
    turns = run.of("talk")
    length = max((one.place for one in turns), default=-1) + 1
    if length < _FEWEST_TURNS or len(turns) < length * len(run.members):
        return None
    firsts = run.of("first")
    said = [run.plain[one.reply] for one in [*firsts, *turns]]
    kernel = kernels(said, np.array([run.vectors[text] for text in said]))
    writers = np.array([run.personas.ids.index(one.persona_id) for one in [*firsts, *turns]])
    places = np.array([one.place for one in turns])
    return learned_elsewhere(kernel, writers[: len(firsts)], writers[len(firsts) :], places)


def _drift(talks: Attribution, place: int) -> Drift:
    """How one persona's conversation went."""
    own = np.flatnonzero(talks.truth == place)
    own = own[np.argsort(talks.questions[own])]
    scores = talks.scores[own]
    margin = scores[:, place] - np.delete(scores, place, axis=1).max(axis=1)
    half = len(own) // 2
    return Drift(
        turns=len(own),
        first_half=round(float(talks.right[own][:half].mean()), 4),
        second_half=round(float(talks.right[own][half:].mean()), 4),
        slope=slope(margin),
    )


def _notes(run: _Run, character: Attribution | None, apart: float | None) -> list[str]:
    notes = []
    if len(run.asked) < MANY_QUESTIONS:
        notes.append(
            f"{len(run.asked)} questions are few: differences below 20 points may be chance."
        )
    if character is None:
        notes.append(
            f"Somebody has fewer than {_FEWEST_EXAMPLES} examples: nobody's replies could be "
            "compared with them."
        )
    if apart is None and run.of("again"):
        notes.append(
            "Everybody said the same twice: how far personas lie apart is not measurable in "
            "distances of one from itself."
        )
    if not run.of("control"):
        notes.append("The model without personas was not asked.")
    return notes
