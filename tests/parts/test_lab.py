"""The lab on a scripted model: what it must call distinct, and what it must not."""

from __future__ import annotations

import asyncio

import pytest

from orchestra.errors import EvaluationError
from orchestra.lab.asking import Plan, asked, still_wanted
from orchestra.lab.figures import figures
from orchestra.lab.gate import gate
from orchestra.lab.questions import QUESTIONS, TALK
from orchestra.lab.report import as_json, report
from orchestra.types.lab import Metrics
from tests.doubles.llm import Reply
from tests.doubles.voices import MANNERS, NEUTRAL, nobodys_manner, own_manner, speaking

FEW = QUESTIONS[:12]
SOME = QUESTIONS[:24]

pytestmark = pytest.mark.timeout(180)  # some hundred replies each, and their vectors


@pytest.fixture
async def house(open_house):
    async with open_house() as opened:
        yield opened


async def replies(house, questions=QUESTIONS, talk=(), kept=(), who=None):
    personas = who or await house.roster.current()
    plan = Plan(personas, tuple(questions), tuple(talk))
    done, _ = still_wanted(plan, kept, house.lab.interviewer.model)
    return [*done, *[one async for one in asked(house.lab.interviewer, plan, done, 1)]]


async def measured(house, questions=QUESTIONS, talk=()):
    samples = await replies(house, questions, talk)
    personas = await house.roster.current()
    return await figures(personas, samples, house.embedder, house.lab.interviewer.model), samples


@pytest.fixture
def spoken(model):
    """Let the model speak in somebody's manner."""

    def begin(manner, *, catchphrases=False, seed=5):
        model.choose(speaking(manner, seed=seed, catchphrases=catchphrases))

    return begin


async def test_three_voices_are_told_apart_and_one_model_without_is_not(house, spoken):
    # The model alone is told apart by chance alone: its interval leaves 50 % with one seed in 30.
    spoken(own_manner, seed=1)
    metrics, samples = await measured(house, talk=TALK)
    assert metrics.distinct, metrics.bars
    assert metrics.attribution_accuracy > 0.9
    assert metrics.p_value < 0.01
    assert metrics.ci95[0] <= metrics.attribution_accuracy <= metrics.ci95[1]
    assert metrics.control_ci95 is not None
    assert metrics.control_ci95[0] <= 1 / 3 <= metrics.control_ci95[1]
    assert metrics.separation_ratio is not None
    assert metrics.separation_ratio > 1.2
    assert metrics.on_character is not None
    assert metrics.on_character.value > 0.7
    assert sum(metrics.confusion["karen"].values()) == 40
    humour = metrics.trait_readback["humor"]
    assert humour.pairs == 3
    heard = {who: read.expressed for who, read in humour.per_persona.items()}
    assert max(heard, key=heard.__getitem__) == "karen"
    drift = metrics.per_persona["karen"].drift
    assert drift is not None
    assert drift.turns == 16
    assert drift.second_half > 0.7
    page = report(metrics, samples, await house.roster.current())
    assert "Cherry, Karen and Sophia are distinct." in page
    assert "http" not in page.split("<main>")[1]
    assert Metrics.model_validate_json(metrics.model_dump_json()) == metrics


async def test_a_model_that_says_the_same_to_everything_is_not_distinct(house, model):
    canned = {"Cherry": "Decide, then act.", "Sophia": "It may depend.", "Karen": "Let's chat!"}

    def choose(body):
        system = body["messages"][0]["content"]
        said = [text for name, text in canned.items() if f"You are {name}" in system]
        return Reply(said[0] if said else "Consider your options with care.")

    model.choose(choose)
    metrics, samples = await measured(house, SOME)
    assert metrics.attribution_accuracy == 1  # which is why it is not asked alone
    assert not metrics.distinct
    failed = {bar.name for bar in metrics.bars if not bar.passed}
    assert "Replies fit their questions" in failed
    assert "Told apart without set phrases, beginnings and punctuation" in failed
    assert metrics.separation_ratio is None  # there is no distance of one from itself
    assert "not measurable" in str(metrics.notes)
    page = report(metrics, samples, await house.roster.current())
    assert "two rounds of one persona: not measurable" in page
    assert Metrics.model_validate_json(as_json(metrics)) == metrics


async def test_three_copies_of_one_voice_are_not_distinct(house, spoken):
    spoken(nobodys_manner)
    metrics, samples = await measured(house, SOME)
    assert metrics.ci95[0] <= 1 / 3 <= metrics.ci95[1]
    assert metrics.p_value > 0.01
    assert not metrics.distinct
    page = report(metrics, samples, await house.roster.current())
    assert "are not shown to be distinct" in page


