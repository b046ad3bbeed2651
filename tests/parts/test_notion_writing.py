"""Personas written into Notion, over the wire: the table made, rows changed, faults survived."""

from __future__ import annotations

import json

import pytest

from orchestra.errors import PersonaChangedError, PersonaConflictError, PersonaStoreError
from orchestra.personas.editor import ANY, Editor
from orchestra.personas.files import PersonaFiles
from orchestra.personas.history import PersonaHistory
from orchestra.personas.kept import KeptTable
from orchestra.personas.notion import wire as wire_module
from orchestra.personas.notion.cells import COLUMNS
from orchestra.personas.notion.setup import Made, complete, examine, find_table, new_table
from orchestra.personas.notion.store import NotionPersonas
from orchestra.personas.notion.wire import NotionWire
from orchestra.personas.roster import Roster
from orchestra.settings import ROOT
from orchestra.transfer.copying import carry_out, planned
from orchestra.types.persona import same_words
from tests.doubles.notion import TOKEN, Fault, NotionServer
from tests.doubles.notion_content import typed

SEED = ROOT / "personas_seed"


@pytest.fixture
async def shipped():
    return (await PersonaFiles(SEED).load()).members


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(wire_module, "REQUEST_SECONDS", 1.5)
    monkeypatch.setattr(wire_module, "_PAUSE_SECONDS", 0.01)
    with NotionServer() as opened:
        yield opened


@pytest.fixture
async def wire(server):
    opened = NotionWire(TOKEN, server.url)
    yield opened
    await opened.close()


@pytest.fixture
def init(wire, server, shipped, tmp_path):
    async def run(folder="data", reference=None):
        (tmp_path / folder).mkdir(exist_ok=True)
        note = tmp_path / folder / "tables.json"
        known = reference or await find_table(wire, server.parent_page_id, note)
        made = Made(
            known or await new_table(wire, server.parent_page_id, note), created=known is None
        )
        store = NotionPersonas(wire, made.database_id, KeptTable(tmp_path / folder / "kept", "t"))
        await complete(store, shipped, made)
        return store, made

    return run


@pytest.fixture
async def store(init):
    opened, _ = await init()
    await opened.load()
    return opened


def rows(server, database_id):
    source = server.databases[database_id]
    return [one for one in server.rows.values() if one["parent"]["data_source_id"] == source]


async def test_init_makes_a_table_that_says_what_belongs_where(init, server, shipped):
    store, made = await init()
    assert made.created
    assert made.personas == ["Cherry", "Karen", "Sophia"]
    schema = server.schemas[made.data_source_id]
    assert list(schema) == [one.name for one in COLUMNS.values()]
    assert "0 (not at all) to 1" in schema["Openness"]["description"]
    assert all(one["description"] for one in schema.values())
    assert all(len(one["description"]) <= 280 for one in schema.values())
    first = rows(server, made.database_id)[0]
    assert first["icon"] == {"type": "emoji", "emoji": "🍒"}
    assert first["properties"]["Active"]["checkbox"] is True
    read = await store.load()
    assert read.members == shipped
    assert read.problems == ()


@pytest.mark.parametrize("folder", ["data", "of somebody else"])
async def test_init_can_be_run_again_and_changes_nothing(init, server, folder):
    store, made = await init()
    (karen,) = [one for one in (await store.load()).members if one.id == "karen"]
    edited = next(one for one in rows(server, made.database_id) if named(one) == "Karen")
    server.edit(edited["id"], Humor=0.1)
    before = json.dumps(server.rows)
    again, second = await init(folder)
    assert (second.database_id, second.created) == (made.database_id, False)
    assert (second.columns, second.personas) == ([], [])
    assert set(second.skipped) == {"Cherry", "Karen", "Sophia"}
    assert json.dumps(server.rows) == before
    assert (await again.load()).get("karen").traits.humor == 0.1 != karen.traits.humor


def named(row):
    return row["properties"]["Name"]["title"][0]["plain_text"]


async def test_init_adds_what_an_older_table_lacks(init, server, shipped):
    table = server.add_table(
        {"Name": {"title": {}}, "role ": {"rich_text": {}}, "Mood": {"rich_text": {}}}
    )
    store, made = await init(reference=table)
    assert not made.created
    assert "Role" not in made.columns
    assert "Openness" in made.columns
    assert "Mood" in server.schemas[server.databases[table]]
    assert (await store.load()).members == shipped


