"""Personas among themselves: the round table, and a question to a colleague inside an answer."""

from __future__ import annotations

import pytest

from orchestra.errors import LLMRefusedError, MessageError
from orchestra.prompts.compose import SmallComposer
from orchestra.replying import question_in, wish_in
from orchestra.types.conversation import (
    Answered,
    Consulted,
    Delta,
    Message,
    Routed,
    Seat,
    SeatEmpty,
)
from tests.doubles.everybody import saying, speaker_of
from tests.doubles.llm import Reply

QUESTION = "Should we sell our pottery online?"
SAID = {"Karen": "Yes, buyers ask me for it.", "Sophia": "Half of them might.", "Cherry": "Go."}


@pytest.fixture
async def house(open_house):
    async with open_house() as opened:
        yield opened


async def held(house, question=QUESTION, conversation="table"):
    message = Message(text=question, user_id="anna", conversation_id=conversation)
    return [event async for event in house.table.hold(message)]


def told(body):
    return "\n".join(one["content"] for one in body["messages"])


async def test_everybody_speaks_in_turn_and_the_owner_of_general_decides(house, model):
    model.choose(saying(SAID))
    events = await held(house)
    seats = [event for event in events if isinstance(event, Seat)]
    assert [(one.persona_name, one.task) for one in seats] == [
        ("Karen", "opens"),
        ("Sophia", "answers"),
        ("Karen", "replies"),
        ("Cherry", "decides"),
    ]
    assert [one.number for one in seats] == [1, 2, 3, 4]
    answers = [event.answer for event in events if isinstance(event, Answered)]
    assert answers == [SAID[one.persona_name] for one in seats]
    for place, event in enumerate(events):
        if isinstance(event, Seat):
            assert isinstance(events[place + 1], Routed)


async def test_each_hears_those_before_and_the_decision_names_who_can_own_what(house, model):
    turns = iter([SAID["Karen"], SAID["Sophia"], "Fine, half then.", SAID["Cherry"]])
    model.choose(lambda _: Reply(next(turns)))
    await held(house)
    opens, answers, replies, decides = map(told, model.asked)
    assert "Others answer after you" in opens
    assert SAID["Sophia"] not in opens
    assert f"(Karen answered:) {SAID['Karen']}" in answers
    assert f"The others said:\nKaren: {SAID['Karen']}\nAgree or disagree by name" in answers
    assert f"(Sophia answered:) {SAID['Sophia']}" in replies
    assert f"You said:\n{SAID['Karen']}\nThe others said:\nSophia: {SAID['Sophia']}" in replies
    heard = [f"Karen: {SAID['Karen']}", f"Sophia: {SAID['Sophia']}", "Karen: Fine, half then."]
    assert "\n".join(heard) in decides
    assert "who owns what, a line for each: Karen, Sophia and you" in decides


async def test_whoever_decides_does_so_alone_where_nobody_else_can_answer(house, model):
    def choose(body):
        return Reply("Go.") if speaker_of(body) == "Cherry" else Reply(status=400)

    model.choose(choose)
    events = await held(house)
    assert [event.persona_name for event in events if isinstance(event, SeatEmpty)] == [
        "Karen",
        "Sophia",
    ]
    assert "The others said:\n(nothing)" in told(model.asked[-1])
    assert [event.answer for event in events if isinstance(event, Answered)] == ["Go."]


async def test_a_table_is_remembered_by_each_and_the_conversation_goes_on_from_it(house, model):
    model.choose(saying(SAID))
    await held(house)
    for persona_id in ("karen", "sophia", "cherry"):
        (memory, *_) = await house.memory.newest("anna", persona_id=persona_id)
        assert memory.task == QUESTION
    follow_up = Message(text="Why?", user_id="anna", conversation_id="table")
    events = [event async for event in house.conversation.answer(follow_up)]
    assert events[0].route.persona_id == "cherry"
    assert "Half of them might." in told(model.asked[-1])