async def test_catch_phrases_around_the_same_text_are_not_a_voice(house, spoken):
    spoken(nobodys_manner, catchphrases=True)
    metrics, _ = await measured(house, SOME)
    assert metrics.attribution_accuracy > 0.9
    assert metrics.hard_masked.value < 0.6
    assert not metrics.distinct


async def test_the_gate_stops_a_persona_that_was_made_bland(house, spoken):
    spoken(own_manner)
    baseline, _ = await measured(house, SOME)
    spoken(own_manner, seed=6)
    again, _ = await measured(house, SOME)
    assert gate(baseline, again).passed
    spoken(lambda who: NEUTRAL if who == "Karen" else MANNERS.get(who, NEUTRAL), seed=7)
    bland, _ = await measured(house, SOME)
    verdict = gate(baseline, bland)
    assert not verdict.passed
    assert ("Karen", "strength of its manner") in {(one.who, one.what) for one in verdict.drops}
    assert "Cherry" not in {drop.who for drop in verdict.drops}


async def test_the_gate_compares_only_what_can_be_compared(house, spoken):
    spoken(own_manner)
    baseline, _ = await measured(house, FEW)
    other = baseline.model_copy(update={"model": "another"})
    with pytest.raises(EvaluationError, match="this run of another"):
        gate(baseline, other)
    fewer = {key: one for key, one in baseline.per_persona.items() if key != "karen"}
    with pytest.raises(EvaluationError, match="karen: in one of the two runs only"):
        gate(baseline, baseline.model_copy(update={"per_persona": fewer}))


async def test_a_run_goes_on_where_it_stopped(house, model, spoken):
    model.enqueue(*[Reply(status=400)] * 6)
    spoken(own_manner)
    personas = await house.roster.current()
    plan = Plan(personas, FEW, TALK[:4])
    came = []

    async def ask():
        async for one in asked(house.lab.interviewer, plan, (), 1):
            came.append(one)  # noqa: PERF401  # what came before the error counts

    with pytest.raises(EvaluationError, match="run the same command again"):
        await ask()
    _, missing = still_wanted(plan, came, "scripted")
    assert 0 < len(missing) < len(list(plan.samples()))
    before = len(model.asked)
    samples = await replies(house, FEW, TALK[:4], came)
    assert len(model.asked) - before == len(missing)
    assert len(samples) == len(list(plan.samples())) == 12 * 9 + 3 * 4
    assert not still_wanted(plan, samples, "scripted")[1]


async def test_another_model_is_asked_anew(house, spoken):
    spoken(own_manner)
    personas = await house.roster.current()
    samples = await replies(house, FEW[:5], TALK[:4])
    assert {one.model for one in samples} == {"scripted"}
    plan = Plan(personas, FEW[:5], TALK[:4])
    assert not still_wanted(plan, samples, "scripted")[1]
    everything = len(list(plan.samples()))
    assert len(still_wanted(plan, samples, "another")[1]) == everything
    unknown = [one.model_copy(update={"model": ""}) for one in samples]  # of an earlier version
    assert len(still_wanted(plan, unknown, "scripted")[1]) == everything


async def test_who_was_edited_is_asked_anew(house, spoken):
    spoken(own_manner)
    personas = await house.roster.current()
    samples = await replies(house, FEW[:5])
    edited = tuple(
        one.model_copy(update={"backstory": "New."}) if one.id == "karen" else one
        for one in personas.members
    )
    plan = Plan(personas.model_copy(update={"members": edited}), FEW[:5])
    done, missing = still_wanted(plan, samples, "scripted")
    assert {one.persona_id for one in missing} == {"karen"}
    assert "karen" not in {one.persona_id for one in done}


async def test_too_little_to_say_anything_is_an_error(house, spoken):
    spoken(own_manner)
    personas = await house.roster.current()
    with pytest.raises(EvaluationError, match="0 questions were answered by everybody"):
        await figures(personas, [], house.embedder, "scripted")
    alone = personas.model_copy(update={"members": personas.members[:1]})
    with pytest.raises(EvaluationError, match="At least two personas"):
        await figures(alone, [], house.embedder, "scripted")


async def test_asking_stops_when_nobody_listens_any_more(house, model):
    model.always(Reply("One word after the other comes here", hang_after=3))
    personas = await house.roster.current()
    replying = asked(house.lab.interviewer, Plan(personas, FEW), (), 2)
    waiting = anext(replying)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await waiting
    await replying.aclose()
    assert len(model.asked) <= 2
