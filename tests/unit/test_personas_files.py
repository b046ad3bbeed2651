"""Personas as files: what is read, what is refused, and that writing loses nothing."""

import pytest

from orchestra.errors import PersonaInvalidError, PersonaStoreError
from orchestra.personas.files import PersonaFiles, read_persona, write_persona
from orchestra.settings import ROOT
from orchestra.types.persona import Example

MIRA = """\
---
name: Mira
role: Gardener
domains: [garden, weather]
accent: "#0a8f3c"
voice: plain and slow.
starters:
  - When do I prune roses?
traits:  # a comment
  openness: 0.1
  conscientiousness: 0.2
  extraversion: 0.3
  agreeableness: 0.4
  neuroticism: 0.5
  humor: 0.6
  formality: 1
---

## Backstory

Grew up among roses.

And thorns.

## Prompt

About [domain]: [task]

## Examples

> Rain?

Good for the roots.

> Sun?

Good for the leaves.

Also for you.
"""


@pytest.fixture
def written(tmp_path):
    def write(text, name="mira.md"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(path):
    with pytest.raises(PersonaInvalidError) as caught:
        read_persona(path)
    return caught.value


def test_a_file_is_read_with_names_numbers_and_sections(written):
    persona = read_persona(written(MIRA))
    assert (persona.id, persona.name, persona.role) == ("mira", "Mira", "Gardener")
    assert persona.domains == ("garden", "weather")
    assert persona.accent == "#0a8f3c"
    assert persona.traits.humor == 0.6
    assert persona.traits.formality == 1.0
    assert persona.backstory == "Grew up among roses.\n\nAnd thorns."
    assert persona.template == "About [domain]: [task]"
    assert persona.starters == ("When do I prune roses?",)
    assert persona.examples == (
        Example(message="Rain?", reply="Good for the roots."),
        Example(message="Sun?", reply="Good for the leaves.\n\nAlso for you."),
    )


def test_the_id_is_the_files_name_in_lower_case(written):
    assert read_persona(written(MIRA, "Mira-Two.md")).id == "mira-two"


def test_windows_line_ends_make_no_difference(written, tmp_path):
    path = tmp_path / "mira.md"
    path.write_bytes(MIRA.replace("\n", "\r\n").encode())
    read = read_persona(path)
    assert read == read_persona(written(MIRA))


def test_a_byte_order_mark_makes_no_difference(written):
    assert read_persona(written("\ufeff" + MIRA)).name == "Mira"


@pytest.mark.parametrize(
    ("old", "new", "field", "rule"),
    [
        ("humor: 0.6", "humor: 1.2", "traits.humor", "from 0 (not at all) to 1"),
        ("humor: 0.6", "humor: -0.1", "traits.humor", "from 0 (not at all) to 1"),
        ("humor: 0.6", "humor: .nan", "traits.humor", "from 0 (not at all) to 1"),
        ("humor: 0.6", "humor: high", "traits.humor", "must be a number from 0 to 1"),
        ("humor: 0.6", "humor:", "traits.humor", "must be a number from 0 to 1"),
        ("  humor: 0.6\n", "", "traits.humor", "is required"),
        ("  humor: 0.6\n", "  humor: 0.6\n  luck: 1\n", "traits.luck", "not a known field"),
        ("voice:", "voices:", "voices", "not a known field"),
        pytest.param(
            "name: Mira",
            "name: ''",
            "name",
            "must not be empty",
        ),
        ("name: Mira\n", "", "name", "is required"),
        ("name: Mira", "name: 12", "name", "valid string"),
        ('"#0a8f3c"', "green", "accent", "match pattern"),
        ("[garden, weather]", "garden", "domains", "valid tuple"),
        ("Grew up among roses.\n\nAnd thorns.", "", "backstory", "must not be empty"),
        ("## Prompt", "## Promt", "section", "Backstory, Prompt, Examples"),
        ("> Rain?\n", "Rain?\n", "Examples", "behind '> '"),
        ("Good for the roots.", "", "Examples", "needs a reply"),
        ("name: Mira", "name: a: b", "front matter", "YAML says"),
        ("---\nname", "name", "front matter", "must begin with '---'"),
    ],
)
def test_a_broken_file_is_refused_with_source_field_and_rule(written, old, new, field, rule):
    assert old in MIRA
    error = refusal(written(MIRA.replace(old, new, 1)))
    assert (error.source, error.field) == ("mira.md", field)
    assert rule in error.rule
    if field == "traits.humor" and new.strip() in {"", "humor:"}:
        assert error.value is None


def test_a_yaml_problem_is_told_with_its_line_in_the_file(written):
    error = refusal(written(MIRA.replace("role: Gardener", "role: a: b")))
    assert error.value == "line 3"


def test_an_impossible_date_in_the_front_matter_is_refused_like_other_yaml(written):
    assert refusal(written(MIRA.replace("name: Mira", "name: 2024-13-45"))).field == "front matter"


def test_yes_is_not_a_number(written):
    assert refusal(written(MIRA.replace("humor: 0.6", "humor: yes"))).field == "traits.humor"


def test_a_section_that_comes_twice_is_refused(written):
    assert refusal(written(MIRA + "\n## Prompt\n\nAnother.\n")).value == "Prompt"


def test_text_above_the_first_section_is_refused(written):
    refusal(written(MIRA.replace("## Backstory", "Lost words.\n\n## Backstory")))


def test_bytes_that_are_not_text_are_refused(tmp_path):
    path = tmp_path / "mira.md"
    path.write_bytes(MIRA.replace("Mira", "Mïra").encode("latin-1"))
    assert refusal(path).rule == "it must be UTF-8"


def test_a_file_name_that_cannot_be_an_id_is_refused(written):
    assert refusal(written(MIRA, "my mira.md")).field == "id"


def test_what_is_written_is_read_back_unchanged(written):
    persona = read_persona(written(MIRA))
    again = read_persona(written(write_persona(persona)))
    assert again == persona
    assert again.revision == persona.revision


@pytest.mark.parametrize("name", ["cherry", "sophia", "karen"])
def test_a_shipped_persona_is_written_and_read_back_unchanged(written, name):
    persona = read_persona(ROOT / "personas_seed" / f"{name}.md")
    assert read_persona(written(write_persona(persona), f"{name}.md")) == persona


@pytest.mark.parametrize("word", ["yes", "null", "12", "a: b", "# no comment", "Zoë 🐝", "'", '"'])
def test_words_that_mean_something_to_yaml_survive_writing(written, make_persona, word):
    persona = make_persona(name=word, voice=word, starters=(word,))
    again = read_persona(written(write_persona(persona)))
    assert (again.name, again.voice, again.starters) == (word, word, (word,))


def test_an_example_whose_message_has_two_lines_survives_writing(written, make_persona):
    persona = make_persona(examples=(Example(message="Rain?\nOr sun?", reply="Rain."),))
    assert read_persona(written(write_persona(persona))) == persona


async def test_a_folder_is_loaded_in_the_order_of_file_names(written, tmp_path):
    written(MIRA)
    written(MIRA.replace("[garden, weather]", "[sea]"), "adam.md")
    (tmp_path / "domains.yaml").write_text("garden: []", encoding="utf-8")
    personas = await PersonaFiles(tmp_path).load()
    assert personas.ids == ("adam", "mira")
    assert personas.source == f"files {tmp_path.name}"


@pytest.mark.parametrize("there", [True, False])
async def test_a_folder_without_personas_is_an_error_that_names_it(tmp_path, there):
    folder = tmp_path if there else tmp_path / "missing"
    with pytest.raises(PersonaStoreError, match="No persona in") as caught:
        await PersonaFiles(folder).load()
    assert str(folder) in str(caught.value)


async def test_a_folder_named_like_a_persona_is_an_error_of_the_store(tmp_path):
    (tmp_path / "mira.md").mkdir()
    with pytest.raises(PersonaStoreError, match="cannot be read"):
        await PersonaFiles(tmp_path).load()


async def test_one_broken_file_refuses_the_whole_folder(written, tmp_path):
    written(MIRA)
    written("nothing", "zoe.md")
    with pytest.raises(PersonaInvalidError, match=r"^zoe\.md: front matter"):
        await PersonaFiles(tmp_path).load()


async def test_two_personas_cannot_own_one_domain(written, tmp_path):
    written(MIRA)
    written(MIRA.replace("[garden, weather]", "[sea, garden]"), "zoe.md")
    with pytest.raises(PersonaInvalidError) as caught:
        await PersonaFiles(tmp_path).load()
    assert str(caught.value) == ("zoe: domains is 'garden', but it already belongs to Mira.")


async def test_the_shipped_personas_load():
    personas = await PersonaFiles(ROOT / "personas_seed").load()
    assert personas.ids == ("cherry", "karen", "sophia")
    assert personas.for_domain("general").id == "cherry"
