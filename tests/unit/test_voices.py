"""The rules that a small model's reply is checked against."""

import pytest

from orchestra.llm.voices import defect, whole_sentences
from orchestra.types.conversation import Guard

ASKED = Guard(question="How do I raise prices?", forbidden_names=("Sophia", "Cherry"))


@pytest.mark.parametrize(
    ("reply", "wrong"),
    [
        ("Raise your prices in small steps.", None),
        ("Pricing is raised best in spring.", None),
        ("", "empty"),
        (" \n\t", "empty"),
        ("Raise the price. Raise the price. Raise the price.", "loop"),
        ("price price price price price", "loop"),
        ("Raise the price. Raise the price. Then wait.", None),
        ("Ask Sophia about your prices.", "name"),
        ("I am Cherry, and prices matter.", "name"),
        ("A cherry on the prices.", None),
        ("Sophias prices rise.", None),
        ("Shit, prices again.", "coarse"),
        ("The shitty prices.", "coarse"),
        ("A cocktail has its price.", None),
        ("I like turtles.", "off topic"),
        ("What would you do about them?", "off topic"),
        ("Ask what they pay, and I'll tell you about prices!", "promise"),
        ("Let me find your price.", "promise"),
        ("Let me tell you! Prices rise in spring.", None),
        ("Tell them the price, and find out why.", None),
    ],
)
def test_a_reply_gone_wrong_is_named(reply, wrong):
    assert defect(reply, ASKED) == wrong


def test_a_name_that_the_question_contains_may_be_said():
    guard = Guard(question="What would sophia charge?", forbidden_names=("Sophia", "Cherry"))
    assert defect("Sophia would charge more.", guard) is None
    assert defect("Cherry would charge more.", guard) == "name"


def test_work_that_answers_no_question_may_say_what_it_will_do():
    assert defect("First I will find three suppliers.", Guard(question="")) is None


def test_a_name_is_not_read_as_a_pattern():
    guard = Guard(question="prices", forbidden_names=("A.a",))
    assert defect("Ada has prices", guard) is None
    assert defect("A.a has prices", guard) == "name"


def test_a_reply_may_be_about_what_was_recalled():
    guard = Guard(question="How do I raise prices?", recalled="Wait for the summer.")
    assert defect("I would wait.", guard) is None
    assert defect("I like turtles.", guard) == "off topic"


def test_a_question_without_a_telling_word_asks_for_no_words_of_what_was_recalled():
    guard = Guard(question="Why?", recalled="Wait for the summer.")
    assert defect("People like it.", guard) is None


def test_any_reply_is_on_topic_when_the_question_has_no_telling_word():
    assert defect("I like turtles.", Guard(question="What would you do with them?")) is None


def test_the_first_rule_that_is_broken_is_named():
    assert defect("Sophia shit Sophia shit Sophia shit Sophia shit", ASKED) == "loop"
    assert defect("Sophia shit", ASKED) == "name"


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("Hi there. How are", "Hi there."),
        ("Do this:\n1. Call them.\n2.", "Do this:\n1. Call them."),
        ("Call them, e.g. on Monday", "Call them, e.g. on Monday"),
        ("It was decided. Call them, e.g. on", "It was decided."),
        ("We open on the 10. Then", "We open on the 10."),
        ("One. Two! Three? Fo", "One. Two! Three?"),
        ("Done.", "Done."),
        ('She said "go." Then', 'She said "go."'),
        ("He asked “why?” and", "He asked “why?”"),
        ("Well… maybe", "Well…"),
        ("It costs 3.50 euro", "It costs 3.50 euro"),
        ("See example.org for", "See example.org for"),
        ("It costs 3.50. Or", "It costs 3.50."),
        ("First line.\nSecond", "First line."),
        ("  no end  ", "no end"),
        ("", ""),
    ],
)
def test_a_text_is_cut_after_its_last_whole_sentence(text, whole):
    assert whole_sentences(text) == whole


@pytest.mark.parametrize("text", ["One. Two! Th", "no end", 'Say "go." Then', ""])
def test_cutting_twice_is_cutting_once(text):
    assert whole_sentences(whole_sentences(text)) == whole_sentences(text)
