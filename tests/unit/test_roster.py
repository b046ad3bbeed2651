"""The roster: at most one TTL old, never waited for, never worse than the last good set."""

import asyncio
import logging

import pytest

from orchestra.errors import PersonaInvalidError, PersonaStoreError
from orchestra.personas.roster import Roster
from orchestra.types.persona import Personas

TTL = 300


class ScriptedStore:
    """Gives the scripted results in turn; a closed gate keeps a read under way."""

    source = "a script"

    def __init__(self, *results):
        self.results = list(results)
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.started = asyncio.Event()

    def kept(self):
        return None

    def distrust(self):
        pass

    async def close(self):
        pass

    async def load(self):
        self.reads += 1
        self.started.set()
        await self.gate.wait()
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


class HandClock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture(scope="session")
def first(make_persona):
    return Personas(members=(make_persona("ada"),), source="a script")


@pytest.fixture(scope="session")
def second(make_persona):
    return Personas(members=(make_persona("ada", role="Sailor"),), source="a script")


async def test_the_first_turn_loads_and_the_next_ones_do_not(clock, first):
    store = ScriptedStore(first)
    roster = Roster(store, TTL, clock)
    assert await roster.current() is first
    clock.seconds += TTL - 0.001
    assert await roster.current() is first
    await roster.close()
    assert store.reads == 1


async def test_a_thousand_first_turns_share_one_load(clock, first):
    store = ScriptedStore(first)
    roster = Roster(store, TTL, clock)
    got = await asyncio.gather(*(roster.current() for _ in range(1000)))
    assert all(one is first for one in got)
    assert store.reads == 1


async def test_a_thousand_turns_after_expiry_get_stale_personas_and_start_one_read(
    clock, first, second
):
    store = ScriptedStore(first, second)
    roster = Roster(store, TTL, clock)
    await roster.current()
    clock.seconds += TTL
    store.gate.clear()
    got = await asyncio.gather(*(roster.current() for _ in range(1000)))
    assert all(one is first for one in got)
    assert store.reads == 2
    store.gate.set()
    await roster.close()
    assert await roster.current() is second
    assert store.reads == 2


async def test_personas_that_did_not_change_stay_the_same_object(clock, first):
    store = ScriptedStore(first, first.model_copy(deep=True))
    roster = Roster(store, TTL, clock)
    before = await roster.current()
    assert await roster.reload() is before
    assert roster.status().reloads == 2


async def test_a_refresh_that_fails_leaves_the_last_good_set_and_is_told(clock, first, caplog):
    store = ScriptedStore(first, PersonaStoreError("the shelf is gone"))
    roster = Roster(store, TTL, clock)
    await roster.current()
    clock.seconds += TTL
    with caplog.at_level(logging.WARNING, "orchestra.personas.roster"):
        await roster.current()
        await roster.close()
    assert await roster.current() is first
    assert "the last good personas stay in use: the shelf is gone" in caplog.text
    status = roster.status()
    assert (status.failures, status.reloads, status.last_error) == (1, 1, "the shelf is gone")
    assert status.age_seconds == TTL


async def test_a_store_that_is_down_is_asked_soon_and_then_less_and_less(clock, first):
    store = ScriptedStore(first, *[PersonaStoreError("down")] * 3)
    roster = Roster(store, TTL, clock)
    await roster.current()
    for expected, step in ((2, TTL), (2, 4), (3, 1), (3, 9), (4, 1)):
        clock.seconds += step
        await roster.current()
        await roster.close()
        assert store.reads == expected


async def test_a_success_after_a_failure_clears_the_error(clock, first, second):
    store = ScriptedStore(first, PersonaInvalidError("a.md", "name", "", "no"), second)
    roster = Roster(store, TTL, clock)
    await roster.current()
    with pytest.raises(PersonaInvalidError):
        await roster.reload()
    assert roster.status().last_error == "a.md: name is '', but no."
    assert await roster.reload() is second
    status = roster.status()
    assert (status.failures, status.reloads, status.last_error) == (1, 2, None)
    assert (status.revision, status.age_seconds) == (second.revision, 0.0)


