"""The lab's parts, each on texts of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from orchestra.cli import app
from orchestra.errors import EvaluationError
from orchestra.lab import hygiene
from orchestra.lab.distinctiveness import attributed, p_value, separation, share, slope
from orchestra.lab.expression import markers, strengths
from orchestra.lab.features import kernels
from orchestra.lab.gate import gate, told
from orchestra.lab.questions import QUESTIONS, TALK
from orchestra.lab.redaction import hard_masked, redacted
from orchestra.lab.report import as_json
from orchestra.lab.verdict import bars_of
from orchestra.types.lab import Bar, Hygiene, Interval, Metrics, PersonaFigures, Sample
from orchestra.types.persona import Example, Personas


def said(reply, question="How are we doing?", **more):
    values = {"part": "first", "persona_id": "ben", "question": question, "place": 0}
    return Sample(**values, reply=reply, **more)


@pytest.mark.parametrize(
    ("reply", "left"),
    [
        ("Hi there! Call them today.", "Call them today."),
        ("Good morning. Call them today.", "Call them today."),
        ("Dear customer, please call us.", "please call us."),
        ("I'm Ben and I love this. Call them today!", "Call them today!"),
        ("As an AI, I do not eat. Call them.", "Call them."),
        ("Call them. I am a strategist by trade.", "Call them."),
        ("Ask Cleo for the figures. Then decide.", "Then decide."),
        ("Highly unlikely. Wait.", "Highly unlikely. Wait."),
        ("Ben", "…"),
        ("I once closed a deal in a lift, so call them today!", "…, so call them today!"),
        ("As an AI, I would call them.", "…, I would call them."),
        ("As your strategist I would wait. Then act.", "Then act."),
        ("I'm a researcher by trade and would count first.", "… and would count first."),
    ],
)
def test_what_gives_a_writer_away_is_taken_out(trio, reply, left):
    assert redacted(reply, trio) == left


@pytest.fixture
def hive(make_persona):
    """Three personas whose roles have a word in common."""
    roles = {"ada": "Queen Bee Orchestrator", "ben": "Sales and Marketing Orchestrator"}
    roles["cleo"] = "Research Orchestrator"
    members = tuple(make_persona(who, role=role) for who, role in roles.items())
    return Personas(members=members, source="by hand")


@pytest.mark.parametrize(
    ("reply", "left"),
    [
        ("Your Queen Bee says: wait. Then act.", "Then act."),
        ("Let the queen bee orchestrator decide. Then act.", "Then act."),
        ("_Ben_ would call them. Then act.", "Then act."),
        ("As *your __queen bee__* I say no. Then act.", "Then act."),
        ("I once closed a deal in a lift! Call them.", "Call them."),
        ("I've spent my life on a bicycle. Call them.", "Call them."),
        ("In my eleven years in a statistics department, few asked. Count.", "Count."),
        ("Do your research. Sales come later.", "Do your research. Sales come later."),
        ("I once more say no. In my view it pays.", "I once more say no. In my view it pays."),
        ("Ask Benjamin or the bees.", "Ask Benjamin or the bees."),
    ],
)
def test_parts_of_roles_marked_names_and_life_stories_are_taken_out(hive, reply, left):
    assert redacted(reply, hive) == left


def test_two_of_many_who_are_alike_are_not_distinct():
    """Three who are told right always and twins told right half of the time: 80 % in the mean."""
    sure = [Interval(value=1.0, low=0.9, high=1.0)] * 3
    twin = Interval(value=0.5, low=0.35, high=0.65)
    good, nobody = Interval(value=0.8, low=0.75, high=0.85), Interval(value=0.2, low=0.1, high=0.3)
    alike = bars_of(good, 0.002, [*sure, twin, twin], good, good, nobody)
    assert [bar.name for bar in alike if not bar.passed] == [
        "Each one told right, the least of them"
    ]
    assert all(bar.passed for bar in bars_of(good, 0.002, sure, good, good, nobody))


def test_of_two_the_words_alone_must_tell_more_than_a_coin_does():
    sure = [Interval(value=0.9, low=0.8, high=1.0)] * 2
    good, barely = sure[0], Interval(value=0.6, low=0.48, high=0.72)
    nobody = Interval(value=0.3, low=0.2, high=0.4)
    found = bars_of(good, 0.002, sure, barely, good, nobody)
    assert [bar.needed for bar in found if not bar.passed] == [
        "at least 60 %, the interval above the 50 % of guessing"
    ]


def test_the_hard_mask_leaves_words_alone():
    (text,) = hard_masked(["One two three four five, I can't SAY it isn't Bob's!"])
    assert text == "i can not say it is not bob is"


def test_the_hard_mask_takes_what_several_replies_share():
    replies = [f"Word after word came by {one}. Coffee time! The end of {one}." for one in "abc"]
    assert not any("coffee" in text for text in hard_masked(replies))
    replies = [f"a b c d e {one} as they all say so {one}" for one in ("x", "y", "z")]
    assert hard_masked(replies) == ["x x", "y y", "z z"]
    assert hard_masked(["Same words for every question here."] * 3) == ["", "", ""]


@pytest.mark.parametrize(
    ("sample", "invented"),
    [
        (said("Sell 20 % more."), True),
        (said("It costs $5."), True),
        (said("Take all 12 of them.", "What about the 12 chairs?"), False),
        (said("1. Call.\n2. Write."), False),
        (said("Call them twice."), False),
    ],
)
def test_figures_that_nobody_gave_are_noticed(sample, invented):
    assert hygiene.invents_figures(sample) is invented


def test_names_loops_cuts_placeholders_and_copies_are_counted(trio):
    ben = trio.get("ben").model_copy(
        update={
            "examples": (Example(message="Q", reply="One two three four five six seven eight."),)
        }
    )
    personas = trio.model_copy(
        update={"members": tuple(ben if one.id == "ben" else one for one in trio.members)}
    )
    samples = [
        said("Cleo knows."),
        said("Cleo knows.", "What does Cleo know?"),
        said("Ben here."),
        said("No, no, no, no, no."),
        said("And then we", finished=False),
        said("Dear [customer name]."),
        said("He said one two three four five six seven eight nine."),
        said("All is well."),
    ]
    found = hygiene.hygiene(samples, personas)
    assert found == Hygiene(
        other_names=0.125,
        own_name=0.125,
        invented_figures=0,
        cut_off=0.125,
        loops=0.125,
        placeholders=0.125,
        copies=0.125,
    )


def test_markers_tell_a_warm_text_from_a_careful_one():
    warm = markers("Oh, let's call our lovely customers! They'll love it!")
    careful = markers("The evidence may suggest a test. We might measure it first.")
    assert warm["exclamation"] == 1
    assert warm["contraction"] > 0 == careful["contraction"]
    assert warm["warm"] > careful["warm"]
    assert careful["hedge"] > warm["hedge"]
    assert markers("")["word_length"] == 0


def replies(voices, questions=30, seed=3):
    """Texts of a few made-up voices, who wrote each, and to what."""
    numbers = np.random.default_rng(seed)
    texts, truth, asked = [], [], []
    for question in range(questions):
        for writer, words in enumerate(voices):
            texts.append(" ".join(numbers.choice(words.split(), size=12)))
            truth.append(writer)
            asked.append(question)
    return texts, np.array(truth), np.array(asked)


def plain_vectors(texts):
    return np.ones((len(texts), 4))


VOICES = (
    "the plan goal owner date decide first stop list name order",
    "perhaps may evidence test measure sample seems likely compare ask",
    "oh love hey chat coffee fun folks smile yay party",
)


def test_voices_are_told_apart_by_a_judge_who_never_saw_the_question():
    texts, truth, asked = replies(VOICES)
    kernel = kernels(texts, plain_vectors(texts))
    told = attributed(kernel, truth, asked)
    assert told.accuracy().value == 1
    assert p_value(kernel, truth, asked) == pytest.approx(1 / 501)
    assert told.confusion(["a", "b", "c"])["b"] == {"a": 0, "b": 30, "c": 0}


@pytest.mark.parametrize("text", ["", "The same words for everybody."])
def test_texts_that_are_equal_are_not_told_apart_by_rounding(text):
    numbers = np.random.default_rng(4)
    vector = numbers.normal(size=384)
    vectors = np.tile(vector / np.linalg.norm(vector), (72, 1))
    vectors += numbers.normal(scale=1e-9, size=vectors.shape)  # as sums in another order have it
    kernel = kernels([text] * 72, vectors)
    assert np.abs(kernel).max() < 1e-9


def test_one_voice_is_not_told_apart_from_itself():
    texts, truth, asked = replies((VOICES[0],) * 3)
    kernel = kernels(texts, plain_vectors(texts))
    found = attributed(kernel, truth, asked).accuracy()
    assert found.low <= 1 / 3 <= found.high
    assert p_value(kernel, truth, asked) > 0.01


def test_the_closed_form_is_what_leaving_a_question_out_gives():
    texts, truth, asked = replies(VOICES, questions=6)
    kernel = kernels(texts, plain_vectors(texts))
    quick = attributed(kernel, truth, asked).scores
    labels = (truth[:, None] == np.arange(3)).astype(float)
    labels -= labels.mean(axis=0)
    for question in range(6):
        out = asked == question
        inner = kernel[np.ix_(~out, ~out)] + 0.5 * np.eye((~out).sum())
        slow = kernel[np.ix_(out, ~out)] @ np.linalg.solve(inner, labels[~out])
        assert quick[out] == pytest.approx(slow, abs=1e-9)


def test_distances_between_voices_count_in_distances_of_a_voice_from_itself():
    numbers = np.random.default_rng(1)
    truth = np.tile([0, 1], 40)
    asked = np.repeat(np.arange(20), 4)
    rounds = np.tile([0, 0, 1, 1], 20)
    noise = numbers.normal(size=(80, 6))
    assert separation(noise @ noise.T, truth, asked, rounds) == pytest.approx(1, abs=0.3)
    apart = noise + 5 * truth[:, None]
    ratio = separation(apart @ apart.T, truth, asked, rounds)
    assert ratio is not None
    assert ratio > 5


def test_without_a_distance_of_a_voice_from_itself_there_is_nothing_to_count_in():
    truth = np.tile([0, 1], 40)
    rounds = np.tile([0, 0, 1, 1], 20)
    said = np.array([[0.1, 0.7], [0.6, 0.2]])[truth]
    assert separation(said @ said.T, truth, np.repeat(np.arange(20), 4), rounds) is None


def test_intervals_hold_what_they_are_of():
    right = np.array([1.0] * 30 + [0.0] * 10)
    found = share(right, np.arange(40))
    assert found.low < found.value == 0.75 < found.high
    level = slope(np.array([0.5, 0.4, 0.6, 0.5, 0.5, 0.4, 0.6, 0.5]))
    assert level.low <= 0 <= level.high
    falling = slope(np.linspace(1, 0, 16))
    assert falling.high < 0


def figures(share_of_karen, model="m", *, masked=0.9):
    def sure(value):
        return Interval(value=value, low=value - 0.05, high=min(1, value + 0.05))

    def one(name, value):
        return PersonaFigures(
            name=name,
            revision="r",
            wording=name,
            attribution=sure(value),
            on_character=None,
            self_agreement=None,
            median_words=30,
            median_seconds=1,
            markers={},
        )

    return Metrics(
        model=model,
        questions=40,
        replies=360,
        chance=0.3333,
        attribution_accuracy=0.9,
        ci95=(0.85, 0.95),
        p_value=0.002,
        hard_masked=sure(masked),
        on_character=None,
        question_id=sure(0.9),
        joint=0.8,
        separation_ratio=2,
        control_accuracy=0.33,
        control_ci95=(0.25, 0.4),
        confusion={},
        hygiene=Hygiene(
            other_names=0,
            own_name=0,
            invented_figures=0,
            cut_off=0,
            loops=0,
            placeholders=0,
            copies=0,
        ),
        trait_readback={},
        per_persona={"cherry": one("Cherry", 0.9), "karen": one("Karen", share_of_karen)},
        bars=(Bar(name="Masked", value=masked, needed="60 %", passed=masked >= 0.6),),
        distinct=masked >= 0.6,
    )


def test_the_gate_lets_noise_pass_and_stops_a_real_drop():
    assert gate(figures(0.9), figures(0.9)).passed
    assert gate(figures(0.9), figures(0.84)).passed
    assert gate(figures(0.9), figures(1)).passed
    stopped = gate(figures(0.9), figures(0.5))
    assert not stopped.passed
    assert [(drop.who, drop.what) for drop in stopped.drops] == [("Karen", "told to be itself")]


def test_the_gate_stops_voices_that_are_set_phrases():
    verdict = gate(figures(0.9, masked=0.9), figures(0.9, masked=0.6))
    assert [(drop.who, drop.what) for drop in verdict.drops] == [("all", "told apart, masked")]


def with_examples(metrics, shares):
    """The same, with how much each sounds like its examples."""
    sure = {
        key: Interval(value=share, low=share, high=share) if share is not None else None
        for key, share in shares.items()
    }
    people = {
        key: one.model_copy(update={"on_character": sure[key]})
        for key, one in metrics.per_persona.items()
    }
    return metrics.model_copy(update={"per_persona": people})


def standing(metrics, karen):
    """The same, with how strong Karen's manner is."""
    people = dict(metrics.per_persona)
    sure = Interval(value=karen, low=karen - 0.05, high=karen + 0.08)
    people["karen"] = people["karen"].model_copy(update={"strength": sure})
    return metrics.model_copy(update={"per_persona": people})