async def test_init_that_broke_off_half_way_is_finished_by_the_next(init, server, shipped):
    server.fail_at = ("POST pages", 2, Fault(500, "internal_server_error"))
    with pytest.raises(PersonaStoreError, match="500"):
        await init()
    store, made = await init()
    assert made.skipped == {"Cherry": "it has a row already"}
    assert (await store.load()).members == shipped


async def test_a_limit_is_waited_out_where_it_is_short(init, server, shipped):
    server.per_second = 4
    store, _ = await init()
    assert (await store.load()).members == shipped


async def test_what_is_written_is_read_back_word_by_word(store, server, shipped):
    karen = shipped[1]
    odd = "# No heading\n> no quote\n- a *list* of [x] <y> `z` ~ | ^ $ \\ {}\n1. one\n  two  spaces"
    example = {"message": odd, "reply": odd}
    changed = karen.model_validate(
        {
            **karen.model_dump(exclude={"revision"}),
            "name": "Kären O’Hara, Jr.",
            "backstory": "B" * 4500 + odd,
            "template": "[task]\n## Examples\n" + odd + "T" * 4500,
            "voice": odd,
            "examples": [example, *karen.examples],
            "domains": ("sales", "new things"),
            "icon": "🦄",
            "avatar": "",
            "accent": "#123456",
            "card": {"spec": "chara_card_v2", "data": {"x": odd}},
        }
    )
    await store.put(changed, karen)
    read = (await store.load()).get("karen")
    assert same_words(read, changed)
    assert read.card == changed.card
    await store.put(karen, read)
    assert same_words((await store.load()).get("karen"), karen)


@pytest.mark.parametrize("knows_markdown", [True, False])
async def test_only_what_differs_is_written_and_notes_stay(store, server, shipped, knows_markdown):
    server.knows_markdown = knows_markdown
    page_id = store._places["karen"].page["id"]
    server.write(page_id, "Ask Anna before editing.\n## Examples\n> Old?\nOld.\n# Notes\nMine.")
    await store.load()
    asked = server.asked.copy()
    traits = shipped[1].traits.model_copy(update={"humor": 0.1})
    before = (await store.load()).get("karen")
    await store.put(before.model_copy(update={"traits": traits}), before)
    assert server.asked["PATCH pages"] == asked["PATCH pages"] + 1
    assert server.asked["PATCH blocks"] == asked["PATCH blocks"]
    await store.put(shipped[1], (await store.load()).get("karen"))
    kept = [one["plain_text"] for block in server.pages[page_id] for one in words(block)]
    assert "Ask Anna before editing." in kept
    assert kept.index("Notes") == kept.index("Mine.") - 1
    assert "Old?" not in kept
    assert same_words((await store.load()).get("karen"), shipped[1])


def words(block):
    return block[block["type"]]["rich_text"]


async def test_an_id_that_does_not_follow_from_the_name_stays_for_everybody(
    store, wire, shipped, tmp_path
):
    odd = shipped[1].model_copy(
        update={"id": "of-her-own", "name": "Zoë", "domains": (), "avatar": ""}
    )
    await store.put(odd, None)
    assert (await store.load()).get("of-her-own").name == "Zoë"
    reference = store.table._reference
    elsewhere = NotionPersonas(wire, reference, KeptTable(tmp_path / "elsewhere", "t"))
    assert "of-her-own" in (await elsewhere.load()).ids


async def test_who_is_removed_lies_in_the_trash(store, server, shipped):
    page_id = store._places["karen"].page["id"]
    await store.remove("karen")
    assert server.rows[page_id]["in_trash"]
    assert (await store.load()).ids == ("cherry", "sophia")
    await store.put(shipped[1], None)
    assert (await store.load()).ids == ("cherry", "karen", "sophia")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda server: server.remove_column("Accent"), "no column 'Accent'"),
        (lambda server: setattr(server, "may_write", False), "update and insert"),
        (lambda server: server.always(Fault(503, "service_unavailable")), "503"),
        (lambda server: server.always(Fault(hang=True)), "is silent"),
        (lambda server: server.always(Fault(drop=True)), "cannot be reached"),
        (lambda server: server.always(Fault(409, "conflict_error")), "409"),
    ],
)
async def test_what_notion_will_not_take_is_told_and_changes_nothing(
    store, server, shipped, spoil, said
):
    server.data_source_id = await store.table.data_source_id()
    before = json.dumps([server.rows, server.pages])
    spoil(server)
    with pytest.raises(PersonaStoreError, match=said):
        await store.put(shipped[1].model_copy(update={"accent": "#123456"}), shipped[1])
    server.always(None)
    server.may_write = True
    if said != "no column 'Accent'":
        assert json.dumps([server.rows, server.pages]) == before
    assert (await store.load()).get("karen").accent != "#123456"


