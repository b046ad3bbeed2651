"""`orchestra lab run` as a process of its own, on a scripted model with three voices."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys

import pytest

from orchestra.lab.questions import QUESTIONS
from orchestra.settings import ROOT
from tests.conftest import clean_env, seed_cache
from tests.doubles.llm import Reply
from tests.doubles.voices import own_manner, speaking

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def orchestra(model, example_vectors, tmp_path):
    """Run `orchestra …` on the scripted model."""
    seed_cache(example_vectors, tmp_path / "data")

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "orchestra", *arguments],
            env={
                **clean_env(),
                "ORCHESTRA_DATA_DIR": str(tmp_path / "data"),
                "OPENAI_BASE_URL": model.base_url,
                "OPENAI_API_KEY": "test-key",
                "ORCHESTRA_MODEL": "scripted",
                **environment,
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )

    return run


@pytest.fixture
def lab(orchestra):
    """Run `orchestra lab …`, likewise."""
    return functools.partial(orchestra, "lab")


def test_a_run_is_reported_in_full_and_goes_on_where_it_stopped(lab, model, tmp_path):
    questions = tmp_path / "questions.jsonl"
    lines = [json.dumps({"text": one}) for one in QUESTIONS[:8]]
    questions.write_text("\n".join(lines), encoding="utf-8")
    options = ("run", "--questions", str(questions), "--out", "report", "--no-talk", "--json")
    model.enqueue(*[Reply(status=400)] * 60)  # enough for both tries of many
    model.choose(speaking(own_manner, seed=1))
    broken = lab(*options)
    assert broken.returncode == 1
    assert "run the same command again" in broken.stderr
    replies = tmp_path / "report" / "replies.jsonl"
    kept = replies.read_text(encoding="utf-8").splitlines()
    assert 0 < len(kept) < 72
    with replies.open("a", encoding="utf-8") as file:
        file.write(kept[0][:40])  # as a run leaves it that was killed in the middle of a line
    asked = len(model.asked)
    done = lab(*options)
    assert done.returncode == 0, done.stderr
    assert len(model.asked) - asked == 72 - len(kept)
    assert len([json.loads(line) for line in replies.read_text("utf-8").splitlines()]) == 72
    metrics = json.loads(done.stdout)
    assert set(metrics) >= {
        "attribution_accuracy",
        "chance",
        "ci95",
        "p_value",
        "separation_ratio",
        "control_accuracy",
        "confusion",
        "per_persona",
        "trait_readback",
    }
    assert set(metrics["per_persona"]) == {"cherry", "karen", "sophia"}
    assert metrics["attribution_accuracy"] > 0.8
    assert json.loads((tmp_path / "report" / "metrics.json").read_text("utf-8")) == metrics
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "8 questions are few" in page
    assert QUESTIONS[0] in page


def test_a_run_measures_what_the_store_has_whatever_the_gate_holds_back(lab, model, tmp_path):
    people = shutil.copytree(ROOT / "personas_seed", tmp_path / "people")
    lines = [json.dumps({"text": one}) for one in QUESTIONS[:5]]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    options = ("run", "--questions", "questions.jsonl", "--no-talk", "--json", "--out")
    model.choose(speaking(own_manner, seed=1))
    before = lab(*options, "good", ORCHESTRA_PERSONAS_DIR=str(people))
    assert before.returncode == 0, before.stderr
    karen = people / "karen.md"
    text = karen.read_text(encoding="utf-8").replace("# Backstory\n", "# Backstory\nBorn at sea. ")
    karen.write_text(text, encoding="utf-8")
    now = lab(
        *options,
        "new",
        ORCHESTRA_PERSONAS_DIR=str(people),
        ORCHESTRA_GATE_BASELINE=str(tmp_path / "good"),
        ORCHESTRA_MODEL="another",
    )
    assert now.returncode == 0, now.stderr
    first, second = json.loads(before.stdout), json.loads(now.stdout)
    assert second["model"] == "another"
    changed = {
        who
        for who, one in second["per_persona"].items()
        if one["wording"] != first["per_persona"][who]["wording"]
    }
    assert changed == {"karen"}
    assert not (tmp_path / "data" / "gate.json").exists()


def test_a_command_examines_nobody(lab, model, orchestra, tmp_path):
    people = shutil.copytree(ROOT / "personas_seed", tmp_path / "people")
    lines = [json.dumps({"text": one}) for one in QUESTIONS[:5]]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    model.choose(speaking(own_manner, seed=1))
    made = lab("run", "--questions", "questions.jsonl", "--no-talk", "--out", "good")
    assert made.returncode == 0, made.stderr
    karen = people / "karen.md"
    text = karen.read_text(encoding="utf-8").replace("# Backstory\n", "# Backstory\nBorn at sea. ")
    karen.write_text(text, encoding="utf-8")
    model.asked.clear()
    asked = orchestra(
        "ask",
        "Is the sea blue?",
        "--persona",
        "sophia",
        ORCHESTRA_PERSONAS_DIR=str(people),
        ORCHESTRA_GATE_BASELINE=str(tmp_path / "good"),
    )
    assert asked.returncode == 0, asked.stderr
    assert len(model.asked) == 1


def test_what_no_figures_could_be_made_of_is_refused_before_anybody_is_asked(lab, model, tmp_path):
    lines = [json.dumps({"text": one}) for one in (*QUESTIONS[:4], QUESTIONS[0])]
    (tmp_path / "few.jsonl").write_text("\n".join(lines), encoding="utf-8")
    few = lab("run", "--questions", "few.jsonl", "--out", "report")
    assert few.returncode == 1
    assert "These are 4 different questions; figures need at least 5" in few.stderr
    alone = lab("run", "--persona", "karen", "--persona", "Karen", "--out", "report")
    assert alone.returncode == 1
    assert "At least two personas are needed" in alone.stderr
    assert not model.asked


def test_a_file_without_questions_is_an_error(lab, tmp_path):
    (tmp_path / "none.jsonl").write_text("\n", encoding="utf-8")
    done = lab("run", "--questions", "none.jsonl", "--out", "report")
    assert done.returncode == 1
    assert "none.jsonl holds no questions" in done.stderr


def test_a_question_without_words_is_an_error(lab, tmp_path):
    (tmp_path / "blank.jsonl").write_text('{"text": "Why?"}\n{"text": " "}\n', encoding="utf-8")
    done = lab("run", "--questions", "blank.jsonl", "--out", "report")
    assert done.returncode == 1
    assert "blank.jsonl holds a question without words" in done.stderr


def test_a_question_that_is_never_answered_is_left_out_and_told(lab, model, tmp_path):
    answer = speaking(own_manner, seed=1)

    def choose(body):
        return Reply(status=400) if QUESTIONS[2] in str(body) else answer(body)

    model.choose(choose)
    lines = [json.dumps({"text": one}) for one in QUESTIONS[:6]]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "few.jsonl").write_text("\n".join(lines[:5]), encoding="utf-8")
    done = lab("run", "--questions", "questions.jsonl", "--no-talk", "--json", "--out", "report")
    assert done.returncode == 1
    assert "9 of 54 replies did not come" in done.stderr
    found = json.loads(done.stdout)
    assert found["asked"] == list(QUESTIONS[:2] + QUESTIONS[3:6])
    told = "Of the 5 questions that everybody answered. 9 of 54 replies did not come"
    few = lab("run", "--questions", "few.jsonl", "--no-talk", "--out", "few")
    assert few.returncode == 1
    assert "9 of 45 replies did not come" in few.stderr
    assert "There is no report: 4 questions were answered by everybody" in few.stderr
    assert any(note.startswith(told) for note in found["notes"])
    assert told in (tmp_path / "report" / "report.html").read_text("utf-8")


def test_a_folder_with_something_else_in_it_is_an_error_and_stays_as_it_is(lab, model, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "replies.jsonl").write_text("my notes\n", encoding="utf-8")
    done = lab("run", "--out", "report")
    assert done.returncode == 1
    assert "replies.jsonl is not of an earlier run" in done.stderr
    assert "Give another --out" in done.stderr
    assert (tmp_path / "report" / "replies.jsonl").read_text("utf-8") == "my notes\n"
    assert not model.asked
