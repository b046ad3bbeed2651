"""Everything from SQLite into a real PostgreSQL, and back: all of it, verified, or nothing."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from orchestra.accounts import Accounts
from orchestra.database import Database, now
from orchestra.errors import StorageError
from orchestra.memory.records import MemoryRecords
from orchestra.migrations import ddl
from orchestra.personas.files import PersonaFiles
from orchestra.personas.history import Act, PersonaHistory
from orchestra.personas.sql import SqlPersonas
from orchestra.settings import ROOT
from orchestra.tables import (
    artifacts,
    attachments,
    contact_notes,
    contacts,
    deals,
    elements,
    feedbacks,
    lab_comparisons,
    lab_trials,
    lessons,
    merged_memories,
    people,
    steps,
    tables,
    task_events,
    tasks,
    threads,
    work_items,
    workers,
)
from orchestra.transfer import migration
from orchestra.transfer.migration import migrate_all
from tests.parts.conftest import empty_postgres, record

pytestmark = pytest.mark.postgres
FILES = PersonaFiles(ROOT / "personas_seed")


@pytest.fixture
async def full(tmp_path):
    """A SQLite file with something in every table."""
    database = Database(tmp_path / "from")
    await database.open()
    history = PersonaHistory(database)
    await history.record(await FILES.load())
    await history.note(Act("anna", "replace", "karen", "", "done"))
    await Accounts(database).add("anna", "a long password")
    records = MemoryRecords(database)
    odd = "Häuser, 日本, 🐝, 'quotes', \\ and\nlines"
    await records.add([record(f"Task number {number}: {odd}") for number in range(1203)])
    stamp = "2026-11-22T10:00:00Z"
    rows = {
        people: {"id": "p", "name": "anna", "details": "{}", "created_at": stamp},
        threads: {
            "id": "t", "person_id": "p", "name": None, "details": "{}",
            "created_at": stamp, "changed_at": stamp,
        },
        steps: {
            "id": "s", "thread_id": "t", "created_at": stamp, "text": odd,
            "details": json.dumps({"name": "Karen"}),
        },
        elements: {"id": "e", "thread_id": "t", "details": "{}"},
        feedbacks: {
            "id": "f", "step_id": "s", "thread_id": "t", "value": 1, "comment": odd,
            "created_at": now(), "domain": "sales", "revision": "r", "memory_id": "m",
            "answer_id": "s",
        },
        merged_memories: {"id": "older", "kept_id": "m"},
        tasks: {
            "id": "k", "user_id": "anna", "status": "completed", "request_key": None,
            "task": json.dumps({"description": odd}), "created_at": now(), "finished_at": now(),
        },
        task_events: {"task_id": "k", "number": 1, "event": json.dumps({"text": odd})},
        workers: {"id": "w", "seen_at": now()},
        artifacts: {
            "task_id": "k", "name": odd, "content_type": "text/plain", "content": b"\0\xff",
            "created_at": now(),
        },
        attachments: {
            "user_id": "anna", "conversation_id": "c", "name": odd, "content_type": "text/plain",
            "content": b"\xff\0", "created_at": now(),
        },
        work_items: {
            "user_id": "anna", "title": odd, "owner": "", "status": "open", "due": "",
            "task_id": "k", "changed_at": now(),
        },
        contacts: {
            "user_id": "anna", "name": odd, "company": "", "email": "", "phone": "",
            "changed_at": now(),
        },
        deals: {
            "user_id": "anna", "title": odd, "contact": "", "stage": "lead", "amount": 1.5,
            "changed_at": now(),
        },
        lab_trials: {
            "id": "b", "user_id": "anna", "question": odd, "persona_id": "karen", "wording": "w",
            "model": "m", "text": odd, "guess": None, "created_at": now(), "guessed_at": None,
        },
        lab_comparisons: {
            "id": "c", "user_id": "anna", "question": odd, "model": "m", "columns": "[]",
            "vote": "tie", "created_at": now(), "voted_at": now(),
        },
        contact_notes: {
            "id": "n", "user_id": "anna", "contact": odd, "text": odd, "created_at": now(),
        },
        lessons: {"user_id": "anna", "text": odd, "persona_id": "karen", "created_at": now()},
    }  # fmt: skip

    def fill(connection):
        for table, row in rows.items():
            connection.execute(table.insert().values(**row))

    await database.write(fill)
    yield database
    await database.close()


@pytest.fixture
async def target(postgres_url, tmp_path):
    empty_postgres(postgres_url)
    database = Database(tmp_path / "to", postgres_url)
    await database.open()
    yield database
    await database.close()


async def count(database, table):
    ((rows,),) = await database.fetch(sa.select(sa.func.count()).select_from(table))
    return rows


async def test_every_table_arrives_and_is_numbered_on(full, target):
    members = (await FILES.load()).members
    moved = {one.table: one for one in await migrate_all(full, target, members)}
    assert set(moved) == set(tables.tables)
    for name, table in tables.tables.items():
        assert moved[name].rows == await count(target, table)
        if name not in {"personas", "forgotten"}:
            assert moved[name].rows == await count(full, table) > 0
    assert (await SqlPersonas(target, FILES).load()).members == members
    records = MemoryRecords(target)
    assert len(await records.unindexed(2000)) == 1203  # to be indexed anew
    await records.add([record("One that came later")])
    newest = await records.newest("anna", "karen", limit=1)
    assert newest[0].task == "One that came later"
    assert await Accounts(target).sign_in("anna", "a long password")
    (version,) = await PersonaHistory(target).versions("karen")
    assert version.persona == members[1]


async def test_it_goes_back_the_same_way(full, target, tmp_path):
    members = (await FILES.load()).members
    there = await migrate_all(full, target, members)
    back = Database(tmp_path / "back")
    await back.open()
    assert await migrate_all(target, back, members) == there
    await back.close()


async def test_a_dry_run_keeps_nothing(full, target):
    moved = await migrate_all(full, target, (await FILES.load()).members, dry_run=True)
    assert sum(one.rows for one in moved) > 1200
    assert [await count(target, table) for table in tables.sorted_tables] == [0] * len(moved)


async def test_a_target_that_holds_something_is_left_alone(full, target):
    await PersonaHistory(target).record(await FILES.load())
    with pytest.raises(StorageError, match="persona_versions has 3 rows"):
        await migrate_all(full, target, (await FILES.load()).members)


async def test_what_arrives_changed_is_not_kept(full, target, monkeypatch):
    def lose_one(connection, table):
        if table.name == "memories" and connection.dialect.name == "postgresql":
            connection.execute(sa.text("DELETE FROM memories WHERE number = 7"))

    monkeypatch.setattr(migration, "_continue_numbers", lose_one)
    with pytest.raises(StorageError, match=r"memories: 1203 rows .* were sent, 1202"):
        await migrate_all(full, target, (await FILES.load()).members)
    assert await count(target, tables.tables["memories"]) == 0
    assert await count(target, tables.tables["accounts"]) == 0


async def test_what_a_database_cannot_hold_stops_all_of_it(full, target):
    spoil = lessons.insert().values(
        user_id="anna", text="a \x00 byte", persona_id="karen", created_at=now()
    )
    await full.write(lambda connection: connection.execute(spoil))
    with pytest.raises(StorageError, match="NUL"):
        await migrate_all(full, target, (await FILES.load()).members)
    assert await count(target, tables.tables["memories"]) == 0


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
async def test_the_printed_schema_makes_what_open_makes(dialect, postgres_url, tmp_path):
    statements = ddl(dialect)
    if dialect == "sqlite":
        engine = sa.create_engine(f"sqlite:///{tmp_path}/printed.db")
    else:
        empty_postgres(postgres_url)
        engine = sa.create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
        found = sa.inspect(connection)
        made = {name: {one["name"] for one in found.get_indexes(name)} for name in tables.tables}
        assert set(found.get_table_names()) >= set(tables.tables)
    for name, table in tables.tables.items():
        assert made[name] >= {index.name for index in table.indexes}
    engine.dispose()
    url = None if dialect == "sqlite" else postgres_url
    if dialect == "sqlite":
        (tmp_path / "printed.db").rename(tmp_path / "orchestra.db")
    database = Database(tmp_path, url)
    await database.open()  # which has nothing left to do
    await PersonaHistory(database).record(await FILES.load())
    await database.close()


async def test_personas_of_the_source_move_row_by_row(full, target):
    await SqlPersonas(full, FILES).load()
    spoil = tables.tables["personas"].update().where(sa.text("id = 'karen'")).values(domains="[")
    await full.write(lambda connection: connection.execute(spoil))
    moved = {one.table: one.rows for one in await migrate_all(full, target, None)}
    assert moved["personas"] == await count(target, tables.tables["personas"]) == 3


@pytest.mark.parametrize(
    "url", ["postgresql://u:SECRET@h:abc/db", "postgresql://h/db?user=u&password=SECRET"]
)
async def test_an_address_is_never_told_with_its_password(url, tmp_path):
    try:
        said = Database(tmp_path, url).description
    except StorageError as exc:
        said = str(exc)
    assert "SECRET" not in said
