"""Graded replies, and the pairs that the embedded voices learn sense from."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from orchestra.lab.questions import QUESTIONS
from orchestra.lab.questions import TALK as LAB_TALK
from voice import reward, train
from voice.dialogues import DIALOGUES, read_dialogues
from voice.graded import (
    Drawn,
    Graded,
    faithful_preferences,
    own_voice,
    preferences,
    read_graded,
    read_preferences,
)
from voice.preferring import Choice, go, likelihoods, prefer
from voice.reward import rewarded_preferences
from voice.samples import messages
from voice.tokens import Tokens, packed
from voice.train import FOLDER, Round, settle


@pytest.fixture(scope="module")
def dialogues():
    return read_dialogues(DIALOGUES)


def pairs(dialogues, replies, grades, persona_id="sophia"):
    graded = Graded(persona_id, "How do we start?", tuple(replies), tuple(grades))
    return [(one.better.reply, one.worse.reply) for one in preferences([graded], dialogues)]


def test_what_is_of_use_is_preferred_to_what_is_not(dialogues):
    found = pairs(dialogues, ["Nonsense.", "Poor.", "Good."], [0, 1, 3])
    assert found == [("Good.", "Nonsense."), ("Good.", "Poor.")]


def test_no_reply_is_better_than_more_than_two(dialogues):
    found = pairs(dialogues, ["A one.", "A two.", "A three.", "A four."], [0, 0, 0, 3])
    assert [better for better, _ in found] == ["A four."] * 2


def test_no_reply_is_worse_than_two_others(dialogues):
    found = pairs(dialogues, ["A one.", "A two.", "A three.", "A four."], [3, 3, 3, 0])
    assert [worse for _, worse in found].count("A four.") == 1


def test_of_what_is_of_no_use_one_pair_is_enough(dialogues):
    assert len(pairs(dialogues, ["A one.", "A two.", "A three.", "A four."], [1, 1, 0, 0])) == 1
    assert pairs(dialogues, ["A one.", "A two."], [1, 1]) == []


def test_of_two_replies_of_use_the_one_in_the_personas_own_words_is_preferred(dialogues):
    own = "I would begin with a small test, and it may show whether the evidence is strong enough."
    other = "I would begin with a list, then give each priority one name and decide by Friday."
    assert pairs(dialogues, [other, own], [2, 2], "sophia") == [(own, other)]
    assert pairs(dialogues, [other, own], [2, 2], "cherry") == [(other, own)]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"grades": [1]}, "2 replies have 1 grades"),
        ({"grades": [1, 4]}, r"grades\.1: Input should be 0, 1, 2 or 3"),
        ({"grades": None}, "grades: Input should be a valid array"),
        ({"message": 3}, "message: Input should be a valid string"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path, changed, problem):
    path = tmp_path / "graded.jsonl"
    good = {"persona": "karen", "message": "Why?", "replies": ["So.", "Or so."], "grades": [1, 2]}
    path.write_text(f"{json.dumps(good)}\n{json.dumps(good | changed)}", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"graded\.jsonl, line 2: {problem}"):
        read_graded(path)


def test_replies_that_have_yet_to_be_graded_are_no_round(tmp_path, monkeypatch, capsys):
    path = tmp_path / "graded.jsonl"
    line = {"persona": "karen", "message": "Why?", "replies": ["So.", "Or so."], "grades": [1, 1]}
    path.write_text(json.dumps(line), encoding="utf-8")
    words = ["train", "--out", tmp_path / "new.gguf", "--graded", path]
    monkeypatch.setattr("sys.argv", [str(word) for word in words])
    with pytest.raises(SystemExit):
        train.main()
    assert "graded.jsonl: no reply in it is clearly better" in capsys.readouterr().err


@pytest.mark.parametrize("path", reward.GRADED, ids=lambda path: path.name)
def test_what_was_graded_was_not_asked_by_the_lab(path):
    graded = read_graded(path)
    assert {one.message for one in graded}.isdisjoint((*QUESTIONS, *LAB_TALK))
    assert {one.persona for one in graded} == {"cherry", "sophia", "karen"}


@pytest.mark.parametrize(
    "path", [path for one in train.ROUNDS for path in one.graded], ids=lambda path: path.name
)
def test_what_a_round_learns_from_was_asked_in_training(path, dialogues):
    graded = read_graded(path)
    assert {one.message for one in graded} <= {one.message for one in dialogues}
    chosen = preferences(graded, dialogues)
    assert len(chosen) > len(graded)
    assert {one.persona_id for one in chosen} == {"cherry", "sophia", "karen"}


def test_what_the_reward_has_chosen_was_not_asked_by_the_lab():
    (path,) = train.ROUNDS[-1].preferred
    chosen = read_preferences(path)
    assert {one.better.message for one in chosen}.isdisjoint((*QUESTIONS, *LAB_TALK))
    assert {one.persona_id for one in chosen} == {"cherry", "sophia", "karen"}
    assert train.ROUNDS[-1].pairs(()) == chosen


def rewarded(replies, scores, own=None, message="How do we start a shop?"):
    """The pairs of one message; everything is as near to it."""
    count = len(replies)
    drawn = [Drawn("sophia", message, tuple(f"{reply} {REST}" for reply in replies))]
    whose = np.array(own or [0.9] * count)
    found = rewarded_preferences(drawn, [scores], [whose], [np.zeros(count)])
    return [(one.better.reply, one.worse.reply) for one in found]


REST = "and then find out what a small shop near the station would cost."


def test_the_reply_of_most_reward_is_preferred_to_that_of_least():
    found = rewarded(["Ask around", "Sleep", "Count heads", "Wait"], [0.5, -1.0, 1.0, -0.5])
    assert found == [
        (f"Count heads {REST}", f"Sleep {REST}"),
        (f"Ask around {REST}", f"Wait {REST}"),
    ]


def test_replies_of_about_the_same_reward_make_no_pair():
    assert rewarded(["Ask around", "Sleep"], [0.5, 0.3]) == []


def test_a_reply_less_its_personas_than_the_worse_is_not_preferred():
    assert rewarded(["Ask around", "Sleep"], [1.0, -1.0], own=[0.6, 0.9]) == []
    assert rewarded(["Ask around", "Sleep"], [1.0, -1.0], own=[0.4, 0.4]) == []
    assert len(rewarded(["Ask around", "Sleep"], [1.0, -1.0], own=[0.88, 0.9])) == 1


@pytest.mark.parametrize(
    "fault",
    ["Pay 300", "I'll tell you", "ask around", "Ask around now. Ask around now. Ask around now."],
)
def test_no_reward_makes_up_for_a_plain_fault(fault):
    assert rewarded([fault, "Sleep"], [1.0, -1.0]) == []
    assert len(rewarded([fault, "Sleep"], [-1.0, 1.0])) == 1


def test_a_figure_that_was_given_may_be_said():
    assert len(rewarded(["Pay 300", "Sleep"], [1.0, -1.0], message="Is 300 for a shop fair?")) == 1


def test_a_pair_that_is_none_is_named(tmp_path):
    path = tmp_path / "preferred.jsonl"
    path.write_text('{"persona": "karen", "message": "Why?", "better": "So."}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"preferred\.jsonl, line 1: worse: Field required"):
        read_preferences(path)


class Tiny(torch.nn.Module):
    """A model of eight tokens in the place of the real one: each token is guessed from the last."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Parameter(torch.zeros(8, 8))

    @property
    def model(self):
        return self

    def get_base_model(self):
        return self

    def forward(self, input_ids, attention_mask, position_ids):
        del attention_mask, position_ids
        self.last_hidden_state = torch.nn.functional.one_hot(input_ids, 8).float()
        return self

    def lm_head(self, hidden):
        return hidden @ self.table

    def likelihood(self, tokens):
        with torch.no_grad():
            return self.table.log_softmax(-1)[tokens[:-1], tokens[1:]].sum().item()


