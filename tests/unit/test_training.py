"""What the embedded voices are trained with, and how they are rated."""

from __future__ import annotations

import json

import pytest
import torch

from orchestra.lab.questions import QUESTIONS
from orchestra.lab.questions import TALK as LAB_TALK
from voice import rating
from voice.dialogues import DIALOGUES, asked, read_dialogues, shipped_personas
from voice.tokens import Tokens, packed
from voice.train import parted

TALK = """\
Q: Our newsletter is hardly read. What now?
C: Cut it to one subject.
S: I would ask readers first.
K: Call three readers!

F: Why?
C: One subject is read.
S: They may know.
K: They'll tell you!

M: We cut the newsletter as you said.
C: Good. Look at it in a month.
S: The next issue should show it.
K: Yay, now thank the readers!
"""


@pytest.fixture
async def seed_personas():
    return await shipped_personas()


@pytest.fixture
def talk(tmp_path):
    path = tmp_path / "talk.txt"
    path.write_text(TALK, encoding="utf-8")
    return read_dialogues(path)


def turns_of(talk, kind, persona_id, personas):
    (one,) = (one for one in talk if one.kind == kind and one.persona_id == persona_id)
    return [(turn.role, turn.content) for turn in asked(one, personas)]


def test_a_dialogue_is_asked_as_the_product_asks(talk, seed_personas):
    opening = turns_of(talk, "Q", "karen", seed_personas)
    assert [role for role, _ in opening] == ["system", "user"]
    assert opening[0][1].startswith("You are Karen, the Sales and Marketing Orchestrator: warm")
    assert opening[1][1] == "Our newsletter is hardly read. What now?"


def test_what_was_said_before_is_each_personas_own(talk, seed_personas):
    _, before, said, asks = turns_of(talk, "F", "sophia", seed_personas)
    assert before == ("user", "Our newsletter is hardly read. What now?")
    assert said == ("assistant", "I would ask readers first.")
    assert asks == ("user", "Why?")
    _, before, said, asks = turns_of(talk, "M", "cherry", seed_personas)
    assert (said, asks[1]) == (
        ("assistant", "Cut it to one subject."),
        "We cut the newsletter as you said.",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Q: Why?\nC: So.\nK: So!", "talk.txt, block 1: the lines should start with"),
        ("F: Why?\nC: So.\nS: So.\nK: So!", "talk.txt, block 1: F follows no Q"),
    ],
)
def test_a_block_that_is_none_is_named(tmp_path, text, problem):
    path = tmp_path / "talk.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=problem):
        read_dialogues(path)


def test_the_dialogues_are_of_use_and_none_asks_what_the_lab_asks():
    dialogues = read_dialogues(DIALOGUES)
    taught, held_out = parted(dialogues)
    assert len(taught) + len(held_out) == len(dialogues)
    assert {one.opening for one in taught}.isdisjoint(one.opening for one in held_out)
    assert {one.message for one in dialogues}.isdisjoint((*QUESTIONS, *LAB_TALK))
    for one in dialogues:
        assert one.reply.rstrip("\"'").endswith((".", "!", "?")), one
        assert not any(name in one.reply for name in ("Cherry", "Sophia", "Karen")), one
        assert ("!" in one.reply) == (one.persona_id == "karen"), one


def test_dialogues_in_a_row_see_their_system_line_and_themselves():
    row = [Tokens((1, 2), (3, 4), (5, 6)), Tokens((1, 2), (7,), (8, 9, 10))]
    batch = packed([row, row[:1]])
    assert batch.tokens[0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert batch.positions[0].tolist() == [0, 1, 2, 3, 4, 5, 2, 3, 4, 5]
    assert batch.targets[0].tolist() == [-100, -100, -100, 5, 6, -100, 8, 9, 10, -100]
    assert batch.targets[1].tolist() == [-100, -100, -100, 5, 6, -100, *[-100] * 4]
    seen = {place: torch.nonzero(batch.sees[0, 0, place]).flatten().tolist() for place in (1, 4, 8)}
    assert seen == {1: [0, 1], 4: [0, 1, 2, 3, 4], 8: [0, 1, 6, 7, 8]}


def test_a_sheet_says_nothing_of_who_wrote_it_and_its_key_does(tmp_path, monkeypatch, capsys):
    for arm in ("new", "old"):
        folder = tmp_path / arm
        folder.mkdir()
        lines = [
            {"part": part, "persona_id": who, "question": question, "reply": f"{arm} {part} {who}"}
            for question in ("Why?", "How?", "When?")
            for part, who in (("first", "karen"), ("again", "karen"), ("control", "copy-1"))
        ]
        text = "\n".join(json.dumps(line) for line in lines)
        (folder / "replies.jsonl").write_text(text, encoding="utf-8")
    sheet = tmp_path / "sheet.jsonl"
    arms = [f"--arm={arm}={tmp_path / arm}" for arm in ("new", "old")]
    words = ["rating", "sheet", *arms, "--questions", "2", "--out", str(sheet)]
    monkeypatch.setattr("sys.argv", words)
    rating.main()
    shown = [json.loads(line) for line in sheet.read_text("utf-8").splitlines()]
    assert all(set(line) == {"id", "question", "reply"} for line in shown)
    assert len(shown) == 2 * 3  # two arms and nobody, two questions
    verdicts = tmp_path / "verdicts.jsonl"
    said = (json.dumps({"id": one["id"], "usable": "new" in one["reply"]}) for one in shown)
    verdicts.write_text("\n".join(said), encoding="utf-8")
    words = ["rating", "score", str(sheet.with_suffix(".key.json")), str(verdicts)]
    monkeypatch.setattr("sys.argv", words)
    rating.main()
    counted = capsys.readouterr().out
    assert "new          karen         2 of    2  100%" in counted
    assert "old          all           0 of    2  0%" in counted