async def test_a_column_of_a_type_that_cannot_be_written_says_which(store, server, shipped):
    server.data_source_id = await store.table.data_source_id()
    server.schemas[server.data_source_id]["Humor"]["type"] = "formula"
    traits = shipped[1].traits.model_copy(update={"humor": 0.1})
    with pytest.raises(PersonaStoreError, match="'Humor' is of the type formula"):
        await store.put(shipped[1].model_copy(update={"traits": traits}), shipped[1])


async def test_a_push_that_fails_half_way_is_taken_back(store, server, shipped):
    here = {one.id: one for one in (await store.load()).members}
    coming = [one.model_copy(update={"role": f"New {one.name}"}) for one in shipped]
    server.fail_at = (
        "PATCH pages",
        server.asked["PATCH pages"] + 3,
        Fault(400, "validation_error"),
    )
    with pytest.raises(PersonaStoreError, match=r"'sophia' .* Everything is as it was before"):
        await carry_out(planned(coming, here, store.source), store)
    assert (await store.load()).members == shipped


async def test_a_row_that_was_wrong_is_whole_again_after_a_rollback(
    store, server, shipped, tmp_path
):
    from orchestra.database import Database

    database = Database(tmp_path / "history")
    await database.open()
    history = PersonaHistory(database)
    roster = Roster(store, ttl_seconds=300, recorder=history.record)
    await roster.current()
    page_id = store._places["sophia"].page["id"]
    server.edit(page_id, Humor=None, Role="", Backstory="")
    assert len((await roster.reload()).problems) == 3
    await Editor(roster, history).roll_back("sophia", 1, ANY, "anna")
    personas = await roster.current()
    assert personas.problems == ()
    assert personas.get("sophia") == shipped[2]
    assert (
        server.rows[page_id]["properties"]["Role"]["rich_text"][0]["plain_text"] == shipped[2].role
    )
    await database.close()


async def test_an_icon_is_drawn_and_ours_stands_for_our_picture(store, server, shipped):
    page_id = store._places["karen"].page["id"]
    server.set_icon(page_id, "🦄")
    read = (await store.load()).get("karen")
    assert (read.icon, read.avatar) == ("🦄", "")
    server.set_icon(page_id, "📣")
    assert (await store.load()).get("karen") == shipped[1]


def spoilt(findings):
    return [(one.part, one.detail) for one in findings if not one.ok]


async def test_check_finds_nothing_where_nothing_is_wrong(store, wire):
    findings = await examine(wire, store)
    assert spoilt(findings) == []
    assert [one.part for one in findings] == [
        "token", "sharing", "capabilities", "columns", "row", "row", "row",
    ]  # fmt: skip


async def test_check_says_what_is_wrong_and_how_to_mend_it(store, wire, server):
    server.data_source_id = await store.table.data_source_id()
    sophia = store._places["sophia"].page["id"]
    server.edit(sophia, Formality=7)
    server.may_write = False
    server.schemas[server.data_source_id]["Humor"]["type"] = "formula"
    server.remove_column("Accent")
    server.remove_column("Openness")
    findings = await examine(wire, store)
    said = dict(spoilt(findings))
    assert said["capabilities"] == "the connection may only read"
    assert ("column", "'Openness' is missing") in spoilt(findings)
    assert ("column", "'Humor' is of the type formula, and should be number") in spoilt(findings)
    assert any("'Accent' is missing, which is fine" in one.detail for one in findings if one.ok)
    assert any("Formality is 7" in detail for _, detail in spoilt(findings))
    assert all(one.fix for one in findings if not one.ok)
    server.is_shared = False
    store.table._data_source_id = None
    (wrong,) = [one for one in await examine(wire, store) if not one.ok]
    assert wrong.part == "sharing"
    assert "share the table with the connection" in wrong.detail
    server.token = "another"
    (wrong,) = await examine(wire, store)
    assert wrong.part == "token"
    assert "NOTION_API_KEY" in wrong.detail


