"""The terminal door, as processes of their own; the embedded model answers for real."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from filelock import FileLock

from tests.conftest import clean_env, seed_cache

COLD_CALL = "How do I get past the gatekeeper when cold calling?"


@pytest.fixture(scope="module")
def data_dir(example_vectors, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    seed_cache(example_vectors, folder)
    return folder


@pytest.fixture
def orchestra(data_dir):
    def run(*arguments, stdin="", **environment):
        return subprocess.run(
            [sys.executable, "-m", "orchestra", *arguments],
            env={**clean_env(), "ORCHESTRA_DATA_DIR": str(data_dir), **environment},
            cwd=data_dir,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )

    return run


@pytest.mark.embedded
@pytest.mark.timeout(180)
def test_ask_answers_as_karen_with_the_embedded_model_and_remembers(orchestra):
    done = orchestra("ask", COLD_CALL, "--user", "anna", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert set(answer) >= {"persona", "domain", "answer", "memories", "timings_ms"}
    assert (answer["persona"], answer["domain"], answer["memories"]) == ("karen", "sales", [])
    assert set(answer["timings_ms"]) == {"route", "recall", "first_token", "total"}
    assert answer["answer"].rstrip()[-1] in ".!?…\"'"
    assert "Cherry" not in answer["answer"]
    assert "Sophia" not in answer["answer"]
    listed = json.loads(orchestra("memory", "list", "--user", "anna", "--json").stdout)
    assert [(one["persona"], one["task"]) for one in listed] == [("karen", COLD_CALL)]
    assert set(listed[0]) == {"id", "persona", "user", "task", "decision", "when"}
    forgotten = orchestra("memory", "forget", "--user", "anna", "--json")
    assert json.loads(forgotten.stdout) == {"forgotten": 1}


@pytest.mark.embedded
@pytest.mark.timeout(180)
def test_what_a_small_model_would_guess_is_answered_by_rule(orchestra):
    done = orchestra("ask", "what is 12 x 8?", "--persona", "sophia")
    assert done.stdout == "The result is 96.\n"


@pytest.mark.embedded
@pytest.mark.timeout(180)
def test_doctor_says_for_each_part_whether_it_works(orchestra):
    done = orchestra("doctor", "--json")
    parts = {one["part"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    expected = {"python", "data folder", "personas", "database", "vectors", "model", "embeddings"}
    assert set(parts) == expected
    assert parts["model"]["detail"] == "SmolLM2-135M-Instruct, built in"


def test_doctor_names_what_does_not_work_and_the_fix(orchestra):
    done = orchestra("doctor", OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert done.returncode == 1
    assert "FAIL model" in done.stdout
    assert "127.0.0.1:9" in done.stdout


@pytest.mark.timeout(240)
def test_doctor_tries_each_part_by_itself_and_repairs_what_no_server_uses(orchestra, tmp_path):
    path = tmp_path / "orchestra.db"
    path.write_bytes(b"this was never a database" * 500)
    elsewhere = {
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "ORCHESTRA_DATA_DIR": str(tmp_path),
    }
    done = orchestra("doctor", "--json", **elsewhere)
    parts = {one["part"]: one for one in json.loads(done.stdout)}
    assert not parts["database"]["ok"]
    assert "doctor --repair" in parts["database"]["detail"]
    assert parts["personas"]["ok"]
    assert parts["vectors"]["ok"]
    assert parts["embeddings"]["ok"]
    with FileLock(path.with_name("chroma.lock")):
        refused = orchestra("doctor", "--repair", **elsewhere)
    assert "Stop it, then repair" in refused.stdout + refused.stderr
    assert path.read_bytes().startswith(b"this was never")
    orchestra("doctor", "--repair", **elsewhere)
    done = orchestra("doctor", "--json", **elsewhere)
    again = {one["part"]: one for one in json.loads(done.stdout)}
    assert again["database"]["ok"]
    assert list(path.parent.glob("orchestra.db.damaged-*"))


def test_route_reads_a_file_and_prints_a_line_for_each_message(orchestra, tmp_path):
    file = tmp_path / "messages.jsonl"
    texts = [COLD_CALL, "outliers in the sales report", "launch timeline"]
    file.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    done = orchestra(
        "route", "--file", str(file), "--json", OPENAI_BASE_URL="http://127.0.0.1:9/v1"
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["text"], row["domain"], row["persona"]) for row in rows] == [
        (texts[0], "sales", "karen"),
        (texts[1], "data", "sophia"),
        (texts[2], "project", "karen"),
    ]
    assert all(0 <= row["confidence"] <= 1 and row["reason"] for row in rows)


def test_eval_routing_counts_what_was_right(orchestra, tmp_path):
    file = tmp_path / "expected.jsonl"
    rows = [
        {"text": COLD_CALL, "domain": "sales", "persona": "karen"},
        {"text": "launch timeline", "domain": "data", "persona": "karen"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    done = orchestra(
        "eval", "routing", str(file), "--json", OPENAI_BASE_URL="http://127.0.0.1:9/v1"
    )
    figures = json.loads(done.stdout)
    assert (figures["persona_accuracy"], figures["domain_accuracy"]) == (1.0, 0.5)
    assert figures["confusion"] == {"data": {"project": 1}, "sales": {"sales": 1}}
    assert set(figures["latency_ms"]) == {"p50", "p95"}


def test_eval_memory_reads_locomos_layout_and_stores_nothing(orchestra, tmp_path):
    turns = ["My cat is called Miso.", "I moved to Porto.", "I paint fences for a living."]
    dialogue = {
        "conversation": {
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [
                {"speaker": "Ana", "dia_id": f"D1:{number}", "text": text}
                for number, text in enumerate(turns, start=1)
            ],
        },
        "qa": [{"question": "What is the name of Ana's cat?", "evidence": ["D1:1"], "category": 1}],
    }
    file = tmp_path / "locomo.json"
    file.write_text(json.dumps([dialogue]))
    done = orchestra("eval", "memory", str(file), "--json", OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    figures = json.loads(done.stdout)
    assert (figures["recall_at_5"], figures["recall_at_10"], figures["questions"]) == (1.0, 1.0, 1)


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "said"),
    [
        (("ask", "hello"), {"ORCHESTRA_PORT": "eight"}, 2, "ORCHESTRA_PORT is 'eight'"),
        (("ask", ""), {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, 1, "The message is empty"),
        (("ask", COLD_CALL), {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, 1, "127.0.0.1:9"),
        (("route",), {}, 2, "Give a message or --file"),
        (("route", "--file", "nowhere.jsonl"), {}, 1, "nowhere.jsonl cannot be read"),
        (("memory", "forget"), {}, 2, "Say what to forget"),
        (("personas", "show", "zoe"), {}, 1, "Known: cherry, karen, sophia"),
        (("personas", "list"), {"ORCHESTRA_PERSONAS_DIR": "/nowhere"}, 1, "No persona in /nowhere"),
        (("serve", "--host", "10.0.0.1"), {}, 2, "ORCHESTRA_HOST is '10.0.0.1'"),
        (("personas", "reload"), {}, 2, "ORCHESTRA_ADMIN_TOKEN"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(orchestra, arguments, environment, code, said):
    done = orchestra(*arguments, **environment)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_misspelt_variable_is_pointed_out(orchestra):
    done = orchestra("personas", "list", ORCHESTRA_PERSONA_TTL="5")
    assert "did you mean ORCHESTRA_PERSONA_TTL_SECONDS?" in done.stderr


def test_personas_are_listed_shown_and_checked(orchestra, tmp_path):
    rows = json.loads(orchestra("personas", "list", "--json").stdout)
    assert set(rows[0]) == {"id", "name", "role", "domains", "revision", "source"}
    assert [row["id"] for row in rows] == ["cherry", "karen", "sophia"]
    shown = orchestra("personas", "show", "karen").stdout
    (tmp_path / "karen.md").write_text(shown)
    assert orchestra("personas", "check", str(tmp_path)).returncode == 0
    (tmp_path / "karen.md").write_text(shown.replace("formality: 0.2", "formality: 2"))
    checked = orchestra("personas", "check", str(tmp_path))
    assert checked.returncode == 1
    assert "traits.formality is 2" in checked.stdout


def test_accounts_are_added_listed_and_removed(orchestra):
    added = orchestra("users", "add", "anna", stdin="correct horse battery\n")
    assert added.returncode == 0, added.stderr
    assert added.stdout.startswith("orc-")
    assert json.loads(orchestra("users", "list", "--json").stdout) == ["anna"]
    assert orchestra("users", "remove", "anna").returncode == 0
    assert json.loads(orchestra("users", "list", "--json").stdout) == []
    assert orchestra("users", "add", "ben", stdin="short\n").returncode == 1
