"""What a small model must not guess, and the many messages that rules must leave alone."""

import pytest

from orchestra.prompts.candid import settled_reply
from orchestra.types.persona import Example


@pytest.fixture(scope="session")
def formal(make_persona):
    return make_persona("ada", traits={"formality": 0.5})


@pytest.fixture(scope="session")
def casual(make_persona):
    return make_persona(
        "ben",
        traits={"formality": 0.49},
        examples=(
            Example(message="Rain?", reply="Wet!"),
            Example(message="Who are you?", reply="Hey, I'm Ben!"),
        ),
    )


@pytest.mark.parametrize(
    "message",
    [
        "who are you",
        "Who are you?",
        "Hi! Who are you?",
        "So, what's your name?",
        "What is your name",
        "Tell me about yourself.",
        "introduce yourself",
        "What can you do for me?",
        "what do you do?",
        "What can you help me with?",
    ],
)
def test_asked_who_it_is_a_persona_says_what_its_example_says(casual, message):
    assert settled_reply(message, casual) == "Hey, I'm Ben!"


def test_a_persona_without_such_an_example_names_itself_and_its_role(formal):
    assert settled_reply("Who are you?", formal) == "I am Ada, the Gardener."


@pytest.mark.parametrize(
    "message", ["are you a robot?", "Are you real?", "are you an AI", "Are you a real person?"]
)
def test_asked_whether_it_is_a_person_it_says_that_it_is_not(casual, message):
    assert settled_reply(message, casual) == "I am a program, not a person. Hey, I'm Ben!"


@pytest.mark.parametrize(
    "message",
    ["Who are you voting for?", "what do you do when a client is angry", "Who are our competitors?",
     "what is your name for the campaign", "Are you sure?", "what can you do about churn",
     "Tell me about your pricing", "who is Ben?", "are you a real estate expert"],
)  # fmt: skip
def test_other_questions_with_you_in_them_are_not_settled(casual, message):
    assert settled_reply(message, casual) is None


@pytest.mark.parametrize(
    ("message", "value"),
    [
        ("2+2", "4"),
        ("What is 2 + 2?", "4"),
        ("what's 12 x 12", "144"),
        ("How much is 10/4?", "2.5"),
        ("10 ÷ 3", "3.333333"),
        ("please calculate 7 - 7", "0"),
        ("3+4=", "7"),
        ("2 ^ 10", "1,024"),
        ("0.1 + 0.2", "0.3"),
        ("1,000,000 * 3", "3,000,000"),
        ("2 * (3 + 4)", "14"),
        ("17% of 240", "40.8"),
        ("What is 15 % of 2,400?", "360"),
        ("10 - 12", "-2"),
        ("1/0", "not a number: nothing can be divided by zero"),
        ("5 / (3 - 3)", "not a number: nothing can be divided by zero"),
    ],
)
def test_a_plain_sum_is_worked_out(formal, casual, message, value):
    assert settled_reply(message, formal) == f"The result is {value}."
    assert settled_reply(message, casual) == f"That's {value}!"


@pytest.mark.parametrize(
    "message",
    ["2024", "what is 2024?", "20%", "1.5", "In 2024 + 2025?", "+1 555 123 4567", "0151 2345678",
     "Call me at 555-1234", "1-800-555-0199x", "05.11.2024", "2024-11-05", "192.168.0.1",
     "(020) 7946-0958", "2 apples + 3 pears", "1,50 + 2", "is 2+2 really 4?", "3 + four",
     "9^99^9", "2**1000", "1+1 for the price of 1", "10-12 people are coming", "1e3+4", "()+()",
     "0x10+1", "1+0X1"],
)  # fmt: skip
def test_what_only_looks_like_a_sum_is_left_alone(formal, message):
    assert settled_reply(message, formal) is None


@pytest.mark.parametrize(
    "message",
    [
        "What was our revenue last year?",
        "What is our profit?",
        "what are our costs",
        "How many customers do we have?",
        "how many employees do we have",
        "How much did we earn in May?",
        "Tell me our conversion rate.",
        "show me my budget",
        "How much money do I have?",
        "What's my salary?",
    ],
)
def test_asked_for_figures_that_nobody_gave_it_a_persona_says_so(formal, casual, message):
    assert settled_reply(message, formal).startswith("I do not have your figures, and I will not")
    assert settled_reply(message, casual).startswith("I don't have your numbers, and I won't")


@pytest.mark.parametrize(
    "message",
    [
        "how can we grow our profit",
        "How do we reduce our costs?",
        "What should our budget be?",
        "How much budget should we have for ads?",
        "What is the best way to win our customers back?",
        "Why are our sales falling?",
        "Write a mail to our customers",
        "Our profit is 5 million.",
        "What is profit?",
        "What does churn rate mean?",
        "What is the revenue of Apple?",
        "Which numbers do we need to track to grow?",
        "How would you raise our margin?",
        "ideas for our customers",
        "How much is a good coffee?",
        "",
        "   ",
        "hello",
    ],
)
def test_questions_for_advice_are_not_taken_for_figures(formal, message):
    assert settled_reply(message, formal) is None


@pytest.mark.parametrize(
    "message",
    [
        "What do our customers want?",
        "Which of our customers are unhappy?",
        "What makes our customers happy?",
        "What happens to our employees after the merger?",
        "What did we do wrong with our clients?",
    ],
)
def test_questions_about_our_people_are_not_taken_for_figures(formal, message):
    assert settled_reply(message, formal) is None


@pytest.mark.parametrize(
    ("message", "value"),
    [("-3 + 5", "2"), ("-1/4", "-0.25"), ("(1+2)*3", "9"), ("17 percent of 240", "40.8"),
     (".5 + .5", "1"), ("2^-2", "0.25"), ("3 - -5", "8")],
)  # fmt: skip
def test_a_sum_with_a_sign_or_a_bracket_in_front_is_worked_out(formal, message, value):
    assert settled_reply(message, formal) == f"The result is {value}."


@pytest.mark.parametrize(
    "message", ["99^100", "10^40", "1" * 31 + "+1", "1" + "+1" * 3000], ids=lambda text: text[:8]
)
def test_a_sum_too_large_for_us_is_left_to_the_model(formal, message):
    assert settled_reply(message, formal) is None


@pytest.mark.timeout(1)
def test_a_long_message_of_spaces_does_not_stop_the_house(formal):
    assert settled_reply("what is 1" + " " * 2000 + "a", formal) is None


def test_a_local_phone_number_is_not_a_sum(formal):
    assert settled_reply("555-1234", formal) is None