def test_each_reply_in_a_batch_has_its_own_likelihood_and_length():
    model = Tiny()
    torch.nn.init.normal_(model.table, generator=torch.Generator().manual_seed(1))
    rows = [
        [Tokens((0,), (1,), (2, 3)), Tokens((0,), (1,), (4, 5, 6))],
        [Tokens((0,), (7, 1), (3, 3, 2, 6))],
    ]
    found, lengths = likelihoods(model, packed(rows))
    assert lengths.tolist() == [2, 3, 4]
    expected = map(model.likelihood, ([1, 2, 3], [1, 4, 5, 6], [1, 3, 3, 2, 6]))
    assert found.tolist() == pytest.approx(list(expected))


def test_the_better_reply_becomes_likelier_than_the_worse(capsys):
    model = Tiny()
    better, worse = [1, 2, 3], [1, 4, 5]
    before = model.likelihood(better) - model.likelihood(worse)
    choices = [
        Choice(who, Tokens((0,), (1,), (2, 3)), Tokens((0,), (1,), (4, 5)))
        for who in ("cherry", "sophia", "karen")
    ]
    go(model, prefer(model, choices, epochs=20), 1)
    assert model.likelihood(better) - model.likelihood(worse) > before
    assert "step 20 of 20: 0.950 of pairs preferred rightly" in capsys.readouterr().out


