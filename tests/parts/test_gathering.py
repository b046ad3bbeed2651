"""What a conversation shows reaches the database once, in its newest state, or not at all."""

import pytest
import sqlalchemy as sa

from orchestra.errors import StorageError
from orchestra.screen.gathering import Gathering, ThreadChange
from orchestra.tables import elements, people, steps, threads


@pytest.fixture
async def gathering(database):
    anna = {"id": "p1", "name": "anna", "details": "{}", "created_at": "2026"}
    await database.write(lambda connection: connection.execute(people.insert(), anna))

    async def known():
        return database

    return Gathering(known)


def step(step_id, output="hello", thread_id="t1"):
    return {"id": step_id, "threadId": thread_id, "output": output, "createdAt": "2026-05-08"}


async def test_only_the_newest_state_of_each_thing_is_written(gathering, database):
    gathering.add_thread("t1", ThreadChange(name="First words", person_id="p1"))
    gathering.add_thread("t1", ThreadChange(details={"chat_settings": {"length": "short"}}))
    gathering.add_step(step("s1", "he"))
    gathering.add_step(step("s1", "hello"))
    gathering.add_element({"id": "e1", "threadId": "t1", "forId": "s1"})
    await gathering.flush()
    (thread,) = await database.fetch(sa.select(threads))
    assert (thread.name, thread.person_id) == ("First words", "p1")
    assert '"short"' in thread.details
    assert [row.text for row in await database.fetch(sa.select(steps))] == ["hello"]
    assert len(await database.fetch(sa.select(elements))) == 1


async def test_a_message_id_that_another_thread_uses_takes_nothing_from_it(gathering, database):
    gathering.add_step(step("same", "mine", "t1"))
    gathering.add_step(step("other", "theirs", "t2"))
    await gathering.flush()
    gathering.add_step(step("same", "replaced", "t1"))
    await gathering.flush()
    found = await database.fetch(sa.select(steps.c.thread_id, steps.c.text).order_by(steps.c.id))
    assert [tuple(row) for row in found] == [("t2", "theirs"), ("t1", "replaced")]


async def test_a_thread_that_was_deleted_while_it_was_open_stays_deleted(gathering, database):
    gathering.add_thread("gone", ThreadChange(details={"a": 1}))
    await gathering.flush()
    assert await database.fetch(sa.select(threads)) == []


async def test_one_that_the_database_refuses_does_not_hold_up_the_others(gathering, database):
    gathering.add_thread("t1", ThreadChange(person_id="nobody"))  # no such person
    gathering.add_step(step("s1"))
    await gathering.flush()
    assert len(await database.fetch(sa.select(steps))) == 1
    await gathering.flush()  # and is not tried for ever


async def test_what_could_not_be_written_is_kept_for_the_next_try(gathering, database):
    gathering.add_step(step("s1"))
    await database.write(lambda one: one.exec_driver_sql("ALTER TABLE steps RENAME TO hidden"))
    with pytest.raises(StorageError):
        await gathering.flush()
    await database.write(lambda one: one.exec_driver_sql("ALTER TABLE hidden RENAME TO steps"))
    await gathering.close()
    assert len(await database.fetch(sa.select(steps))) == 1
