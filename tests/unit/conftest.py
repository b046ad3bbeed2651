"""Personas made by hand, for tests that need one without reading a file."""

import pytest
from hypothesis import settings

from orchestra.types.persona import Example, Persona, Personas, Traits

settings.register_profile("unit", database=None, deadline=None, max_examples=50)
settings.load_profile("unit")

MIDDLE = dict.fromkeys(Traits.model_fields, 0.5)


@pytest.fixture(scope="session")
def make_persona():
    """Make a persona; traits that are not named lie in the middle."""

    def make(persona_id="mira", traits=None, **fields):
        content = {
            "id": persona_id,
            "name": persona_id.capitalize(),
            "role": "Gardener",
            "voice": "plain and slow.",
            "backstory": "Grew up among roses.",
            "traits": Traits(**(MIDDLE | (traits or {}))),
            "template": "About [domain]: [task]",
            "examples": (Example(message="Rain?", reply="Good for the roots."),),
        }
        return Persona(**(content | fields))

    return make


@pytest.fixture(scope="session")
def trio(make_persona):
    """Three personas; Ada owns `general`, Ben sales, Cleo research."""
    return Personas(
        members=(
            make_persona("ada", domains=("general",)),
            make_persona("ben", domains=("sales", "marketing")),
            make_persona("cleo", domains=("research",)),
        ),
        source="by hand",
    )
