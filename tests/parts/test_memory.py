"""Remember, recall, forget: on real SQLite, PostgreSQL and Chroma."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from orchestra.database import Database, now
from orchestra.errors import MemoryNotFoundError, StorageError
from orchestra.memory.records import MemoryRecords, rejection
from orchestra.memory.vectors import VectorStore
from orchestra.salvage import damage_of, salvage
from orchestra.tables import feedbacks, merged_memories
from orchestra.types.memory import Owner
from tests.parts.conftest import keeping, record

ANNA = Owner("anna", "karen")


async def keep(keeper, *records):
    for one in records:
        await keeper.remember(one)
    await keeper.settle()


async def found(keeper, text, owner=ANNA, **more):
    vector = await keeper._embedder.embed(text)
    return [one.task for one in await keeper.recall(owner, text, vector, **more)]


async def test_what_fits_comes_first_and_what_does_not_stays_away(keeper):
    await keep(
        keeper,
        record("discount for the brewery in Porto"),
        record("who owns the launch checklist"),
        record("renewal call with the hospital"),
    )
    assert await found(keeper, "which discount did we give the brewery") == [
        "discount for the brewery in Porto"
    ]


async def test_another_form_of_a_word_is_found(keeper):
    await keep(keeper, record("painting the fences of the stadium"))
    assert await found(keeper, "who paints a fence") == ["painting the fences of the stadium"]


async def test_a_date_in_words_is_found(keeper):
    await keep(keeper, record("a call with the ministry"), record("a lunch with the press"))
    assert len(await found(keeper, "what was on 8 May 2023 or in May", at_least=0.0)) == 2


async def test_one_persons_memories_never_come_back_to_another(keeper):
    await keep(keeper, record("our secret price list"))
    for owner in (Owner("ben", "karen"), Owner("anna", "sophia")):
        assert await found(keeper, "our secret price list", owner, at_least=-1) == []


async def test_a_follow_up_is_found_by_the_subject_before_it(keeper):
    await keep(
        keeper,
        record("what did the aquarium decide", conversation_id="c"),
        record("and the colour then", "Blue.", conversation_id="c"),
        record("and the colour now", "Red.", conversation_id="d"),
    )
    tasks = await found(keeper, "colour of the aquarium", limit=3, at_least=0.0)
    assert tasks.index("and the colour then") < tasks.index("and the colour now")


async def test_the_same_exchange_twice_is_kept_once(keeper):
    await keep(keeper, record("ship on Friday please"), record("ship on Friday please"))
    assert len(await keeper.newest("anna")) == 1


async def test_near_duplicates_merge_into_the_newest_and_are_counted(keeper):
    await keep(keeper, record("ship on Friday please", message_id="1"))
    await keep(keeper, record("ship on Friday please?", message_id="2"))
    kept = await keeper.newest("anna")
    assert [(one.task, one.times) for one in kept] == [("ship on Friday please?", 2)]


async def test_memories_that_differ_in_a_number_are_both_kept(keeper):
    long = "the very long story of the order that the brewery in Porto made with us, number"
    await keep(keeper, record(f"{long} 12"), record(f"{long} 13"))
    assert len(await keeper.newest("anna")) == 2


async def test_a_pin_survives_a_merge_and_outlives_the_cap(database, tmp_path):
    async with keeping(database, tmp_path / "data", limit=3) as keeper:
        await keep(keeper, record("the pinned decision about apples"))
        (pinned,) = await keeper.newest("anna")
        await keeper.pin("anna", pinned.id, pinned=True)
        for fruit in ("pears", "plums", "grapes", "figs", "dates"):
            await keep(keeper, record(f"what we think of {fruit}"))
        tasks = [one.task for one in await keeper.newest("anna")]
    assert tasks == [
        "what we think of dates",
        "what we think of figs",
        "what we think of grapes",
        "the pinned decision about apples",
    ]


async def reject(keeper, memory, user_id="anna", *, rejected=True):
    change = rejection(user_id, memory.id, rejected=rejected)
    await keeper._records._database.write(lambda connection: connection.execute(change))


async def test_what_was_rejected_is_not_recalled_until_it_is_taken_back(keeper):
    tasks = [f"discount number {number} for the brewery in Porto" for number in range(5)]
    await keep(keeper, *(record(task) for task in tasks))
    best, *_ = await found(keeper, "which discount did we give the brewery")
    wrong = next(one for one in await keeper.newest("anna") if one.task == best)
    await reject(keeper, wrong, "ben")
    assert best in await found(keeper, "which discount did we give the brewery")
    await reject(keeper, wrong)
    rest = await found(keeper, "which discount did we give the brewery")
    assert len(rest) == 3
    assert best not in rest
    await reject(keeper, wrong, rejected=False)
    assert best in await found(keeper, "which discount did we give the brewery")


async def test_a_rejection_survives_a_merge(keeper):
    await keep(keeper, record("ship on Friday, please!"))
    (wrong,) = await keeper.newest("anna")
    await reject(keeper, wrong)
    await keep(keeper, record("ship on Friday please?", message_id="2"))
    (kept,) = await keeper.newest("anna")
    assert (kept.times, kept.rejected) == (2, True)
    assert await found(keeper, "when do we ship?") == []


async def test_a_thumb_on_an_older_answer_means_the_memory_that_took_its_place(keeper):
    database = keeper._records._database
    earlier = []
    for number, task in enumerate(("ship on Friday, please!", "ship on Friday please?")):
        await keep(keeper, record(task, message_id=str(number)))
        (newest,) = await keeper.newest("anna")
        earlier.append(newest)
        thumb = {"step_id": newest.id, "memory_id": newest.id, "value": 0, "created_at": now()}
        row = feedbacks.insert().values(id=newest.id, **thumb)
        await database.write(lambda connection, row=row: connection.execute(row))
    await keep(keeper, record("Ship on Friday, please.", message_id="2"))
    (kept,) = await keeper.newest("anna")
    assert kept.times == 3
    thumbs = await database.fetch(sa.select(feedbacks.c.memory_id))
    assert [one.memory_id for one in thumbs] == [kept.id, kept.id]
    for one in earlier:
        await reject(keeper, one)
        assert await found(keeper, "when do we ship?") == []
        await reject(keeper, one, rejected=False)
        assert await found(keeper, "when do we ship?") == [kept.task]
    assert await keeper.forget("anna", ids=[kept.id]) == 1
    assert await database.fetch(sa.select(merged_memories)) == []


async def test_pinning_what_is_not_yours_is_refused(keeper):
    await keep(keeper, record("a decision about prices"))
    (memory,) = await keeper.newest("anna")
    with pytest.raises(MemoryNotFoundError, match=memory.id):
        await keeper.pin("ben", memory.id, pinned=True)


async def test_forgetting_one_leaves_the_others(keeper):
    await keep(keeper, record("a decision about prices"), record("a decision about colours"))
    prices = next(one for one in await keeper.newest("anna") if "prices" in one.task)
    assert await keeper.forget("anna", ids=[prices.id]) == 1
    assert await found(keeper, "a decision about prices", at_least=-1) == [
        "a decision about colours"
    ]


async def test_forgetting_what_is_not_yours_is_refused_and_changes_nothing(keeper):
    await keep(keeper, record("a decision about prices"))
    (memory,) = await keeper.newest("anna")
    with pytest.raises(MemoryNotFoundError):
        await keeper.forget("ben", ids=[memory.id])
    assert len(await keeper.newest("anna")) == 1


async def test_forgetting_a_person_leaves_no_trace_in_any_file(tmp_path):
    database = Database(tmp_path / "data")
    await database.open()
    async with keeping(database, tmp_path / "data") as keeper:
        await keep(
            keeper,
            record("zanzibar zirconium", "xylophone quartz"),
            record("this one is mine", user="ben"),
        )
        assert await keeper.forget("anna") == 1
        assert await keeper.newest("anna") == []
        assert len(await keeper.newest("ben")) == 1
        vectors = await keeper._vectors.of_person("karen", "anna")
        assert vectors == {}
        for path in (tmp_path / "data").rglob("*"):
            if path.is_file():
                content = path.read_bytes().lower()
                for word in (b"zanzibar", b"zirconium", b"xylophon", b"quartz"):
                    assert word not in content, path
    await database.close()


async def test_a_process_that_may_not_write_vectors_leaves_them_to_the_one_that_may(tmp_path):
    folder = tmp_path / "data"
    database = Database(folder)
    await database.open()
    async with keeping(database, folder) as owner:
        second = VectorStore(folder)
        await second.open()
        assert not second.may_write
        async with keeping(database, folder) as guest:
            await guest.remember(record("told on the command line"))
            assert await guest._indexer.index_batch() is False
        assert await found(owner, "told on the command line") == ["told on the command line"]
        await owner.settle()
        assert len(await owner._vectors.of_person("karen", "anna")) == 1
        await second.close()
    await database.close()


async def test_a_damaged_chroma_folder_is_kept_and_rebuilt_from_the_database(tmp_path):
    folder = tmp_path / "data"
    database = Database(folder)
    await database.open()
    async with keeping(database, folder) as keeper:
        await keep(keeper, record("what survives a damage"))
    from chromadb.api.shared_system_client import SharedSystemClient

    SharedSystemClient.clear_system_cache()
    (folder / "chroma" / "chroma.sqlite3").write_bytes(b"this is not a database " * 400)
    async with keeping(database, folder) as keeper:
        await keeper.settle()
        assert await found(keeper, "what survives a damage") == ["what survives a damage"]
        assert len(await keeper._vectors.of_person("karen", "anna")) == 1
    assert len(list(folder.glob("chroma.damaged-*"))) == 1
    await database.close()


async def test_a_folder_is_free_again_whichever_thread_closes_it(tmp_path):
    first = VectorStore(tmp_path)
    await first.open()
    first._workers.shutdown()
    first._workers = ThreadPoolExecutor(1)  # not the thread that opened it
    await first.close()
    second = VectorStore(tmp_path)
    await second.open()
    assert second.may_write
    await second.close()


async def test_vectors_of_another_model_are_made_anew_and_never_mixed(tmp_path):
    folder = tmp_path / "data"
    database = Database(folder)
    await database.open()
    async with keeping(database, folder) as keeper:
        await keep(keeper, record("what outlives a change of model"))
    vectors = VectorStore(folder, model="another")
    await vectors.open()
    assert vectors.is_new
    assert await vectors.of_person("karen", "anna") == {}
    await vectors.close()
    async with keeping(database, folder) as keeper:
        assert await found(keeper, "what outlives a change of model")
    await database.close()


async def test_the_tables_of_an_earlier_checkout_are_brought_up_to_date(database):
    earlier = """ALTER TABLE memories ADD COLUMN digest VARCHAR(64) NOT NULL DEFAULT '';
        DROP INDEX memories_by_owner;
        CREATE INDEX memories_by_owner ON memories (user_id, persona_id, created_at);
        CREATE INDEX memories_by_digest ON memories (user_id, persona_id, digest);
        ALTER TABLE memories DROP COLUMN rejected;
        ALTER TABLE feedbacks DROP COLUMN domain;
        ALTER TABLE feedbacks DROP COLUMN revision;
        ALTER TABLE feedbacks DROP COLUMN memory_id;
        ALTER TABLE feedbacks DROP COLUMN answer_id;
        UPDATE alembic_version SET version_num = 'first_light'"""
    rows = MemoryRecords(database)
    await rows.add([record("kept from an earlier checkout")])

    def go_back(connection):
        for statement in earlier.split(";"):
            connection.exec_driver_sql(statement)

    await database.write(go_back)
    await database.open()
    await rows.add([record("kept by this one")])
    newest = await rows.newest("anna")
    assert [one.task for one in newest] == ["kept by this one", "kept from an earlier checkout"]
    _, found = await rows.look(Owner("anna", "karen"), ["earlier"])
    assert [len(one) for one in found] == [1]

    def schema(connection):
        look = sa.inspect(connection)
        columns = {one["name"] for one in look.get_columns("memories")}
        indexed = {one["name"]: one["column_names"] for one in look.get_indexes("memories")}
        return columns, indexed

    columns, indexed = await database.read(schema)
    assert "digest" not in columns
    assert "rejected" in columns
    assert indexed["memories_by_owner"][2] == "number"


async def test_a_damaged_database_is_named_and_what_can_be_read_is_saved(tmp_path):
    folder = tmp_path / "data"
    database = Database(folder)
    await database.open()
    async with keeping(database, folder) as keeper:
        for number in range(300):
            text = f"decision number {number} about subject {number * 7}"
            await keeper.remember(record(text, "x" * 1000))
    await database.close()
    path = folder / "orchestra.db"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8192] = b"\xff" * 8192
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"orchestra\.db is damaged .*doctor --repair"):
        await Database(folder).open()
    kept, saved = salvage(path)
    assert kept.exists()
    assert 0 < saved["memories"] <= 300
    database = Database(folder)
    await database.open()
    async with keeping(database, folder) as keeper:
        tasks = {one.task for one in await keeper.newest("anna", limit=1000)}
    assert len(tasks) == saved["memories"]
    assert "decision number 0 about subject 0" in tasks  # before the damage
    assert "decision number 299 about subject 2093" in tasks  # and behind it
    await database.close()


async def test_a_database_that_cannot_be_opened_is_not_called_damaged(tmp_path):
    (tmp_path / "orchestra.db").mkdir()
    with pytest.raises(StorageError, match=r"orchestra\.db cannot be opened"):
        damage_of(tmp_path / "orchestra.db")


async def test_a_full_disk_is_an_error_with_advice_and_nothing_is_half_written(tmp_path):
    database = Database(tmp_path / "data")
    await database.open()
    async with keeping(database, tmp_path / "data") as keeper:
        await keep(keeper, record("kept before the disk was full"))
        pages = (await database.fetch(sa.text("PRAGMA page_count")))[0][0]
        database._engine.dispose()  # it connects anew, now to a disk that is nearly full
        sa.event.listen(
            database._engine,
            "connect",
            lambda raw, _record: raw.execute(f"PRAGMA max_page_count={pages + 2}"),
        )
        with pytest.raises(StorageError, match=r"Free some space .*nothing was half-written"):
            await keep(keeper, *(record(f"one too many: {n}", "y" * 1200) for n in range(50)))
        kept = await keeper.newest("anna", limit=100)
        assert "kept before the disk was full" in {one.task for one in kept}
        assert all(one.decision for one in kept)
    await database.close()


async def test_a_data_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match=r"data.* cannot be written .*ORCHESTRA_DATA_DIR"):
        await Database(tmp_path / "data").open()


async def test_a_database_server_that_is_not_there_is_named_without_the_password(tmp_path):
    database = Database(tmp_path, "postgresql://anna:geheim@127.0.0.1:9/none")
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:9") as caught:
        await database.open()
    assert "geheim" not in str(caught.value)
    await database.close()


async def test_opening_twice_changes_nothing(database, tmp_path):
    await database.open()
    assert (await database.fetch(sa.text("SELECT count(*) FROM memories")))[0][0] == 0


def test_sqlite_is_new_enough_for_the_full_text_index():
    with sqlite3.connect(":memory:") as connection:
        connection.execute(
            "CREATE VIRTUAL TABLE words USING fts5(text, tokenize='porter unicode61')"
        )
