"""Whom a message calls, and whether it has a subject at all."""

import pytest

from orchestra.routing.addressing import addressed, has_no_subject, refers_back
from orchestra.types.persona import Personas


@pytest.mark.parametrize(
    ("text", "called", "rest"),
    [
        ("@ben what now?", "ben", "what now?"),
        ("@Ben, what now?", "ben", "what now?"),
        ("  @BEN: what now?", "ben", "what now?"),
        ("Ben, what now?", "ben", "what now?"),
        ("ben: what now?", "ben", "what now?"),
        ("Hey Cleo, what now?", "cleo", "what now?"),
        ("Dear Ada,\nwhat now?", "ada", "what now?"),
        ("what now, @cleo", "cleo", "what now,"),
        ("what do you think @ada?", "ada", "what do you think ?"),
        ("@ben", "ben", "@ben"),
    ],
)
def test_a_call_by_name_is_found_and_taken_out(trio, text, called, rest):
    assert addressed(text, trio) == (called, rest)


@pytest.mark.parametrize(
    "text",
    [
        "Ben is late again",
        "Ben's plan, is it good?",
        "I met Ben, he was late",
        "write to x@ben.com",
        "@benjamin what now?",
        "Benjamin, what now?",
        "is this for Ada, or for Cleo?",
        "Hello there, what now?",
        "3,5 or 4",
        "",
    ],
)
def test_a_name_that_is_only_mentioned_is_no_call(trio, text):
    assert addressed(text, trio) is None


def test_a_persona_is_called_by_its_id_or_its_name(make_persona):
    personas = Personas(members=(make_persona("pr-lead", name="Zoë Ray"),), source="x")
    assert addressed("@pr-lead hi", personas) == ("pr-lead", "hi")
    assert addressed("Zoë Ray, hi", personas) == ("pr-lead", "hi")


def test_a_name_with_signs_is_not_read_as_a_pattern(make_persona):
    personas = Personas(members=(make_persona("dot", name="D.t"),), source="x")
    assert addressed("Dat, hi", personas) is None
    assert addressed("D.t, hi", personas) == ("dot", "hi")


def test_who_is_called_first_wins_over_who_is_mentioned_later(trio):
    assert addressed("@cleo compare this with @ben please", trio)[0] == "cleo"


def test_an_id_that_begins_with_anothers_id_is_told_apart(make_persona):
    personas = Personas(members=(make_persona("ann"), make_persona("ann-lee")), source="x")
    assert addressed("@ann-lee hi", personas) == ("ann-lee", "hi")


@pytest.mark.parametrize(
    "text",
    ["why?", "Make it shorter, please!", "ok", "thanks", "Tell me more", "and why is that?",
     "Let's go on", "Can you rephrase it in three points?", "hi"],
)  # fmt: skip
def test_a_message_of_fillers_alone_has_no_subject(text):
    assert has_no_subject(text)


@pytest.mark.parametrize(
    "text",
    ["Why are prices rising?", "make the budget shorter", "profit?", "hello Berlin",
     "what's our churn", " ".join(["again"] * 13)],
)  # fmt: skip
def test_one_telling_word_or_many_words_are_a_subject(text):
    assert not has_no_subject(text)


@pytest.mark.parametrize("text", ["Как увеличить прибыль?", "利益を増やすには", "كيف نزيد الأرباح"])
def test_a_message_in_another_script_has_a_subject(text):
    assert not has_no_subject(text)


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("and for them?", True),
        ("Shorter!", True),
        ("Is this legal in France?", True),
        ("Is a lottery legal in France?", False),
        ("it " * 12, True),
        ("it " * 13, False),
        ("items", False),
        ("", False),
    ],
)
def test_a_short_message_with_a_pointing_word_refers_back(text, back):
    assert refers_back(text) is back
