"""What `check` says of persona files, without putting them to use."""

import pytest

from orchestra.personas.check import KNOWN_PLACEHOLDERS, Finding, check
from orchestra.personas.files import write_persona
from orchestra.settings import ROOT


@pytest.fixture
def folder(tmp_path, make_persona):
    def add(name, **fields):
        persona = make_persona(name, **fields)
        (tmp_path / f"{name}.md").write_text(write_persona(persona), encoding="utf-8")
        return persona

    add.path = tmp_path
    return add


def test_a_sound_file_is_told_with_name_and_revision(folder):
    persona = folder("mira")
    expected = Finding("mira.md", ok=True, detail=f"Mira, revision {persona.revision}")
    assert check(folder.path / "mira.md") == [expected]


def test_an_empty_folder_is_not_sound(tmp_path):
    (found,) = check(tmp_path)
    assert not found.ok
    assert found.detail == "there is no persona file (NAME.md) here"


def test_every_file_is_looked_at_even_after_a_broken_one(folder):
    folder("mira")
    (folder.path / "bad.md").write_text("nothing", encoding="utf-8")
    found = check(folder.path)
    assert [(one.source, one.ok) for one in found] == [("bad.md", False), ("mira.md", True)]
    assert found[0].detail.startswith("front matter is 'nothing', but ")


def test_a_placeholder_that_nobody_fills_in_is_told_with_the_known_ones(folder):
    folder("mira", template="[task] [mood] [domain] [luck]")
    (found,) = check(folder.path)
    assert not found.ok
    assert found.detail.startswith("the prompt asks for [mood], [luck], which nobody fills in.")
    assert "Known: [client_history], [context], [domain]," in found.detail


def test_all_known_placeholders_pass(folder):
    folder("mira", template=" ".join(f"[{name}]" for name in KNOWN_PLACEHOLDERS))
    assert [one.ok for one in check(folder.path)] == [True]


def test_a_domain_that_two_personas_own_is_told_of_the_later_one(folder):
    folder("adam", domains=("sea", "garden"))
    folder("mira", domains=("garden",))
    bad = [one for one in check(folder.path) if not one.ok]
    detail = "domain 'garden' already belongs to Adam"
    assert bad == [Finding("mira.md", ok=False, detail=detail)]


def test_a_file_that_is_not_there_is_told_not_raised(tmp_path):
    (found,) = check(tmp_path / "none.md")
    assert (found.source, found.ok) == ("none.md", False)
    assert found.detail == "cannot be read: No such file or directory"


def test_the_shipped_personas_are_sound():
    assert [one.ok for one in check(ROOT / "personas_seed")] == [True, True, True]