def test_the_gate_stops_a_voice_that_is_told_right_but_half_as_strong():
    before = standing(figures(0.9), 0.92)
    assert gate(before, standing(figures(0.9), 0.86)).passed
    verdict = gate(before, standing(figures(0.9), 0.46))
    assert [told(drop) for drop in verdict.drops] == [
        "Karen: strength of its manner, 0.92 before, 0.46 now"
    ]
    assert gate(figures(0.9), standing(figures(0.9), 0.46)).passed  # not measured before


def test_a_voice_is_strong_by_degrees():
    plain, loud = "Plan the week and set a date.", "Oh wow, let's chat! You'll love it!"

    def strength(*replies):
        people = {"karen": replies, "sophia": [loud] * 12}
        return strengths(people, [[plain, plain]] * 12)["karen"]

    assert strength(*[plain] * 12).value == 0
    mixed = strength(*[loud] * 6, *[plain] * 6)
    assert 0 < mixed.low < mixed.value < mixed.high
    assert mixed.value == pytest.approx(strength(*[loud] * 12).value / 2, rel=0.2)


def test_the_gate_tells_of_examples_that_were_taken_away():
    before = with_examples(figures(0.9), {"cherry": None, "karen": 0.95})
    verdict = gate(before, figures(0.9))
    assert not verdict.passed
    assert [told(drop) for drop in verdict.drops] == [
        "Karen: sounds like its examples, 95% before, too few examples to tell now"
    ]
    assert gate(figures(0.9), before).passed  # what was not measured before cannot fall