def changed(persona, **fields):
    return persona.model_copy(update=fields)


@pytest.mark.parametrize("knows_markdown", [True, False])
async def test_a_page_with_more_than_text_on_it_is_read_and_never_rewritten(
    store, server, shipped, knows_markdown
):
    server.knows_markdown = knows_markdown
    page_id = store._places["karen"].page["id"]
    picture = {"id": "p", "type": "image", "image": {"type": "external"}, "has_children": False}
    server.pages[page_id].append(picture)
    server.edit(page_id, Humor=0.8)
    read = await store.load()
    assert read.get("karen").examples == shipped[1].examples
    fewer = changed(read.get("karen"), examples=shipped[1].examples[:1])
    with pytest.raises(PersonaStoreError, match="would be lost"):
        await store.put(fewer, read.get("karen"))
    assert picture in server.pages[page_id]


async def test_a_table_without_a_column_for_the_prompt_keeps_it_on_the_page(store, server, shipped):
    server.data_source_id = await store.table.data_source_id()
    server.remove_column("Prompt Template")
    karen = (await store.load()).get("karen")
    for template in ("MY OWN PROMPT [task]", "T" * 2500, "SHORT"):
        wanted = changed(karen, template=template)
        await store.put(wanted, karen)
        karen = (await store.load()).get("karen")
        assert karen.template == template


async def test_what_an_author_types_meanwhile_is_not_overwritten(store, server, shipped):
    page_id = store._places["karen"].page["id"]
    fewer = changed(shipped[1], examples=shipped[1].examples[:1])
    server.pages[page_id] += typed("## Notes\nTWO HOURS OF WORK")
    await store.put(fewer, shipped[1])
    assert "TWO HOURS OF WORK" in said_on(server, page_id)
    assert (await store.load()).get("karen") == fewer
    server.pages[page_id] += typed("## Examples\n> Mine?\nMine.")
    with pytest.raises(PersonaChangedError, match="edits its page"):
        await store.put(shipped[1], fewer)
    await store.load()
    server.edit(page_id, Role="Typed meanwhile")
    with pytest.raises(PersonaChangedError, match="edits its row"):
        await store.put(changed(fewer, role="From here"), fewer)


def said_on(server, page_id):
    return [one["plain_text"] for block in server.pages[page_id] for one in words(block)]


async def test_a_title_may_have_any_name(store, server, shipped):
    server.data_source_id = await store.table.data_source_id()
    server.rename("Name", "Persona")
    server._add_columns(server.data_source_id, {"Name": {"rich_text": {}}})
    for row in server.rows.values():
        row["properties"]["Name"] = {"id": "x", "type": "rich_text", "rich_text": []}
    karen = (await store.load()).get("karen")
    await store.put(changed(karen, name="Karin"), karen)
    assert (await store.load()).get("karen").name == "Karin"
    new = changed(karen, id="zoe", name="Zoe", domains=(), avatar="")
    await store.put(new, None)
    assert "zoe" in (await store.load()).ids


@pytest.mark.parametrize(
    ("spoil", "said"),
    [({"Active": False}, "is switched off"), ({"Backstory": ""}, "cannot be understood")],
)
async def test_a_row_that_does_not_answer_is_nobodys_to_overwrite(
    store, server, shipped, spoil, said
):
    server.data_source_id = await store.table.data_source_id()
    zoe = changed(shipped[1], id="zoe", name="Zoe", domains=(), avatar="")
    page_id = server.add("Zoe", **{"Role": "Poet", "Backstory": "Typed for an hour.", **spoil})
    before = json.dumps(server.rows[page_id])
    there = {one.id: one for one in (await store.load()).members}
    with pytest.raises(PersonaConflictError, match=said):
        await store.put(zoe, None)
    roles = [changed(shipped[1], role="Pushed"), zoe]
    with pytest.raises(PersonaStoreError, match="Everything is as it was before"):
        await carry_out(planned(roles, there, store.source), store)
    assert json.dumps(server.rows[page_id]) == before
    assert (await store.load()).get("karen") == shipped[1]
    assert store.misread() == (frozenset() if "Active" in spoil else {"zoe"})