def test_half_of_the_way_is_half_of_the_way():
    choices = [
        Choice(who, Tokens((0,), (1,), (2, 3)), Tokens((0,), (1,), (4, 5)))
        for who in ("cherry", "sophia", "karen")
    ]
    model = Tiny()
    way = prefer(model, choices)
    assert model.table.abs().sum() == 0
    (change,) = way
    assert change.abs().sum() > 0
    go(model, way, 0.5)
    assert torch.allclose(model.table, change / 2)
    go(model, way, -0.5)
    assert torch.allclose(model.table, torch.zeros(8, 8))


def test_the_faithful_pairs_are_of_more_sense_and_no_less_the_personas_own():
    """Of two sensible replies of each, one is in its own words, and one in those of everybody."""
    own = {"cherry": "decide choose cut plan", "sophia": "count test measure data"}
    own["karen"] = "call lunch chat smile"
    graded = []
    for number in range(16):
        for who, words in own.items():
            said = (f"{words} for a start", "look at it for a start", f"{words} but oddly")
            replies = tuple(f"now then so yes well {text} {number}" for text in said)
            graded.append(Graded(who, f"Message {number}?", replies, (2, 2, 0)))
    found = faithful_preferences(graded)
    assert len(found) == 2 * len(graded)
    for one in found:
        assert f"{own[one.persona_id]} for a start" in one.better.reply


def test_a_round_learns_from_all_its_files(tmp_path):
    first, second = (tmp_path / name for name in ("first.jsonl", "second.jsonl"))
    lines = (FOLDER / "graded-4.jsonl").read_text("utf-8").splitlines()
    first.write_text("\n".join(lines[:60]), encoding="utf-8")
    second.write_text("\n".join(lines[60:120]), encoding="utf-8")
    both = Round((first, second), faithful=True).pairs(())
    assert {one.better.message for one in both} > {json.loads(lines[0])["message"]}
    each = [Round((path,), faithful=True).pairs(()) for path in (first, second)]
    assert both == [*each[0], *each[1]]
    assert len(each[1]) > 60
    first.write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"first\.jsonl, line 1: persona"):
        Round((first,)).pairs(())


def test_everything_that_was_graded_or_chosen_is_learned_from():
    learned = {path for one in train.ROUNDS for path in (*one.graded, *one.preferred)}
    assert learned | set(reward.GRADED) == set(FOLDER.glob("*.jsonl"))
    assert {path.name for path in reward.GRADED} >= set(reward.LENIENT)


def test_rounds_end_where_they_are_kept():
    model, way = Tiny(), [torch.ones(8, 8)]
    go(model, way, 0.35)
    settle(model, [(Round(onward=0.35, kept=0.5), way)])
    assert torch.allclose(model.table, torch.full((8, 8), 0.5))


def test_how_surely_a_reply_is_its_personas_is_told_from_the_replies_to_other_messages():
    own = {"cherry": "decide choose cut plan", "sophia": "count test measure data"}
    drawn = [
        Drawn(who, f"Message {number}?", (f"now then so yes well {words} {number}", "now then so"))
        for number in range(16)
        for who, words in own.items()
    ]
    for rows in own_voice(drawn):
        assert rows[0] > 0.8
        assert rows[1] == pytest.approx(0.5, abs=0.2)


def test_messages_that_were_graded_may_be_asked_again(dialogues):
    plain, more = messages(dialogues), messages(dialogues, ["A new one?", "A new one?"])
    assert set(more) - set(plain) == {"A new one?"}
    assert len(more) == len(plain) + 1
