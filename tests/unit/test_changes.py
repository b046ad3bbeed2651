"""What changed, in words."""

import pytest

from orchestra.personas.changes import changes_between
from orchestra.types.persona import Personas


def set_of(*members):
    return Personas(members=members, source="a test")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"traits": {"formality": 0.4}}, "formality 0.5 to 0.4"),
        ({"traits": {"humor": 1.0, "openness": 0.0}}, "openness 0.5 to 0, humor 0.5 to 1"),
        ({"role": "Sailor"}, "role"),
        ({"backstory": "Another.", "domains": ("sea",)}, "backstory, subjects"),
    ],
)
def test_an_update_names_numbers_with_both_values_and_words_by_name(make_persona, edit, said):
    middle = dict.fromkeys(
        "openness conscientiousness extraversion agreeableness neuroticism humor formality".split(),
        0.5,
    )
    old = make_persona("ada", traits=middle)
    new = make_persona("ada", **{**edit, "traits": middle | edit.get("traits", {})})
    assert changes_between(set_of(old), set_of(new)) == [f"Ada was updated: {said}."]


def test_who_comes_and_who_goes_is_said_and_nobody_else(make_persona):
    ada, ben, zoe = (make_persona(one) for one in ("ada", "ben", "zoe"))
    assert changes_between(set_of(ada, ben), set_of(ada, zoe)) == ["Zoe joined.", "Ben left."]
    assert changes_between(set_of(ada), set_of(ada)) == []
