"""Works side by side: heard until all are over, and stopped together."""

import asyncio
from contextlib import aclosing

import pytest

from orchestra.lab.beside import heard_from


class Works:
    """One that says something, one that fails, one that would go on for ever."""

    def __init__(self):
        self.heard = asyncio.Queue()
        self.stopped = 0

    async def say(self, word):
        self.heard.put_nowait(word)

    async def fail(self):
        await asyncio.sleep(0)
        message = "unforeseen"
        raise RuntimeError(message)

    async def go_on(self):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise


async def test_everything_is_heard_until_all_are_over():
    works = Works()
    said = [word async for word in heard_from([works.say("one"), works.say("two")], works.heard)]
    assert said == ["one", "two"]


async def test_an_error_of_one_stops_the_others_and_is_raised():
    works = Works()
    with pytest.raises(RuntimeError, match="unforeseen"):
        async for _ in heard_from([works.fail(), works.go_on(), works.go_on()], works.heard):
            pass
    assert works.stopped == 2


async def test_who_hears_no_more_stops_them_all():
    works = Works()
    async with aclosing(heard_from([works.say("one"), works.go_on()], works.heard)) as words:
        assert await anext(words) == "one"
        await asyncio.sleep(0)
    assert works.stopped == 1