def test_the_gate_compares_runs_of_the_same_questions_only():
    before, after = figures(0.9), figures(0.9)
    before = before.model_copy(update={"asked": tuple("abcdef"), "questions": 6})
    same = after.model_copy(update={"asked": tuple("fedcba"), "questions": 6})
    assert gate(before, same).passed
    part = after.model_copy(update={"asked": tuple("abcde"), "questions": 5})
    with pytest.raises(EvaluationError, match=r"same questions \(6 in the baseline, 5 in this run"):
        gate(before, part)
    assert gate(before, part, in_part=True).passed
    other = after.model_copy(update={"asked": tuple("abcdeX"), "questions": 6})
    for in_part in (False, True):
        with pytest.raises(EvaluationError, match="did not ask the same questions"):
            gate(before, other, in_part=in_part)


def test_figures_without_end_are_no_json():
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json(figures(0.9).model_copy(update={"separation_ratio": float("inf")}))


def test_the_questions_are_many_and_each_is_asked_once():
    assert len(set(QUESTIONS)) == 40
    assert len(set(TALK)) == 16


@pytest.fixture
def gated(tmp_path):
    """Run `lab gate` on two files; returns exit code, output, error."""

    def run(baseline, now):
        for name, content in (("a.json", baseline), ("b.json", now)):
            if content is not None:
                text = content if isinstance(content, str) else content.model_dump_json()
                (tmp_path / name).write_text(text, encoding="utf-8")
        paths = ["--baseline", str(tmp_path / "a.json"), "--now", str(tmp_path / "b.json")]
        return CliRunner().invoke(app, ["lab", "gate", *paths])

    return run


def test_the_gates_command_says_who_lost_what_and_fails(gated):
    done = gated(figures(0.9), figures(0.5))
    assert done.exit_code == 1
    assert "FAILED" in done.stdout
    assert "Karen: told to be itself, 90% before, 50% now" in done.stdout
    passed = gated(figures(0.9), figures(0.9))
    assert (passed.exit_code, passed.stdout.split(";")[0]) == (0, "PASSED")


@pytest.mark.parametrize(
    ("baseline", "told"),
    [(None, "cannot be read"), ("{}", "is no metrics.json"), ("Hi", "is no metrics.json")],
)
def test_a_gate_without_a_baseline_is_an_error(gated, baseline, told):
    done = gated(baseline, figures(0.9))
    assert isinstance(done.exception, EvaluationError)
    assert told in str(done.exception)
