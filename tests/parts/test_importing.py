"""Files with personas, brought into a live store: all of a file, or nothing."""

from __future__ import annotations

import json

import pytest

from orchestra.errors import PersonaInvalidError, PersonaStoreError
from orchestra.personas.files import PersonaFiles, write_persona
from orchestra.personas.roster import Roster
from orchestra.settings import ROOT
from orchestra.transfer import cards, document
from orchestra.transfer.importing import bring, read_file

SEED = PersonaFiles(ROOT / "personas_seed")


@pytest.fixture
async def roster(tmp_path):
    folder = tmp_path / "live"
    folder.mkdir()
    files = PersonaFiles(folder)
    for one in (await SEED.load()).members:
        await files.put(one, None)
    return Roster(files, ttl_seconds=300)


def file_with(tmp_path, content, name="coming.json"):
    path = tmp_path / name
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(raw)
    return path


async def test_a_document_of_everybody_changes_nothing(roster, tmp_path):
    personas = await roster.current()
    coming = read_file(file_with(tmp_path, document.written(personas)))
    steps = await bring(coming, roster, dry_run=False)
    assert {one.action for one in steps} == {"keep"}
    assert (await roster.current()).revision == personas.revision


async def test_what_reads_like_a_row_is_a_persona(roster, tmp_path):
    row = {
        "name": "Zoe", "role": "Poet", "backstory": "Writes at night.", "prompt_template": "[task]",
        "openness": 1, "conscientiousness": 0, "extraversion": 0.2, "agreeableness": 0.5,
        "neuroticism": 0.9, "humour": 0.1, "formality": 0.4, "domains": ["Poetry"], "active": True,
        "traits": None,
    }  # fmt: skip
    steps = await bring(read_file(file_with(tmp_path, [row])), roster, dry_run=False)
    assert (steps[0].persona_id, steps[0].action) == ("zoe", "add")
    zoe = (await roster.current()).get("zoe")
    assert (zoe.traits.humor, zoe.domains) == (0.1, ("poetry",))


async def test_a_dry_run_writes_nothing(roster, tmp_path):
    before = await roster.current()
    changed = before.get("karen").model_copy(update={"role": "Closer"})
    coming = read_file(file_with(tmp_path, write_persona(changed).encode(), "karen.md"))
    steps = await bring(coming, roster, dry_run=True)
    assert (steps[0].action, steps[0].detail) == ("change", "role")
    assert (await roster.reload()) == before


async def test_a_namesake_does_not_take_anybodys_place(roster, tmp_path):
    data = {"name": "Sophia", "description": "Another one."}
    card = {"spec": "chara_card_v2", "spec_version": "2.0", "data": data}
    before = await roster.current()
    for _ in range(2):  # the second time it is the same one
        await bring(read_file(file_with(tmp_path, card)), roster, dry_run=False)
    personas = await roster.current()
    assert personas.ids == ("cherry", "karen", "sophia", "sophia-2")
    assert personas.get("sophia") == before.get("sophia")
    for name in ("星野 愛", "さくら"):
        other = {**card, "data": {"name": name}}
        await bring(read_file(file_with(tmp_path, other)), roster, dry_run=False)
    assert len((await roster.current()).members) == 6


async def test_our_own_card_is_the_persona_itself(roster, tmp_path):
    karen = (await roster.current()).get("karen")
    changed = karen.model_copy(update={"role": "Closer"})
    raw = cards.written(changed, 3, as_picture=True)
    steps = await bring(read_file(file_with(tmp_path, raw, "k.png")), roster, dry_run=False)
    assert (steps[0].persona_id, steps[0].action) == ("karen", "change")
    assert (await roster.current()).get("karen") == changed


async def test_a_store_that_fails_half_way_is_as_before(roster, tmp_path):
    before = await roster.current()
    coming = [one.model_copy(update={"role": f"New {one.name}"}) for one in before.members]
    folder = roster.store.folder
    (folder / "sophia.part").mkdir()  # the third cannot be written
    with pytest.raises(PersonaStoreError, match="Everything is as it was before"):
        await bring(coming, roster, dry_run=False)
    assert (await roster.reload()) == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "must be JSON"),
        (b"[" * 100_000, "must be JSON"),
        (3, "must be a document"),
        ([3], "must be a document"),
        ({"personas": "all"}, "must be a document"),
        ([{"name": "Zoe"}], "persona 1: role is None, but it is required"),
        ({"spec": "chara_card_v2"}, "fields in 'data'"),
        (b"\x89PNG\r\n\x1a\n", "sound PNG"),
    ],
)
def test_a_file_that_is_none_says_what_is_wrong(tmp_path, content, said):
    with pytest.raises(PersonaInvalidError, match=said):
        read_file(file_with(tmp_path, content))


async def test_two_with_one_id_or_one_subject_bring_nobody(roster, tmp_path):
    before = await roster.current()
    karen = before.get("karen").model_dump(mode="json")
    with pytest.raises(PersonaInvalidError, match="two of its personas have it"):
        read_file(file_with(tmp_path, [karen, karen]))
    thief = {**karen, "id": "zoe", "name": "Zoe", "avatar": ""}
    del thief["revision"]
    with pytest.raises(PersonaInvalidError, match=r"zoe: domains is .* already belongs to Karen"):
        await bring(read_file(file_with(tmp_path, [thief])), roster, dry_run=False)
    assert (await roster.reload()) == before
    with pytest.raises(PersonaStoreError, match="cannot be read"):
        read_file(tmp_path / "nowhere.json")