async def test_what_was_typed_where_we_would_not_is_replaced_all_the_same(store, server, shipped):
    page_id = store._places["karen"].page["id"]
    server.edit(page_id, **{"Prompt Template": "A" * 2500 + " [task]", "Voice": ""})
    server.write(page_id, "## Voice\nOn the page.\n## Prompt\nOld.\n## Notes\nMine.")
    karen = (await store.load()).get("karen")
    assert (len(karen.template), karen.voice) == (2507, "On the page.")
    wanted = changed(karen, template="B" * 2600, voice="")
    await store.put(wanted, karen)
    read = (await store.load()).get("karen")
    assert (read.template, read.voice) == ("B" * 2600, "")
    await store.put(changed(read, template="[task]"), read)
    assert (await store.load()).get("karen").template == "[task]"
    assert "Mine." in said_on(server, page_id)


async def test_a_subject_that_is_hidden_by_a_clash_stays_in_its_row(store, server, shipped):
    cherry, sophia = (store._places[one].page["id"] for one in ("cherry", "sophia"))
    server.edit(sophia, Domains=["research", "general"])
    read = (await store.load()).get("sophia")
    assert read.domains == ("research",)
    await store.put(changed(read, role="Star gazer"), read)
    server.edit(cherry, Domains=[])
    assert (await store.load()).get("sophia").domains == ("research", "general")


async def test_a_row_is_not_added_twice_because_an_answer_was_lost(store, server, shipped):
    zoe = changed(shipped[1], id="zoe", name="Zoe", domains=(), avatar="")
    lost = Fault(504, "gateway_timeout", headers=(("retry-after", "0.01"),))
    server.fail_at = ("POST pages", server.asked["POST pages"] + 1, lost)
    with pytest.raises(PersonaStoreError, match="504"):
        await store.put(zoe, None)
    assert server.asked["POST pages"] == 4  # three by init


async def test_a_row_that_comes_back_from_the_trash_does_not_take_an_id(store, server, shipped):
    page_id = store._places["karen"].page["id"]
    await store.remove("karen")
    await store.load()
    await store.put(changed(shipped[1], role="The new one"), None)
    await store.load()
    server.rows[page_id]["in_trash"] = False
    read = await store.load()
    assert sorted(read.ids) == ["cherry", "karen", "karen-2", "sophia"]
    assert len(set(read.ids)) == 4


async def test_cells_are_taken_back_when_the_page_cannot_be_written(store, server, shipped):
    page_id = store._places["karen"].page["id"]
    wanted = changed(
        shipped[1], role="Half", domains=("sales", "law"), examples=(), icon="🦄", avatar=""
    )
    server.fail_at = (
        "PATCH pages",
        server.asked["PATCH pages"] + 2,
        Fault(403, "restricted_resource"),
    )
    with pytest.raises(PersonaStoreError, match="403"):
        await store.put(wanted, shipped[1])
    assert server.rows[page_id]["icon"]["emoji"] == "📣"
    assert (await store.load()).get("karen") == shipped[1]


async def test_an_icon_is_taken_away_and_given(store, server, shipped):
    page_id = store._places["karen"].page["id"]
    zoe = changed(shipped[1], id="zoe", name="Zoe", domains=(), avatar="", icon="🦊")
    await store.put(zoe, None)
    assert (await store.load()).get("zoe").icon == "🦊"
    await store.put(changed(zoe, icon=""), zoe)
    assert (await store.load()).get("zoe").icon == ""
    server.edit(page_id, Humor=None)
    karen = (await store.load()).get("karen")
    await store.put(changed(karen, icon="🦊", avatar=""), karen)
    assert (await store.load()).get("karen").icon == "🦊"


async def test_being_asked_too_often_without_a_time_is_waited_out(store, server, monkeypatch):
    monkeypatch.setattr(wire_module, "_LIMITED_SECONDS", 0.01)
    server.fail(Fault(429, "rate_limited"), Fault(429, "rate_limited"))
    assert len((await store.load()).members) == 3


async def test_a_server_that_answers_404_for_markdown_is_read_by_blocks(store, server, shipped):
    server.fail_at = ("GET pages", 1, Fault(404, body="Not Found"))
    store.table.forget()
    server.asked["GET pages"] = 0
    assert (await store.load()).members == shipped


async def test_a_nought_has_no_place_either_where_its_column_is_missing(store, server, shipped):
    server.data_source_id = await store.table.data_source_id()
    server.remove_column("Humor")
    traits = shipped[1].traits.model_copy(update={"humor": 0.0})
    with pytest.raises(PersonaStoreError, match="no column 'Humor'"):
        await store.put(shipped[1].model_copy(update={"traits": traits}), shipped[1])