async def test_one_that_fails_is_told_and_the_others_go_on(house, model):
    model.choose(saying(SAID, failing="Karen"))
    events = await held(house)
    empty = [event for event in events if isinstance(event, SeatEmpty)]
    assert [one.persona_name for one in empty] == ["Karen", "Karen"]
    assert "400" in empty[0].error
    answered = [event.persona_id for event in events if isinstance(event, Answered)]
    assert answered == ["sophia", "cherry"]
    assert "Karen:" not in told(model.asked[-1]).split("others said:")[1]


async def test_without_a_decision_the_table_has_failed(house, model):
    model.choose(saying(SAID, failing="Cherry"))
    with pytest.raises(LLMRefusedError):
        await held(house)
    assert await house.memory.newest("anna", persona_id="cherry") == []


async def test_an_empty_question_is_refused_before_anybody_is_asked(house, model):
    with pytest.raises(MessageError):
        await held(house, " ")
    assert model.asked == []


async def test_a_table_that_is_stopped_stops_the_model(house, model):
    model.always(Reply("One word after the other", hang_after=2))
    table = house.table.hold(Message(text=QUESTION, conversation_id="table"))
    async for event in table:
        if isinstance(event, Delta):
            break
    await table.aclose()
    assert model.aborted.wait(5)
    assert await house.memory.newest("local") == []


ASKS = "Yes, and loudly.\n@Sophia is there evidence that buyers look for pottery online?\n"
EVIDENCE = "Some: three surveys.\nAll are small."


def asking(evidence=Reply(EVIDENCE)):  # noqa: B008  # never changed
    def choose(body):
        if speaker_of(body) == "Sophia":
            return evidence
        if "You are in the middle of your answer" in told(body):
            return Reply("So test it with one shelf.")
        return Reply(f"{ASKS}Sophia says yes!")

    return choose


async def asked_karen(house):
    message = Message(text=QUESTION, user_id="anna", persona_id="karen", conversation_id="one")
    return [event async for event in house.conversation.answer(message)]


async def test_a_persona_asks_another_one_inside_its_answer(house, model):
    model.choose(asking())
    events = await asked_karen(house)
    (consulted,) = [event for event in events if isinstance(event, Consulted)]
    assert consulted.persona_id == "sophia"
    assert consulted.question == "is there evidence that buyers look for pottery online?"
    assert consulted.answer == EVIDENCE
    answer = events[-1].answer
    assert answer == (
        f"{ASKS.strip()}\n\n> **Sophia:** Some: three surveys.\n> All are small.\n\n"
        "So test it with one shelf."
    )
    shown = "".join(event.text for event in events if isinstance(event, Delta))
    assert " ".join(shown.split()) == " ".join(answer.split())
    assert events[-1].persona_id == "karen"
    assert len(model.asked) == 3
    assert "Karen asks you" in told(model.asked[1])
    assert "Sophia answers: Some: three surveys." in told(model.asked[2])


async def test_the_colleague_recalls_what_it_decided_for_the_same_person(house, model):
    model.enqueue(Reply("Surveys under fifty people are no evidence."))
    first = Message(
        text="What evidence do we want that buyers look for pottery online?",
        user_id="anna",
        persona_id="sophia",
    )
    _ = [event async for event in house.conversation.answer(first)]
    await house.memory.settle()
    model.choose(asking())
    await asked_karen(house)
    assert "Surveys under fifty people are no evidence." in told(model.asked[2])


@pytest.mark.parametrize("failing", [Reply(status=400), Reply(EVIDENCE, cut_after=2)])
async def test_a_colleague_that_fails_is_told_to_the_reader_and_to_no_memory(house, model, failing):
    model.choose(asking(failing))
    events = await asked_karen(house)
    (consulted,) = [event for event in events if isinstance(event, Consulted)]
    assert consulted.error
    assert consulted.answer == ""
    shown = "".join(event.text for event in events if isinstance(event, Delta))
    assert f"*(did not answer: {consulted.error})*" in shown
    assert events[-1].notes == (f"Sophia was asked and did not answer. {consulted.error}",)
    assert events[-1].answer == f"{ASKS.strip()}\n\nSo test it with one shelf."
    assert "Sophia cannot answer." in told(model.asked[2])
    (memory,) = await house.memory.newest("anna", persona_id="karen")
    assert memory.decision == events[-1].answer


