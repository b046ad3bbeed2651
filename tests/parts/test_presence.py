"""Who is gone, and who may go on with their work."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from orchestra.crews import presence as presence_module
from orchestra.crews.presence import Presence, is_there
from orchestra.tables import workers

ELSEWHERE = "ffffffffffff-1-1-abc"


@pytest.fixture
def here(database):
    return Presence(database)


async def note(database, name, seconds_ago):
    seen = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    row = workers.insert().values(id=name, seen_at=seen)
    await database.write(lambda connection: connection.execute(row))


def of_this_machine(pid, started):
    machine = presence_module._machine()
    return f"{machine}-{pid}-{started}-abc"


async def test_a_worker_elsewhere_is_gone_once_it_is_silent(here, database):
    await note(database, ELSEWHERE, 5)
    assert await here.claim([ELSEWHERE]) == set()
    await note(database, "ffffffffffff-2-1-abc", 60)
    assert await here.claim([ELSEWHERE, "ffffffffffff-2-1-abc"]) == {"ffffffffffff-2-1-abc"}


async def test_one_alone_goes_on_for_the_dead(here, database):
    await note(database, ELSEWHERE, 60)
    assert await here.claim([ELSEWHERE]) == {ELSEWHERE}
    assert await Presence(database).claim([ELSEWHERE]) == set()


async def test_whose_claim_came_to_nothing_is_claimed_again_later(here, monkeypatch):
    assert await here.claim([ELSEWHERE]) == set()
    monkeypatch.setattr(presence_module, "SILENCE", timedelta(0))
    assert await here.claim([ELSEWHERE]) == {ELSEWHERE}


async def test_a_process_of_this_machine_is_there_while_it_runs_however_silent(here, database):
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = of_this_machine(sleeper.pid, presence_module._started(sleeper.pid))
    await note(database, name, 600)
    assert await here.claim([name]) == set()
    sleeper.communicate(b"\n")
    assert await here.claim([name]) == {name}


async def test_the_next_owner_of_a_number_is_somebody_else(here, database):
    name = of_this_machine(os.getpid(), "12345")
    await note(database, name, 1)
    assert is_there(name) is False
    assert await here.claim([name]) == {name}


async def test_whoever_signed_off_is_gone_at_once(here, database):
    other = Presence(database)
    await other.sign()
    assert await here.claim([other.name]) == set()
    await other.sign_off()
    assert await here.claim([other.name]) == {other.name}


async def test_nobody_claims_what_is_its_own(here):
    await here.sign()
    await here.sign_off()
    assert await here.claim([here.name]) == set()
