"""Personas in the database, their versions, and changes by the editor, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest

from orchestra.database import Database
from orchestra.errors import (
    PersonaChangedError,
    PersonaConflictError,
    PersonaInvalidError,
    PersonaNotFoundError,
    PersonaStoreError,
    StorageError,
)
from orchestra.personas.editor import ANY, Editor
from orchestra.personas.files import PersonaFiles
from orchestra.personas.history import PersonaHistory
from orchestra.personas.roster import Roster
from orchestra.personas.sql import SqlPersonas
from orchestra.personas.statistics import Statistics
from orchestra.settings import ROOT
from orchestra.tables import personas as persona_table

FILES = PersonaFiles(ROOT / "personas_seed")


@pytest.fixture
def store(database):
    return SqlPersonas(database, FILES)


@pytest.fixture
def history(database):
    return PersonaHistory(database)


@pytest.fixture
def roster(store, history):
    return Roster(store, ttl_seconds=300, recorder=history.record)


@pytest.fixture
def editor(roster, history):
    return Editor(roster, history)


async def edited(roster, persona_id="sophia", **changes):
    persona = (await roster.current()).get(persona_id)
    traits = persona.traits.model_copy(update=changes.pop("traits", {}))
    return persona.model_copy(update={**changes, "traits": traits})


async def test_an_empty_table_is_filled_with_the_shipped_personas_whole(store):
    shipped = await FILES.load()
    assert (await store.load()).members == shipped.members


async def test_two_processes_that_fill_the_table_fill_it_once(database):
    stores = [SqlPersonas(database, FILES) for _ in range(5)]
    loaded = await asyncio.gather(*(one.load() for one in stores))
    assert {one.revision for one in loaded} == {(await FILES.load()).revision}


async def test_a_row_that_somebody_spoilt_leaves_the_others(store, database):
    await store.load()
    spoil = persona_table.update().where(persona_table.c.id == "karen").values(examples="[{}]")
    await database.write(lambda connection: connection.execute(spoil))
    read = await store.load()
    assert read.ids == ("cherry", "sophia")
    assert read.problems[0].startswith("Karen: ")


async def test_the_database_refuses_a_trait_beyond_the_scale(store, database):
    await store.load()
    spoil = persona_table.update().values(humor=1.5)
    with pytest.raises(StorageError, match="humor_from_0_to_1"):
        await database.write(lambda connection: connection.execute(spoil))


async def test_every_content_is_a_version_once(roster, history, editor):
    await roster.current()
    await roster.reload()
    (first,) = await history.versions("sophia")
    assert (first.version, first.changes, first.author) == (1, ("first seen",), "")
    changed = await editor.replace(await edited(roster, traits={"formality": 0.4}), ANY, "anna")
    assert changed.traits.formality == 0.4
    newest, oldest = await history.versions("SOPHIA")
    assert newest.changes == ("formality 0.9 to 0.4",)
    assert newest.author == "anna"
    assert newest.source.endswith("table personas")
    assert newest.seen_at >= oldest.seen_at
    assert newest.revision == changed.revision


async def test_a_rollback_is_a_version_of_its_own_and_goes_to_the_store(
    roster, history, editor, store
):
    await roster.current()
    await editor.replace(await edited(roster, role="Star gazer"), ANY, "anna")
    back = await editor.roll_back("sophia", 1, ANY, "ben")
    assert back == (await store.load()).get("sophia") == (await FILES.load()).get("sophia")
    newest = (await history.versions("sophia"))[0]
    assert (newest.version, newest.author, newest.note) == (3, "ben", "back to version 1")
    with pytest.raises(PersonaNotFoundError, match="version 9"):
        await editor.roll_back("sophia", 9, ANY, "ben")


async def test_an_edit_in_the_store_itself_has_no_author(roster, history, editor, store):
    await roster.current()
    same = await edited(roster)
    await editor.replace(same, ANY, "anna")  # changes nothing, and so is no version
    await store.put(await edited(roster, role="Star gazer"), same)
    await roster.reload()
    newest, *_ = await history.versions("sophia")
    assert (newest.version, newest.author) == (2, "")


async def test_who_was_removed_can_be_brought_back(roster, history, editor):
    await roster.current()
    await editor.remove("karen", ANY, "anna")
    assert (await roster.current()).ids == ("cherry", "sophia")
    newest, *_ = await history.versions("karen")
    assert newest.changes == ("removed",)
    await editor.roll_back("karen", 1, ANY, "anna")
    assert (await roster.current()).ids == ("cherry", "karen", "sophia")


async def test_of_two_who_change_the_same_revision_one_is_told(roster, editor, history):
    before = (await roster.current()).get("sophia").revision
    one, two = await edited(roster, role="A"), await edited(roster, role="B")
    done = await asyncio.gather(
        editor.replace(one, before, "anna"),
        editor.replace(two, before, "ben"),
        return_exceptions=True,
    )
    assert done[0].role == "A"
    assert isinstance(done[1], PersonaChangedError)
    assert [act.author for act in await history.acts("sophia")] == ["ben", "anna"]
    assert [act.outcome == "done" for act in await history.acts("sophia")] == [False, True]


async def test_what_cannot_be_is_refused_before_anything_is_written(roster, editor):
    revision = (await roster.current()).revision
    with pytest.raises(PersonaConflictError, match="already"):
        await editor.create(await edited(roster), "anna")
    with pytest.raises(PersonaNotFoundError):
        await editor.replace(await edited(roster, id="zoe"), ANY, "anna")
    with pytest.raises(PersonaNotFoundError):
        await editor.remove("zoe", ANY, "anna")
    with pytest.raises(PersonaInvalidError, match="'sales', but it already belongs to Karen"):
        await editor.replace(await edited(roster, domains=("sales",)), ANY, "anna")
    await editor.remove("karen", ANY, "anna")
    await editor.remove("sophia", ANY, "anna")
    with pytest.raises(PersonaConflictError, match="last one"):
        await editor.remove("cherry", ANY, "anna")
    await editor.roll_back("karen", 1, ANY, "anna")
    await editor.roll_back("sophia", 1, ANY, "anna")
    assert (await roster.reload()).revision == revision


async def test_two_processes_that_see_the_same_edit_keep_it_once(store, database):
    rosters = []
    for _ in range(4):
        history = PersonaHistory(database)
        rosters.append(Roster(store, ttl_seconds=300, recorder=history.record))
    await asyncio.gather(*(one.current() for one in rosters))
    before = await edited(rosters[0])
    await store.put(await edited(rosters[0], role="Star gazer"), before)
    await asyncio.gather(*(one.reload() for one in rosters))
    assert [one.version for one in await PersonaHistory(database).versions("sophia")] == [2, 1]


async def test_versions_that_could_not_be_kept_are_kept_at_the_next_reading(store, history, caplog):
    broken = [True]

    async def record(personas):
        if broken[0]:
            message = "The disk is full."
            raise StorageError(message)
        await history.record(personas)

    roster = Roster(store, ttl_seconds=300, recorder=record)
    assert (await roster.current()).ids
    assert "not kept yet: The disk is full." in caplog.text
    broken[0] = False
    await roster.reload()
    assert len(await history.versions("cherry")) == 1


async def test_figures_of_somebody_new_are_all_nought(roster, database):
    persona = (await roster.current()).get("karen")
    figures = await Statistics(database).of(persona)
    assert (figures.decisions, figures.people, figures.thumbs_up, figures.versions) == (0, 0, 0, 1)
    assert figures.last_decision_at is None


async def test_a_table_whose_database_is_gone_says_so(tmp_path):
    database = Database(tmp_path / "gone")
    store = SqlPersonas(database, FILES)
    with pytest.raises(PersonaStoreError, match="SQLite"):
        await store.load()
    with pytest.raises(PersonaStoreError, match="SQLite"):
        await store.remove("karen")
    await database.close()


async def test_files_are_written_and_removed(tmp_path):
    files = PersonaFiles(tmp_path)
    for one in (await FILES.load()).members:
        await files.put(one, None)
    assert (await files.load()).members == (await FILES.load()).members
    await files.remove("karen")
    await files.remove("karen")
    assert (await files.load()).ids == ("cherry", "sophia")
    gone = PersonaFiles(tmp_path / "nowhere")
    with pytest.raises(PersonaStoreError, match="cannot be written"):
        await gone.put((await FILES.load()).members[0], None)


async def test_two_processes_with_one_revision_lose_no_update(store, database):
    editors, rosters = [], []
    for _ in range(2):
        history = PersonaHistory(database)
        rosters.append(Roster(store, ttl_seconds=300, recorder=history.record))
        await rosters[-1].current()
        editors.append(Editor(rosters[-1], history))
    before = (await rosters[0].current()).get("sophia").revision
    one, two = await edited(rosters[0], role="A"), await edited(rosters[1], voice="B")
    done = await asyncio.gather(
        editors[0].replace(one, before, "anna"),
        editors[1].replace(two, before, "ben"),
        return_exceptions=True,
    )
    (lost,) = [one for one in done if isinstance(one, Exception)]
    (kept,) = [one for one in done if not isinstance(one, Exception)]
    assert isinstance(lost, PersonaChangedError)
    assert (await store.load()).get("sophia") == kept
    newest, *_ = await PersonaHistory(database).versions("sophia")
    assert (newest.version, newest.author) == (2, "anna" if kept.role == "A" else "ben")


async def test_somebody_who_cannot_be_read_is_neither_removed_nor_overwritten(
    roster, store, database, editor, history
):
    karen = (await roster.current()).get("karen")
    spoil = persona_table.update().where(persona_table.c.id == "karen").values(domains="[")
    await database.write(lambda connection: connection.execute(spoil))
    assert (await roster.reload()).unread == ("karen",)
    assert [one.version for one in await history.versions("karen")] == [1]
    with pytest.raises(PersonaConflictError, match="already"):
        await editor.create(karen, "anna")


async def test_a_stale_revision_brings_nobody_back(roster, editor):
    await roster.current()
    await editor.remove("karen", ANY, "anna")
    with pytest.raises(PersonaChangedError, match="it is gone"):
        await editor.roll_back("karen", 1, "deadbeef0000", "anna")


async def test_a_file_holds_text_that_looks_like_a_section_or_a_message(tmp_path):
    karen = (await FILES.load()).get("karen")
    odd = "## Prompt\nhello\n> quoted\n\\## not\n\\> neither"
    example = {"message": odd, "reply": odd}
    fields = karen.model_dump(exclude={"revision"})
    persona = karen.model_validate(
        {**fields, "backstory": odd, "template": odd, "examples": [example]}
    )
    files = PersonaFiles(tmp_path)
    await files.put(persona, None)
    assert (await files.load()).get("karen") == persona
    with pytest.raises(PersonaChangedError, match="was edited"):
        await files.put(karen, karen)


async def test_a_file_may_have_capitals_and_any_line_ends(tmp_path):
    karen = (await FILES.load()).get("karen")
    files = PersonaFiles(tmp_path)
    await files.put(karen, None)
    (tmp_path / "karen.md").rename(tmp_path / "Karen.md")
    fields = {**karen.model_dump(exclude={"revision"}), "backstory": "One.\r## Two\r\n> three"}
    odd = karen.model_validate(fields)
    await files.put(odd, karen)
    assert (await files.load()).get("karen").backstory == "One.\n## Two\n> three"
    await files.remove("karen")
    assert list(tmp_path.iterdir()) == []


async def test_a_subject_that_a_clash_hides_stays_in_its_row(roster, store, editor):
    karen = (await roster.current()).get("karen")
    both = karen.model_copy(update={"domains": (*karen.domains, "general")})
    await store.put(both, karen)
    served = (await roster.reload()).get("karen")
    assert served.domains == karen.domains  # Cherry has it first
    await editor.replace(served.model_copy(update={"role": "Closer"}), served.revision, "anna")
    await editor.remove("cherry", ANY, "anna")
    assert (await roster.current()).get("karen").domains == both.domains
