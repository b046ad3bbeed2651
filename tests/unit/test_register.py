"""Who may serve by the verdicts that are kept, without anybody being examined."""

from __future__ import annotations

import json

import pytest

from orchestra.errors import SettingsError
from orchestra.lab.baseline import read_baseline
from orchestra.lab.examiner import Examiner
from orchestra.lab.kept import METRICS, REPLIES
from orchestra.lab.register import Register
from orchestra.types.lab import Sample
from tests.unit.test_lab import figures


@pytest.fixture
def run(tmp_path, trio):
    """Write a run of three personas that were good; returns its folder."""

    def write(personas=trio, model="m", asked=tuple("abcde")):
        metrics = figures(0.9, model)
        like = metrics.per_persona["karen"]
        people = {
            one.id: like.model_copy(update={"name": one.name, "wording": one.wording})
            for one in personas.members
        }
        metrics = metrics.model_copy(update={"per_persona": people, "asked": asked})
        (tmp_path / METRICS).write_text(metrics.model_dump_json(), encoding="utf-8")
        reply = Sample(part="first", persona_id="ada", question="a", place=0, reply="Yes.")
        (tmp_path / REPLIES).write_text(reply.model_dump_json() + "\n", encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "gate.json"


def edited(personas, who="ben", **fields):
    fields = fields or {"backstory": "New."}
    members = tuple(
        one.model_copy(update=fields) if one.id == who else one for one in personas.members
    )
    return personas.model_copy(update={"members": members})


def test_what_the_baseline_was_made_of_has_passed(run, kept, trio):
    register = Register(kept, read_baseline(run()))
    assert [register.verdict(one) for one in trio.members] == ["", "", ""]
    assert register.verdict(edited(trio).get("ben")) is None


def test_verdicts_of_another_baseline_are_void_and_who_was_good_still_is(run, kept, trio):
    one, two = edited(trio).get("ben"), edited(trio, backstory="Newer.").get("ben")
    register = Register(kept, read_baseline(run()))
    register.decide([one], "")
    register.decide([two], "Ben: told to be itself")
    register.admit([one])
    again = Register(kept, read_baseline(run()))
    assert (again.verdict(one), again.verdict(two)) == ("", "Ben: told to be itself")
    other = Register(kept, read_baseline(run(asked=tuple("fghij"))))
    assert (other.verdict(one), other.verdict(two)) == (None, None)
    assert other.served(two).backstory == "New."


def test_a_new_baseline_of_what_was_held_back_lets_it_serve(run, kept, trio):
    held = edited(trio)
    Register(kept, read_baseline(run())).decide([held.get("ben")], "Ben: told to be itself")
    assert Examiner(run(held), kept).admitted(held) is held


def test_nobody_is_kept_as_good_who_never_passed(run, kept, trio):
    examiner = Examiner(run(), kept)
    first, second = edited(trio), edited(trio, backstory="Newer.")
    serving = examiner.admitted(first)
    assert serving.get("ben").backstory == "New."
    assert "being examined; it serves, as there is no good one" in serving.problems[0]
    assert examiner.admitted(second).get("ben").backstory == "Newer."
    assert set(json.loads(kept.read_text(encoding="utf-8"))["good"]) == {"ada", "cleo"}


def test_the_one_before_serves_with_what_no_model_hears_of_the_new_one(run, kept, trio):
    examiner = Examiner(run(), kept)
    assert examiner.admitted(trio) is trio
    fresh = edited(trio, backstory="New.", accent="#123456", domains=("sales",))
    ben = examiner.admitted(fresh).get("ben")
    assert (ben.backstory, ben.wording) == (trio.get("ben").backstory, trio.get("ben").wording)
    assert (ben.accent, ben.domains) == ("#123456", ("sales",))


def test_who_left_stops_answering_and_who_came_answers(run, kept, trio, make_persona):
    examiner = Examiner(run(), kept)
    examiner.admitted(trio)
    dora = make_persona("dora")
    fresh = trio.model_copy(update={"members": (*trio.members[:2], dora)})
    serving = examiner.admitted(fresh)
    assert serving.members == fresh.members
    (said,) = serving.problems
    assert said.startswith("dora: not in the baseline, serving unexamined; cleo: only in")
    assert "until 'orchestra lab run' has made a new baseline" in said
    assert examiner.verdict(fresh) == said


def test_a_file_of_before_is_made_anew(run, kept, trio, caplog):
    kept.write_text(json.dumps({"verdicts": {"x": ""}, "good": None}), encoding="utf-8")
    examiner = Examiner(run(), kept)
    assert "cannot be read and is made anew" in caplog.text
    assert examiner.admitted(trio) is trio


def test_a_baseline_that_does_not_say_what_was_asked_stops_the_start(run, kept):
    with pytest.raises(SettingsError, match=r"does not say what was asked.*run' again"):
        Examiner(run(asked=()), kept)
