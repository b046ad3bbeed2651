"""The embedded voices on a scripted wire: what is done about a reply gone wrong."""

import pytest

from orchestra.errors import LLMReplyError
from orchestra.llm.chat import ChatModel, Reply
from orchestra.llm.embedded import AdapterScales
from orchestra.llm.voices import (
    END_BIAS,
    END_TOKEN,
    RETRY_BUDGET_SECONDS,
    STRAY_PIECES,
    EmbeddedVoices,
    _Wire,
)
from orchestra.types.conversation import ChatTurn, Guard, Prompt
from tests.doubles.llm import Reply as Scripted

QUESTION = "How do I raise prices?"
SOUND = "Raise your prices in small steps. Tell people why."
LOOP = "Raise the price. " * 5


class Voices(EmbeddedVoices):
    """The voices, with the scripted server in the place of llama.cpp."""

    def __init__(self, base_url, clock):
        super().__init__(clock=clock)
        self._base_url = base_url

    async def _start(self):
        model = ChatModel(self._base_url, api_key="any", model="scripted", timeout_seconds=2)
        return _Wire(model, AdapterScales(voiced=0.0, plain=-0.7))


class Clock:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def voices(model, clock):
    opened = Voices(model.base_url, clock)
    yield opened
    await opened.close()


def prompt(settled=None, voice=0, **guard):
    guarded = Guard(question=QUESTION, forbidden_names=("Sophia", "Cherry"), **guard)
    turns = (ChatTurn(role="user", content=QUESTION),)
    return Prompt(turns=turns, max_tokens=50, guard=guarded, voice=voice, settled=settled)


async def said(voices, asked):
    reply = Reply()
    shown = "".join([piece async for piece in voices.stream(asked, reply)])
    return shown, reply.text


async def test_a_sound_reply_is_shown_as_it_comes_and_asked_for_once(voices, model):
    model.enqueue(Scripted(SOUND))
    assert await said(voices, prompt()) == (SOUND, SOUND)
    assert len(model.asked) == 1


@pytest.mark.parametrize("bad", [LOOP, "Ask Sophia about prices.", "Turtles.", "Shit, prices."])
async def test_a_reply_gone_wrong_is_asked_for_once_more(voices, model, bad):
    model.enqueue(Scripted(bad), Scripted(SOUND))
    shown, kept = await said(voices, prompt())
    assert kept == SOUND
    assert "Sophia" not in shown
    assert "Shit" not in shown
    assert len(model.asked) == 2


async def test_what_cannot_be_taken_back_is_shown_only_when_it_was_checked(voices, model):
    model.enqueue(Scripted(LOOP), Scripted(SOUND))
    assert await said(voices, prompt(revisable=False)) == (SOUND, SOUND)


async def test_beyond_the_budget_the_first_reply_stands(voices, model, clock):
    model.enqueue(Scripted("I like turtles."), Scripted(SOUND))
    reply, asked = Reply(), prompt()
    async for _ in voices.stream(asked, reply):
        clock.seconds = RETRY_BUDGET_SECONDS + 1
    assert reply.text == "I like turtles."
    assert len(model.asked) == 1


async def test_two_replies_gone_wrong_keep_the_first_that_can_be_shown(voices, model):
    model.enqueue(Scripted("I like turtles."), Scripted("I love turtles."))
    assert (await said(voices, prompt()))[1] == "I like turtles."
    model.enqueue(Scripted("Sophia knows."), Scripted("I love turtles."))
    assert (await said(voices, prompt()))[1] == "I love turtles."


async def test_nothing_that_can_be_shown_is_an_error(voices, model):
    model.always(Scripted("Sophia knows."))
    with pytest.raises(LLMReplyError, match="other words"):
        await said(voices, prompt())


async def test_a_reply_that_has_said_enough_ends_with_its_sentence(voices, model):
    long = "Raise your prices in small steps. " + "And then some more words. " * 50
    model.enqueue(Scripted(long, pause_seconds=0.02))
    shown, kept = await said(voices, prompt(enough_words=3))
    assert kept == shown.strip() == "Raise your prices in small steps."
    assert model.aborted.wait(5)


@pytest.mark.parametrize("more", ["teasp on one note, and prices go.", "ailure"])
async def test_pieces_of_words_behind_a_sentence_are_none_of_the_reply(voices, model, more):
    model.enqueue(Scripted(f"{SOUND} {more}"))
    shown, kept = await said(voices, prompt())
    assert (shown.rstrip(), kept) == (SOUND, SOUND)
    assert len(model.asked) == 1


async def test_a_sentence_goes_on_behind_a_quotation_or_an_abbreviation(voices, model):
    text = 'Say "it went up!" and raise prices, e.g. once a year.'
    model.enqueue(Scripted(text))
    assert (await said(voices, prompt()))[1] == text


async def test_what_a_rule_knows_is_said_without_asking_the_model(voices, model):
    assert await said(voices, prompt(settled="That's 4!")) == ("That's 4!", "That's 4!")
    assert model.asked == []


@pytest.mark.parametrize(("voice", "scale", "slot"), [(1, 0.0, 1), (None, -0.7, 3)])
async def test_a_trained_voice_has_its_slot_and_the_others_the_plain_model(
    voices, model, voice, scale, slot
):
    model.enqueue(Scripted(SOUND))
    await said(voices, prompt(voice=voice))
    assert model.asked[-1]["lora"] == [{"id": 0, "scale": scale}]
    assert model.asked[-1]["id_slot"] == slot
    bias = {END_TOKEN: END_BIAS, **dict.fromkeys(STRAY_PIECES, -100)} if voice is not None else {}
    assert dict(model.asked[-1]["logit_bias"]) == bias
