"""Character cards: nothing of one is lost, whatever it holds."""

from __future__ import annotations

import base64
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from orchestra.errors import PersonaInvalidError
from orchestra.personas.files import read_persona
from orchestra.settings import ROOT
from orchestra.transfer import cards
from orchestra.types.persona import DEFAULT_TEMPLATE, Persona, Traits

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=200)
NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9 ]{0,20}[A-Za-z]", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
SCORE = st.floats(0, 1)
PERSONAS = st.builds(
    Persona,
    id=st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
    name=NAME,
    role=NAME,
    voice=TEXT,
    backstory=TEXT.filter(bool),
    traits=st.builds(Traits, **dict.fromkeys(Traits.model_fields, SCORE)),
    template=TEXT.filter(bool),
    domains=st.lists(NAME, max_size=3, unique=True).map(tuple),
    examples=st.lists(
        st.fixed_dictionaries({"message": TEXT.filter(bool), "reply": TEXT.filter(bool)}),
        max_size=3,
    ),
    starters=st.lists(NAME, max_size=2).map(tuple),
)
FOREIGN = st.fixed_dictionaries(
    {
        "name": NAME,
        "description": TEXT,
        "personality": TEXT,
        "scenario": TEXT,
        "first_mes": TEXT,
        "mes_example": TEXT,
        "system_prompt": TEXT,
        "extensions": st.dictionaries(TEXT, JSON, max_size=2),
    },
    optional={"nickname": TEXT, "character_book": JSON, "of_somebody_else": JSON},
)


@pytest.mark.parametrize("version", [2, 3])
@given(persona=PERSONAS)
@settings(max_examples=30, deadline=None)
def test_a_persona_comes_back_as_it_went(persona, version):
    card = json.loads(cards.written(persona, version))
    assert cards.is_card(card)
    assert cards.read(card, "card") == persona


@pytest.mark.parametrize(("spec", "version"), [("chara_card_v2", 2), ("chara_card_v3", 3)])
@given(data=FOREIGN, more=st.dictionaries(NAME, JSON, max_size=2))
@settings(max_examples=30, deadline=None)
def test_a_card_comes_back_as_it_came(data, more, spec, version):
    card = {**more, "spec": spec, "spec_version": f"{version}.0", "data": data}
    persona = cards.read(card, "card")
    assert cards.card_of(persona, version) == card


@given(data=FOREIGN, role=NAME, story=TEXT.filter(bool))
@settings(max_examples=30, deadline=None)
def test_an_edited_card_keeps_what_nobody_touched(data, role, story):
    card = {"spec": "chara_card_v2", "spec_version": "2.0", "data": data}
    edited = cards.read(card, "card").model_copy(update={"role": role, "backstory": story})
    out = cards.card_of(edited, 2)
    for field in ("first_mes", "mes_example", "system_prompt", "of_somebody_else"):
        assert out["data"].get(field) == data.get(field)
    assert data["extensions"].items() <= out["data"]["extensions"].items()
    again = cards.read(out, "card")
    assert (again.role, again.backstory) == (role, story)
    other = cards.card_of(edited, 3)
    assert other["spec"] == "chara_card_v3"
    assert cards.read(other, "card").backstory == story


def test_a_foreign_card_becomes_somebody_who_can_answer():
    data = {
        "name": "Nova",
        "description": "{{char}} maps the stars for {{user}}.",
        "personality": "curious",
        "mes_example": "<START>\n{{user}}: Where are we?\n{{char}}: Here, {{user}}.\n<START>\n",
    }
    card = {"spec": "chara_card_v2", "spec_version": "2.0", "data": data}
    persona = cards.read(card, "nova.json")
    assert persona.backstory == "Nova maps the stars for you.\n\ncurious"
    assert persona.examples[0].reply == "Here, you."
    assert "[task]" in persona.template
    assert persona.domains == ()


@pytest.mark.parametrize("version", [2, 3])
def test_a_picture_carries_the_card(version):
    persona = read_persona(ROOT / "personas_seed" / "karen.md")
    raw = cards.written(persona, version, as_picture=True)
    assert cards.is_picture(raw)
    assert cards.read_picture(raw, "karen.png") == persona
    with Image.open(io.BytesIO(raw)) as picture:
        texts = picture.text
        assert picture.size == (512, 512)
    for one in range(2, version + 1):
        name = {2: "chara", 3: "ccv3"}[one]
        card = json.loads(base64.b64decode(texts[name]))
        assert card["spec_version"] == f"{one}.0"
        assert card["data"]["description"] == persona.backstory


def picture(**texts):
    info = PngImagePlugin.PngInfo()
    for name, said in texts.items():
        info.add_text(name, said)
    file = io.BytesIO()
    Image.new("RGB", (1, 1)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (picture(), "must carry a card"),
        (picture(chara="no base64!"), "JSON in base64"),
        (picture(chara=base64.b64encode(b"[").decode()), "JSON in base64"),
        (picture(chara=base64.b64encode(b"{}").decode()), "V2 or V3"),
        (picture()[:40], "sound PNG"),
    ],
)
def test_a_picture_that_is_none_says_what_is_wrong(raw, said):
    with pytest.raises(PersonaInvalidError, match=said):
        cards.read_picture(raw, "odd.png")


@pytest.mark.parametrize(
    ("data", "field"),
    [(None, "data"), ({"name": 3}, "name"), ({"name": ""}, "name"), ({"name": "x" * 50}, "name")],
)
def test_a_card_that_breaks_a_rule_names_the_field(data, field):
    card = {"spec": "chara_card_v2", "spec_version": "2.0", "data": data}
    with pytest.raises(PersonaInvalidError) as caught:
        cards.read(card, "odd.json")
    assert caught.value.field == field


@pytest.mark.parametrize(
    "data",
    [
        {"name": "Nova", "extensions": None},
        {"name": "Nova", "extensions": [1]},
        {"name": "Nova", "extensions": {"orchestra": {"card": "not json"}}},
        {"name": "Nova", "description": None, "personality": None},
    ],
)
def test_an_odd_card_comes_in_and_goes_out(data):
    card = {"spec": "chara_card_v2", "spec_version": "2.0", "data": data}
    persona = cards.read(card, "odd.json")
    assert json.loads(cards.written(persona, 2)) == card
    assert cards.read(json.loads(cards.written(persona, 3)), "odd.json").name == "Nova"


def test_half_a_character_is_refused_before_it_can_harm():
    data = {"name": "Nova", "first_mes": "\ud800 x"}
    with pytest.raises(PersonaInvalidError):
        cards.read({"spec": "chara_card_v2", "data": data}, "odd.json")


@pytest.mark.parametrize("spec", [{"a": 1}, ["chara_card_v2"], None, 3])
def test_what_is_no_card_is_none(spec):
    assert not cards.is_card({"spec": spec, "data": {}})


def test_the_macros_of_a_prompt_are_filled_in():
    data = {"name": "Nova", "system_prompt": "You are {{char}}. {{original}}"}
    template = cards.read({"spec": "chara_card_v2", "data": data}, "nova.json").template
    assert template.startswith(f"You are Nova. {DEFAULT_TEMPLATE}")
