"""The traits in words: nine levels, and no edit of 0.13 goes unheard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.prompts.traits import (
    WORDINGS,
    behaviours,
    describe,
    description,
    introduction,
    level,
)
from orchestra.types.persona import Traits

MIDDLE = dict.fromkeys(Traits.model_fields, 0.5)


def traits(**scores):
    return Traits(**(MIDDLE | scores))


def test_every_trait_has_words_and_no_words_lack_a_trait():
    assert set(WORDINGS) == set(Traits.model_fields)


def test_one_trait_is_said_in_nine_ways():
    assert [describe("agreeableness", step / 8) for step in range(9)] == [
        "extremely blunt and demanding",
        "very blunt and demanding",
        "blunt and demanding",
        "a bit blunt and demanding",
        "neither blunt nor warm",
        "a bit warm and considerate",
        "warm and considerate",
        "very warm and considerate",
        "extremely warm and considerate",
    ]


@pytest.mark.parametrize("trait", list(WORDINGS))
def test_each_trait_has_nine_different_wordings(trait):
    assert len({describe(trait, step / 8) for step in range(9)}) == 9


@pytest.mark.parametrize("trait", list(WORDINGS))
def test_every_edit_of_thirteen_hundredths_changes_the_words(trait):
    for hundredths in range(88):
        low, high = hundredths / 100, (hundredths + 13) / 100
        assert describe(trait, low) != describe(trait, high), (low, high)


@pytest.mark.parametrize(
    ("score", "expected"),
    [(0, 0), (0.06, 0), (0.07, 1), (0.18, 1), (0.2, 2), (0.44, 4), (0.5, 4), (0.56, 4), (0.57, 5),
     (0.93, 7), (0.94, 8), (1, 8)],
)  # fmt: skip
def test_levels_change_half_way_between_eighths(score, expected):
    assert level(score) == expected


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_score_never_has_a_lower_level(one, other):
    low, high = sorted((one, other))
    assert 0 <= level(low) <= level(high) <= 8


def test_the_description_names_all_seven_in_the_order_of_the_wordings():
    said = description(traits(formality=1.0, neuroticism=0.0))
    assert said == (
        "You are extremely formal and polished; neither serious nor funny; neither reserved nor "
        "outgoing; neither blunt nor warm; neither spontaneous nor organised; neither "
        "conventional nor curious; extremely calm and steady."
    )


def test_behaviours_are_those_furthest_from_the_middle_strongest_first():
    assert behaviours(traits(humor=0.8, neuroticism=0.1, openness=0.95), 2) == [
        WORDINGS["openness"].high_behaviour,
        WORDINGS["neuroticism"].low_behaviour,
    ]


@pytest.mark.parametrize(("score", "count"), [(0.5, 0), (0.62, 0), (0.38, 0), (0.75, 1), (0.25, 1)])
def test_a_trait_near_the_middle_has_no_behaviour(score, count):
    assert len(behaviours(traits(humor=score), 7)) == count


def test_no_more_behaviours_are_said_than_asked_for():
    strong = Traits(**dict.fromkeys(Traits.model_fields, 1.0))
    assert len(behaviours(strong, 3)) == 3
    assert len(behaviours(strong, 7)) == 7


def test_a_written_voice_is_the_introduction(make_persona):
    persona = make_persona(voice="slow and plain.")
    assert introduction(persona) == "You are Mira, the Gardener: slow and plain."


def test_without_a_voice_the_introduction_is_derived_from_the_traits(make_persona):
    persona = make_persona(voice="", traits={"extraversion": 0.9, "humor": 0.0})
    assert introduction(persona) == (
        "You are Mira, the Gardener: very outgoing and energetic. You do not joke. "
        "You speak with energy and bring other people in."
    )


def test_a_derived_introduction_changes_with_a_strong_trait(make_persona):
    calm = introduction(make_persona(voice="", traits={"neuroticism": 0.1}))
    anxious = introduction(make_persona(voice="", traits={"neuroticism": 0.9}))
    assert calm != anxious
    assert "You worry aloud about what could go wrong." in anxious