async def test_a_first_load_that_fails_is_raised_and_the_next_turn_tries_again(clock, first):
    store = ScriptedStore(PersonaStoreError("down"), first)
    roster = Roster(store, TTL, clock)
    with pytest.raises(PersonaStoreError, match="down"):
        await roster.current()
    assert (roster.status().revision, roster.status().age_seconds) == ("", 0.0)
    assert await roster.current() is first


@pytest.mark.parametrize("has_kept", [True, False])
async def test_who_answers_for_a_store_that_is_down_is_asked_at_the_gate_too(
    clock, first, second, has_kept
):
    class Keeping(ScriptedStore):
        def kept(self):
            return second if has_kept else None

    store, fallback = Keeping(PersonaStoreError("down")), ScriptedStore(second)
    held = []

    def gate(found):
        held.append(found)
        return first

    roster = Roster(store, TTL, clock, fallback=fallback, gate=gate)
    assert await roster.current() is first
    assert held == [second]
    assert await roster.current() is first
    assert held == [second]


async def test_all_who_wait_for_a_first_load_hear_that_it_failed(clock):
    store = ScriptedStore(PersonaStoreError("down"))
    roster = Roster(store, TTL, clock)
    got = await asyncio.gather(*(roster.current() for _ in range(50)), return_exceptions=True)
    assert [str(one) for one in got] == ["down"] * 50
    assert store.reads == 1


async def test_a_reload_gives_what_was_read_after_it_was_asked_for(clock, first, second):
    store = ScriptedStore(first, first, second)
    roster = Roster(store, TTL, clock)
    await roster.current()
    clock.seconds += TTL
    store.gate.clear()
    store.started.clear()
    assert await roster.current() is first
    await store.started.wait()  # this one may have read what was there before an edit
    reloads = [asyncio.create_task(roster.reload()) for _ in range(5)]
    store.gate.set()
    assert all(one is second for one in await asyncio.gather(*reloads))
    assert store.reads == 3


async def test_a_caller_that_gives_up_does_not_stop_the_refresh_of_the_others(clock, first, second):
    store = ScriptedStore(first, second)
    roster = Roster(store, TTL, clock)
    await roster.current()
    store.gate.clear()
    store.started.clear()
    impatient = asyncio.create_task(roster.reload())
    await store.started.wait()
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    store.gate.set()
    await roster.close()
    assert await roster.current() is second


async def test_a_turn_keeps_the_personas_it_took(clock, first, second):
    roster = Roster(ScriptedStore(first, second), TTL, clock)
    taken = await roster.current()
    await roster.reload()
    assert taken is first
    assert await roster.current() is second


async def test_a_refresh_that_fails_in_an_unforeseen_way_is_told_too(clock, first):
    roster = Roster(ScriptedStore(first, ValueError("month must be in 1..12")), TTL, clock)
    await roster.current()
    clock.seconds += TTL
    await roster.current()
    await roster.close()
    assert await roster.current() is first
    assert roster.status().failures == 1
    assert roster.status().last_error is not None


async def test_closing_a_roster_that_never_read_does_nothing(clock):
    store = ScriptedStore()
    await Roster(store, TTL, clock).close()
    assert store.reads == 0


async def test_personas_stay_fresh_though_nobody_asks(first, second):
    store = ScriptedStore(first, PersonaStoreError("It is away."), *[second] * 50)
    roster = Roster(store, ttl_seconds=0.1)
    assert await roster.current() is first
    fresh = asyncio.create_task(roster.stay_fresh())
    async with asyncio.timeout(5):
        while roster.status().reloads < 3:
            await asyncio.sleep(0.02)
    fresh.cancel()
    assert await roster.current() is second
    assert roster.status().failures == 1
    await roster.close()