def small(house, monkeypatch):
    """Make prompts as for the embedded model, which cannot be told to ask."""
    monkeypatch.setattr(house.conversation._replies, "_composer", SmallComposer({}))


async def test_for_a_small_model_whom_the_message_wants_is_asked(house, model, monkeypatch):
    small(house, monkeypatch)
    model.choose(saying({"Karen": "Yes, loudly.", "Sophia": "Some:\nthree surveys."}))
    events = await turn_with(house, text=f"{QUESTION} Ask Sophia whether there is evidence.")
    assert events[-1].answer == "Yes, loudly.\n\n> **Sophia:** Some:\n> three surveys."
    (consulted,) = [event for event in events if isinstance(event, Consulted)]
    assert (consulted.persona_id, consulted.answer) == ("sophia", "Some:\nthree surveys.")
    assert len(model.asked) == 2
    model.asked.clear()
    await turn_with(house, text=f"{QUESTION} Sophia thinks so.")
    assert len(model.asked) == 1


async def test_for_a_small_model_a_colleague_that_fails_is_told(house, model, monkeypatch):
    small(house, monkeypatch)
    model.choose(saying({"Karen": "Yes, loudly."}, failing="Sophia"))
    events = await turn_with(house, text=f"{QUESTION} What would Sophia say?")
    assert events[-1].answer == "Yes, loudly."
    (note,) = events[-1].notes
    assert note.startswith("Sophia was asked and did not answer.")


async def test_programs_with_a_form_of_their_own_get_no_questions_in_between(house, model):
    await turn_with(house, instructions="Answer as JSON.")
    assert "you may ask one of them" not in told(model.asked[-1])
    await turn_with(house)
    assert "you may ask one of them, once: end with a line of its own" in told(model.asked[-1])


async def turn_with(house, **fields):
    message = Message(**{"text": QUESTION, "persona_id": "karen", **fields})
    return [event async for event in house.conversation.answer(message)]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Yes.\n@Sophia, is it so?\n", "is it so?"),
        ("**@sophia** is it so?\n", "is it so?"),
        ("- @Sophia: is it so? \nShe says yes.", "is it so?"),
        ("Ask @Sophia is it so?\n", None),
        ("@Sophia knows it.\n", None),
        ("@Sophia is it", None),
        ("@Karen is it so?\n", None),
        ("@Sophiana is it so?\n", None),
    ],
)
async def test_what_counts_as_a_question_to_a_colleague(house, text, asked):
    personas = await house.roster.current()
    found = question_in(text, (personas.get("sophia"),))
    assert (found and found.text) == asked


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Should we? Ask Sophia whether it pays.", "Should we? whether it pays."),
        ("Up by 3.5 %, ask Sophia why. It is late.", "Up by 3.5 %, why. It is late."),
        ("should we, and what does sophia say", "should we, and what do you say"),
        ("What would Sophia say of it?", "what do you say of it?"),
        ("Ask Sophia!", "Ask Sophia!"),
        ("Do not ask Sophia.", None),
        ("Don't ask Sophia.", None),
        ("Ask Sophia's team.", None),
        ("Write to Sophia that we come.", None),
        ("Ask Karen.", None),
        ("Task Sophia with it.", None),
    ],
)
async def test_what_counts_as_a_wish_to_hear_a_colleague(house, text, question):
    personas = await house.roster.current()
    found = wish_in(text, (personas.get("sophia"),))
    assert (found and found.text) == question
    assert wish_in(text, ()) is None
