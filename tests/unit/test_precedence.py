"""Who gives way to whom, and for how long at most."""

import asyncio

import pytest

from orchestra import precedence
from orchestra.precedence import Precedence

NEVER = 3600


@pytest.fixture
def people():
    return Precedence()


async def begun(people):
    """Somebody in the background who gives way, having had every chance to go on."""
    task = asyncio.create_task(people.give_way())
    for _ in range(5):
        await asyncio.sleep(0)
    return task


@pytest.fixture
def patience(monkeypatch):
    monkeypatch.setattr(precedence, "HELD_SECONDS", NEVER)
    monkeypatch.setattr(precedence, "PATIENCE_SECONDS", NEVER)


@pytest.mark.usefixtures("patience")
async def test_the_background_waits_until_the_answer_begins(people):
    assert (await begun(people)).done()
    with people.taken() as speaks:
        waiting = await begun(people)
        assert not waiting.done()
        speaks()
        await waiting
        assert (await begun(people)).done()
    assert (await begun(people)).done()


@pytest.mark.usefixtures("patience")
async def test_it_waits_for_everybody_and_no_longer_than_the_turn(people):
    with people.taken():
        with people.taken() as speaks:
            waiting = await begun(people)
            speaks()
        assert not (await begun(people)).done()
        assert not waiting.done()
    await waiting


async def test_one_message_holds_it_up_for_a_moment_only(people, monkeypatch):
    monkeypatch.setattr(precedence, "PATIENCE_SECONDS", NEVER)
    with people.taken():
        await people.give_way()


async def test_many_messages_hold_it_up_for_a_moment_only(people, monkeypatch):
    monkeypatch.setattr(precedence, "HELD_SECONDS", NEVER)
    with people.taken():
        await people.give_way()
        assert not (await begun(people)).done()
