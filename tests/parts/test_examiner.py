"""Edited personas at the gate: examined on a scripted model before they serve."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest

from orchestra.cli.notion import _at_the_gate
from orchestra.errors import PersonaChangedError, SettingsError
from orchestra.lab.figures import figures
from orchestra.lab.kept import METRICS, REPLIES
from orchestra.lab.questions import QUESTIONS
from orchestra.personas.files import PersonaFiles
from orchestra.settings import ROOT, Settings
from orchestra.types.persona import Example
from tests.doubles.llm import Reply
from tests.doubles.voices import MANNERS, NEUTRAL, own_manner, speaking
from tests.parts.test_lab import replies

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def people(tmp_path):
    return shutil.copytree(ROOT / "personas_seed", tmp_path / "people")


@pytest.fixture(scope="module")
def made():
    """The run that was good, once one of the tests has made it: it takes ten seconds."""
    return {}


@pytest.fixture
async def good(open_house, model, people, tmp_path, made):
    """A folder with a run of the personas as they are, each in a manner of their own."""
    if not made:
        model.choose(speaking(own_manner, seed=1))
        async with open_house(personas_dir=people) as house:
            personas = await house.roster.current()
            samples = await replies(house, QUESTIONS[:24])
            metrics = await figures(personas, samples, house.embedder, house.lab.interviewer.model)
        made[METRICS] = metrics.model_dump_json()
        made[REPLIES] = "\n".join([*(one.model_dump_json() for one in samples), ""])
    folder = tmp_path / "good"
    folder.mkdir()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def edit(people, words, who="karen"):
    path = people / f"{who}.md"
    text = (ROOT / "personas_seed" / path.name).read_text(encoding="utf-8")
    head, mark, rest = text.partition("# Backstory\n")
    assert mark
    path.write_text(f"{head}{mark}\n{words} {rest}", encoding="utf-8")


async def until(looks, house, seconds=60):
    """Read the personas again until they are as wanted."""
    async with asyncio.timeout(seconds):
        while True:
            await house.roster.reload()
            serving, status = await house.roster.current(), house.roster.status()
            if looks(serving, status):
                return serving, status
            await asyncio.sleep(0.2)


def bland(who):
    return NEUTRAL if who == "Karen" else MANNERS.get(who, NEUTRAL)


async def test_an_edit_serves_once_it_has_passed_and_only_who_was_edited_is_asked(
    open_house, model, people, good
):
    async with open_house(personas_dir=people, gate_baseline=good) as house:
        before = await house.roster.current()
        assert before.problems == ()
        model.asked.clear()
        model.choose(speaking(own_manner, seed=2))
        edit(people, "She once sold a lighthouse.")
        fresh = await house.roster.reload()
        assert "lighthouse" in fresh.get("karen").backstory
        serving = await house.roster.current()
        assert serving.revision == before.revision
        edited = fresh.get("karen").revision
        assert f"Karen: revision {edited} is being examined" in serving.problems[0]
        serving, _ = await until(lambda one, _: one.revision == fresh.revision, house)
        assert serving.problems == ()
        told = {body["messages"][0]["content"].split(",")[0] for body in model.asked}
        assert told == {"You are Karen"}
        assert len(model.asked) == 2 * 24


async def test_an_edit_that_made_somebody_bland_is_held_back_and_says_why(
    open_house, model, people, good, tmp_path
):
    async with open_house(personas_dir=people, gate_baseline=good) as house:
        before = await house.roster.current()
        model.choose(speaking(bland, seed=2))
        edit(people, "She has no opinion.")
        _, status = await until(lambda _, status: "held back" in str(status.problems), house)
        assert "Karen: sounds like its examples, 100% before" in status.problems[0]
        parts = {part.part: part for part in await house.status()}
        assert not parts["personas"].ok
        assert "the one before serves" in parts["personas"].detail
        assert (await house.roster.current()).revision == before.revision
        assert len(await house.history.versions("karen")) == 2  # what is held back is a version too
    settings = Settings(data_dir=tmp_path / "data", gate_baseline=good)
    (checked,) = await _at_the_gate(settings, PersonaFiles(people))  # as 'notion check' does
    assert not checked.ok
    assert "sounds like its examples" in checked.detail
    model.asked.clear()
    async with open_house(personas_dir=people, gate_baseline=good) as house:  # after a restart
        assert (await house.roster.current()).revision == before.revision
        assert "held back" in house.roster.status().problems[0]
        serving = (await house.roster.current()).get("karen")
        with pytest.raises(PersonaChangedError, match=r"serves, as \w+ has not passed the gate"):
            await house.editor.replace(serving, serving.revision, "anna")
        taught = await house.editor.teach(
            "karen", Example(message="Why?", reply="Because!"), "anna"
        )
        assert taught.examples[-1].reply == "Because!"  # the store has it, and it waits as well
        assert "Because!" not in str((await house.roster.current()).get("karen").examples)
        assert not [body for body in model.asked if "no opinion" not in str(body)]
    shutil.copy(ROOT / "personas_seed" / "karen.md", people)
    async with open_house(personas_dir=people, gate_baseline=good) as house:
        assert (await house.roster.current()).problems == ()


async def test_an_examination_that_fails_holds_back_and_is_tried_again(
    open_house, model, people, good
):
    async with open_house(personas_dir=people, gate_baseline=good) as house:
        before = await house.roster.current()
        model.always(Reply(status=400))
        model.choose(lambda _body: Reply(status=400))
        edit(people, "She once sold a lighthouse.")
        _, status = await until(lambda _, status: "last try failed" in str(status.problems), house)
        assert "400" in status.problems[0]
        assert (await house.roster.current()).revision == before.revision
        model.choose(speaking(own_manner, seed=2))
        serving, _ = await until(lambda one, _: not one.problems, house)
        assert "lighthouse" in serving.get("karen").backstory


async def test_one_who_is_held_back_keeps_nobody_elses_edit_from_serving(
    open_house, model, people, good
):
    async with open_house(personas_dir=people, gate_baseline=good) as house:
        before = await house.roster.current()
        model.asked.clear()
        model.choose(speaking(bland, seed=2))
        edit(people, "She has no opinion.")
        edit(people, "She once sold a lighthouse.", "sophia")
        serving, _ = await until(
            lambda one, _: "lighthouse" in one.get("sophia").backstory and one.problems, house
        )
        assert serving.get("karen") == before.get("karen")
        (problem,) = serving.problems
        assert problem.startswith("Karen: revision")
        assert "is held back, and the one before serves" in problem
        assert len(model.asked) == 2 * 2 * 24  # once each, though they were judged twice


async def test_a_question_that_is_always_refused_is_left_out_in_the_end(
    open_house, model, people, good
):
    answer = speaking(own_manner, seed=2)

    def choose(body):
        return Reply(status=400) if QUESTIONS[3] in str(body) else answer(body)

    async with open_house(personas_dir=people, gate_baseline=good) as house:
        model.asked.clear()
        model.choose(choose)
        edit(people, "She once sold a lighthouse.")
        serving, _ = await until(lambda one, _: not one.problems, house)
        assert "lighthouse" in serving.get("karen").backstory
        refused = [body for body in model.asked if QUESTIONS[3] in str(body)]
        assert len(refused) == 3 * 2 * 2  # tries of an examination, rounds, tries of a question
        assert len(model.asked) - len(refused) == 2 * 23  # what was answered is not asked again


@pytest.mark.parametrize(
    ("answered", "why"),
    [
        (0, "0 questions were answered by everybody"),
        (6, "6 of the baseline's 24 questions were answered by everybody"),
    ],
)
async def test_an_examination_that_never_comes_to_anything_rests(
    open_house, model, people, good, answered, why
):
    answer = speaking(own_manner, seed=2)

    def choose(body):
        heard = any(question in str(body) for question in QUESTIONS[:answered])
        return answer(body) if heard else Reply(status=400)

    async with open_house(personas_dir=people, gate_baseline=good) as house:
        before = await house.roster.current()
        model.choose(choose)
        edit(people, "She once sold a lighthouse.")
        serving, _ = await until(lambda one, _: "could not be examined" in str(one.problems), house)
        assert why in serving.problems[0]
        assert serving.revision == before.revision
        asked = len(model.asked)
        await house.roster.reload()
        await house.roster.reload()
        assert len(model.asked) == asked
        model.choose(speaking(own_manner, seed=2))
        edit(people, "She once sold two lighthouses.")
        await until(lambda one, _: not one.problems, house)


async def test_who_was_never_good_serves_for_want_of_others_and_is_examined(
    open_house, model, people, good, tmp_path
):
    edit(people, "She has no opinion.")
    model.choose(speaking(bland, seed=2))
    async with open_house(personas_dir=people, gate_baseline=good) as house:
        serving, _ = await until(lambda one, _: "did not pass" in str(one.problems), house)
        assert "no opinion" in serving.get("karen").backstory
        assert "yet it serves, as there is no good one" in serving.problems[0]
        kept = json.loads((tmp_path / "data" / "gate.json").read_text(encoding="utf-8"))
        assert set(kept["good"]) == {"cherry", "sophia"}
    shutil.copy(ROOT / "personas_seed" / "karen.md", people)
    async with open_house(personas_dir=people, gate_baseline=good) as house:
        assert (await house.roster.current()).problems == ()


async def test_who_came_or_went_is_told_and_nobody_is_asked(open_house, model, people, good):
    async with open_house(personas_dir=people, gate_baseline=good) as house:
        before = await house.roster.current()
        model.asked.clear()
        (people / "sophia.md").unlink()
        edit(people, "She once sold a lighthouse.")
        await house.roster.reload()
        serving = await house.roster.current()
        assert serving.ids == ("cherry", "karen")
        assert serving.get("karen") == before.get("karen")
        gone, waits = serving.problems
        assert gone.startswith("sophia: only in the baseline.")
        assert "waits for a new baseline; the one before serves" in waits
        text = (ROOT / "personas_seed" / "sophia.md").read_text(encoding="utf-8")
        text = text.replace("name: Sophia", "name: Dora").replace("research", "astronomy")
        (people / "dora.md").write_text(text, encoding="utf-8")
        await house.roster.reload()
        serving = await house.roster.current()
        assert serving.ids == ("cherry", "dora", "karen")
        assert "dora: not in the baseline, serving unexamined" in serving.problems[0]
        assert model.asked == []


async def test_what_no_model_hears_serves_at_once(open_house, model, people, good):
    async with open_house(personas_dir=people, gate_baseline=good) as house:
        model.asked.clear()
        path = people / "karen.md"
        text = path.read_text(encoding="utf-8")
        accent = (await house.roster.current()).get("karen").accent
        path.write_text(text.replace(accent, "#123456"), encoding="utf-8")
        await house.roster.reload()
        assert (await house.roster.current()).get("karen").accent == "#123456"
        assert model.asked == []


async def test_a_baseline_that_is_none_stops_the_start_and_names_the_setting(
    open_house, people, good, tmp_path
):
    with pytest.raises(SettingsError, match=r"ORCHESTRA_GATE_BASELINE: .*cannot be read"):
        async with open_house(personas_dir=people, gate_baseline=tmp_path / "none"):
            pass
    (good / REPLIES).write_text("", encoding="utf-8")
    with pytest.raises(SettingsError, match="has no replies"):
        async with open_house(personas_dir=people, gate_baseline=good):
            pass


async def test_a_baseline_of_another_model_stops_the_start(open_house, people, good):
    with pytest.raises(SettingsError, match="it is of model scripted, and here another answers"):
        async with open_house(personas_dir=people, gate_baseline=good, model="another"):
            pass
