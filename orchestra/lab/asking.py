"""Puts all questions of a run to everybody, a few at a time, and goes on where it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from orchestra.errors import EvaluationError, LLMError
from orchestra.lab.beside import heard_from
from orchestra.lab.interview import Interviewer, Said
from orchestra.types.conversation import Exchange
from orchestra.types.lab import Part, Sample
from orchestra.types.persona import Personas

CONTROLS = ("copy-1", "copy-2", "copy-3")
"""As many as there are personas, as a rule: replies of the model without any."""


@dataclass(frozen=True)
class Plan:
    """What a run asks, and whom."""

    personas: Personas
    questions: tuple[str, ...]
    talk: tuple[str, ...] = ()
    """Turns of the conversation that shows who drifts; none: nobody is asked."""

    def samples(self) -> Iterator[Sample]:
        """Everything that is to be asked, with nothing answered yet."""
        for place, question in enumerate(self.questions):
            for one in self.personas.members:
                for part in ("first", "again"):
                    yield _blank(part, one.id, question, place, one.wording)
            for copy in CONTROLS:
                yield _blank("control", copy, question, place, "")
        for one in self.personas.members:
            for place, turn in enumerate(self.talk):
                yield _blank("talk", one.id, turn, place, one.wording)


def _blank(part: Part, who: str, question: str, place: int, wording: str) -> Sample:
    return Sample(
        part=part, persona_id=who, question=question, place=place, reply="", wording=wording
    )


def still_wanted(
    plan: Plan, kept: Sequence[Sample], model: str
) -> tuple[list[Sample], list[Sample]]:
    """What an earlier run has answered of this plan, and what is missing.

    A reply counts for the model and the persona's wording that gave it: another model, and who was
    edited since, are asked anew. Of a conversation nothing is kept that does not lead from its
    first turn on.

    Args:
        plan: What is asked.
        kept: What an earlier run has answered.
        model: Who answers now; a reply that does not say whose it is counts as another's.
    """
    known = {_key(one): one for one in kept if one.reply and one.model == model}
    done, missing = [], []
    broken: set[str] = set()
    for one in plan.samples():
        found = known.get(_key(one))
        if found is None or (one.part == "talk" and one.persona_id in broken):
            missing.append(one)
            if one.part == "talk":
                broken.add(one.persona_id)
        else:
            done.append(found)
    return done, missing


def _key(sample: Sample) -> tuple[str, str, str, int, str]:
    return (sample.part, sample.persona_id, sample.question, sample.place, sample.wording)


async def asked(
    interviewer: Interviewer, plan: Plan, kept: Sequence[Sample], concurrency: int
) -> AsyncGenerator[Sample, None]:
    """Ask what is missing: yields each reply as it comes.

    Args:
        interviewer: The way to the model.
        plan: What to ask.
        kept: What an earlier run has answered.
        concurrency: How many are asked at one time.

    Raises:
        EvaluationError: some did not answer, twice each; what did come has been yielded.
    """
    done, missing = still_wanted(plan, kept, interviewer.model)
    talks = [
        [one for one in missing if one.part == "talk" and one.persona_id == persona_id]
        for persona_id in plan.personas.ids
    ]
    round_ = _Round(interviewer, plan, concurrency)
    works = (
        *(round_.ask(one) for one in missing if one.part != "talk"),
        *(round_.talk(turns, done) for turns in talks if turns),
    )
    async with aclosing(heard_from(works, round_.heard)) as samples:
        async for sample in samples:
            yield sample
    if round_.failures:
        first = round_.failures[0]
        message = (
            f"{len(round_.failures)} of {len(missing)} replies did not come: {first} What came is "
            "kept: run the same command again to ask for the rest."
        )
        raise EvaluationError(message) from first


class _Round:
    """Everybody is being asked."""

    def __init__(self, interviewer: Interviewer, plan: Plan, concurrency: int) -> None:
        self.heard: asyncio.Queue[Sample | None] = asyncio.Queue()
        self.failures: list[LLMError] = []
        self._interviewer = interviewer
        self._plan = plan
        self._gate = asyncio.Semaphore(concurrency)

    async def ask(self, wanted: Sample, history: Sequence[Exchange] = ()) -> Sample | None:
        """Let somebody answer, at the second try if need be; None where both failed."""
        async with self._gate:
            for is_last in (False, True):
                try:
                    sample = await _answered(
                        self._interviewer, self._plan.personas, wanted, history
                    )
                except LLMError as exc:
                    if is_last:
                        self.failures.append(exc)
                else:
                    self.heard.put_nowait(sample)
                    return sample
        return None

    async def talk(self, turns: Sequence[Sample], done: Sequence[Sample]) -> None:
        """Have the rest of a conversation, up to a turn that fails."""
        who = turns[0].persona_id
        history = [_exchange(one) for one in done if one.part == "talk" and one.persona_id == who]
        for turn in turns:
            sample = await self.ask(turn, tuple(history))
            if sample is None:
                return
            history.append(_exchange(sample))


async def _answered(
    interviewer: Interviewer, personas: Personas, wanted: Sample, history: Sequence[Exchange]
) -> Sample:
    """One reply.

    Raises:
        LLMError: it did not come.
    """
    said = Said()
    if wanted.part == "control":
        pieces = interviewer.ask_nobody(wanted.question, said)
    else:
        persona = personas.get(wanted.persona_id)
        pieces = interviewer.ask(persona, personas, wanted.question, said, history)
    async with aclosing(pieces):
        async for _ in pieces:
            pass
    return wanted.model_copy(
        update={
            "reply": said.text,
            "finished": said.finished,
            "seconds": said.seconds,
            "model": interviewer.model,
        }
    )


def _exchange(sample: Sample) -> Exchange:
    return Exchange(message=sample.question, reply=sample.reply, persona_id=sample.persona_id)
