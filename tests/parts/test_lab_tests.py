"""The blind test and comparisons: what testers see, when, and what counts."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest
import sqlalchemy as sa

from orchestra.errors import (
    LabClosedError,
    LabNotFoundError,
    LLMUnavailableError,
    MessageError,
    PersonaNotFoundError,
)
from orchestra.lab.blind import BlindTest, at_least, wilson
from orchestra.lab.interview import Interviewer
from orchestra.lab.together import Asked, together
from orchestra.settings import ROOT
from orchestra.tables import lab_comparisons, lab_trials
from orchestra.types.lab import Column, ColumnOver, ColumnText, Comparison
from tests.doubles.llm import Reply


@pytest.fixture
def three(house):
    """A blind test with three questions."""
    questions = ("How do we begin?", "What comes next?", "When are we done?")
    return BlindTest(house.roster, house.lab.interviewer, house.database, questions)


async def test_an_answer_to_guess_has_no_names_and_no_truth(three, model):
    model.always(Reply("Hello there! I am Karen. Start with the customer."))
    trial = await three.next("anna")
    assert trial.text == "Start with the customer."
    assert set(trial.model_dump()) == {"id", "question", "text", "number", "left"}
    assert (trial.number, trial.left) == (1, 3)


async def test_an_answer_waits_for_its_guess(three):
    first = await three.next("anna")
    assert await three.next("anna") == first


async def test_nobody_sees_a_question_twice_and_everybody_has_their_own(three):
    asked = []
    for _ in range(3):
        trial = await three.next("anna")
        asked.append(trial.question)
        await three.guess("anna", trial.id, "karen")
    assert len(set(asked)) == 3
    with pytest.raises(LabClosedError, match="all 3 questions"):
        await three.next("anna")
    assert (await three.next("ben")).number == 1


async def test_two_tabs_of_one_tester_get_no_question_twice(three):
    trials = await asyncio.gather(*(three.next("anna") for _ in range(3)))
    questions = {trial.question: trial.id for trial in trials}
    assert len({trial.id for trial in trials}) == len(questions)


async def test_the_first_guess_counts(three):
    trial = await three.next("anna")
    guesses = (three.guess("anna", trial.id, who) for who in ("karen", "sophia"))
    done = await asyncio.gather(*guesses, return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["Guessed", "LabClosedError"]
    assert (await three.score("anna")).guesses == 1


async def test_two_testers_at_once_count_each_for_themselves(three):
    trials = await asyncio.gather(three.next("anna"), three.next("ben"))
    guesses = zip(("anna", "ben"), trials, strict=True)
    await asyncio.gather(*(three.guess(who, trial.id, "karen") for who, trial in guesses))
    for who in ("anna", "ben"):
        assert (await three.score(who)).guesses == 1
    assert (await three.score()).guesses == 2


async def test_what_cannot_be_guessed_is_told(three):
    trial = await three.next("anna")
    with pytest.raises(LabNotFoundError):
        await three.guess("ben", trial.id, "karen")
    with pytest.raises(LabNotFoundError):
        await three.guess("anna", "gone", "karen")
    with pytest.raises(PersonaNotFoundError):
        await three.guess("anna", trial.id, "nobody")
    assert (await three.score()).share is None


async def test_the_score_counts_who_was_taken_for_whom(three):
    for tester in ("anna", "ben"):
        for _ in range(3):
            trial = await three.next(tester)
            await three.guess(tester, trial.id, "sophia")
    score = await three.score()
    truths = [row["persona"] for row in await three.guesses()]
    assert (score.guesses, score.testers) == (6, 2)
    assert score.right == truths.count("sophia")
    for who in ("cherry", "karen", "sophia"):
        assert score.confusion[who] == {"cherry": 0, "karen": 0, "sophia": truths.count(who)}
    assert (await three.score("ben")).guesses == 3


async def test_who_was_removed_is_neither_guessed_nor_counted(open_house, tmp_path):
    people = shutil.copytree(ROOT / "personas_seed", tmp_path / "people")
    async with open_house(personas_dir=people) as house:
        blind = BlindTest(house.roster, house.lab.interviewer, house.database, ("One?", "Two?"))
        waiting, guessed = await blind.next("anna"), await blind.next("ben")
        all_of_karen = lab_trials.update().values(persona_id="karen")
        await house.database.write(lambda connection: connection.execute(all_of_karen))
        await blind.guess("ben", guessed.id, "sophia")
        assert (await blind.score()).guesses == 1
        (people / "karen.md").unlink()
        await house.roster.reload()
        assert (await blind.score()).guesses == 0
        trial = await blind.next("anna")
        assert trial.question != waiting.question
        assert (trial.number, trial.left) == (1, 1)


async def test_what_was_guessed_and_voted_on_says_of_which_revision(house, three):
    revisions = {one.id: one.revision for one in (await house.roster.current()).members}
    trial = await three.next("anna")
    guessed = await three.guess("anna", trial.id, "karen")
    (row,) = await three.guesses("anna")
    assert row["revision"] == revisions[guessed.truth]
    await compared(house)
    (kept,) = await house.database.fetch(sa.select(lab_comparisons.c.revisions))
    assert json.loads(kept.revisions) == revisions


async def test_a_model_that_fails_leaves_no_trial(three, model):
    model.enqueue(*[Reply(status=503, headers={"retry-after": "0"})] * 3)
    with pytest.raises(LLMUnavailableError):
        await three.next("anna")
    assert (await three.next("anna")).left == 3


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(45, 60, 0.628, 0.842), (90, 120, 0.666, 0.819), (0, 5, 0, 0.434)],
)
def test_wilsons_interval(right, of, low, high):
    found = wilson(right, of)
    assert (found.low, found.high) == (pytest.approx(low, abs=2e-3), pytest.approx(high, abs=2e-3))


@pytest.mark.parametrize(("of", "enough"), [(30, 15), (36, 18), (60, 27), (90, 38), (120, 50)])
def test_more_than_guessing_is_what_the_tables_say(of, enough):
    assert at_least(enough, of, 1 / 3) < 0.05 <= at_least(enough - 1, of, 1 / 3)


async def compared(house, question="How do we begin?", who=(), tester="anna"):
    return [one async for one in house.lab.comparer.compare(tester, question, who)]


async def test_everybody_answers_side_by_side(house, model):
    events = await compared(house)
    first, last = events[0], events[-1]
    assert isinstance(first, Comparison)
    assert isinstance(last, Comparison)
    assert [one.key for one in first.columns] == ["cherry", "karen", "sophia"]
    for column in last.columns:
        pieces = [
            one.text for one in events if isinstance(one, ColumnText) and one.key == column.key
        ]
        assert "".join(pieces) == column.reply == "Start with the customer. Then decide."
        assert column.seconds is not None
    assert len(model.asked) == 3
    assert await house.lab.comparer.get("anna", last.id) == last


async def test_one_that_fails_says_so_and_the_others_finish(house, model):
    def choose(body):
        system = body["messages"][0]["content"]
        return Reply(status=400) if "You are Karen" in system else Reply("All good.")

    model.choose(choose)
    *_, last = await compared(house)
    by_key = {one.key: one for one in last.columns}
    assert "400" in by_key["karen"].error
    assert by_key["karen"].reply == ""
    assert by_key["sophia"].reply == "All good."
    with pytest.raises(LabNotFoundError, match="'karen' cannot be voted for"):
        await house.lab.comparer.vote("anna", last.id, "karen")


async def test_the_same_persona_twice_shows_its_own_noise(house):
    events = await compared(house, who=("karen", "karen"))
    assert [one.key for one in events[-1].columns] == ["karen", "karen-2"]
    assert sum(isinstance(one, ColumnOver) for one in events) == 2
    await house.lab.comparer.vote("anna", events[-1].id, "karen-2")
    assert await house.lab.comparer.votes() == {}  # it could only be Karen


async def test_the_first_vote_counts(house):
    *_, last = await compared(house)
    voting = (house.lab.comparer.vote("anna", last.id, best) for best in ("sophia", "tie"))
    done = await asyncio.gather(*voting, return_exceptions=True)
    assert [type(one) for one in done if one is not None] == [LabClosedError]
    kept = await house.lab.comparer.get("anna", last.id)
    assert await house.lab.comparer.votes() == {kept.vote: 1}
    with pytest.raises(LabNotFoundError):
        await house.lab.comparer.vote("ben", last.id, "sophia")


async def test_a_comparison_that_is_stopped_stops_the_model_and_is_not_kept(house, model):
    model.always(Reply("One word after the other comes here", hang_after=3))
    events = house.lab.comparer.compare("anna", "How?", ("karen",))
    comparison = await anext(events)
    assert isinstance(await anext(events), ColumnText)
    await events.aclose()
    with pytest.raises(LabNotFoundError):
        await house.lab.comparer.get("anna", comparison.id)


class Faulty(Interviewer):
    """With a mistake of ours in it, which shows once Karen has said something."""

    def __init__(self, sound):
        self._sound = sound

    async def ask(self, persona, *more):
        async for piece in self._sound.ask(persona, *more):
            yield piece
            if persona.id == "karen":
                message = "unforeseen"
                raise ZeroDivisionError(message)


async def test_an_unforeseen_error_leaves_nobody_talking_unheard(house, model):
    model.always(Reply("One word after the other comes here", hang_after=3))
    personas = await house.roster.current()
    everybody = [
        Asked(Column(key=one.id, persona_id=one.id, wording=""), one, personas)
        for one in personas.members
    ]
    with pytest.raises(ZeroDivisionError):
        _ = [event async for event in together(Faulty(house.lab.interviewer), "?", everybody)]
    assert [task for task in asyncio.all_tasks() if "_answer" in repr(task)] == []


@pytest.mark.parametrize("question", ["", "  ", "x" * 2001])
async def test_what_cannot_be_compared_is_told(house, question):
    with pytest.raises(MessageError, match="1 to 2,000 characters"):
        await compared(house, question)
    with pytest.raises(PersonaNotFoundError):
        await compared(house, who=("nobody",))
