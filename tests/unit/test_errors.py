"""The errors: the drawn tree is the real one, and messages name what is wrong."""

import inspect
import re

import pytest

from orchestra import errors


def drawn_tree():
    parents, path = {}, []
    for line in errors.__doc__.splitlines():
        match = re.match(r"^((?:[│├└─ ]{4})*)(\w+Error)\b", line)
        if match:
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            parents[match[2]] = path[depth - 1] if depth else "Exception"
    return parents


def test_the_tree_in_the_docstring_is_the_class_tree():
    real = {
        name: one.__base__.__name__
        for name, one in inspect.getmembers(errors, inspect.isclass)
        if issubclass(one, Exception)
    }
    assert drawn_tree() == real
    assert len(real) >= 15


def test_every_error_says_in_its_docstring_when_it_is_raised():
    for name, one in inspect.getmembers(errors, inspect.isclass):
        assert one.__doc__.strip().endswith("."), name


def test_a_persona_that_is_not_found_is_named_with_those_that_exist():
    error = errors.PersonaNotFoundError("zoe", ("ada", "ben"))
    assert str(error) == "There is no persona 'zoe'. Known: ada, ben."
    assert (error.persona_id, error.known) == ("zoe", ("ada", "ben"))


def test_an_invalid_persona_says_source_field_value_and_rule():
    error = errors.PersonaInvalidError("ada.md", "traits.humor", 1.5, "it must be from 0 to 1")
    assert str(error) == "ada.md: traits.humor is 1.5, but it must be from 0 to 1."


@pytest.mark.parametrize(
    "value",
    [
        "word " * 100,
        pytest.param(
            "https://example.org/" + "x" * 100,
        ),
    ],
    ids=["words", "one long word"],
)
def test_a_long_value_shows_its_beginning_and_is_kept_in_the_error(value):
    error = errors.PersonaInvalidError("a", "b", value, "c")
    assert str(error).startswith(f"a: b is {value[:10]!r}"[:-1])
    assert "..., but c." in str(error)
    assert len(str(error)) <= len("a: b is ") + 80 + len(", but c.")
    assert error.value == value


def test_a_value_of_eighty_characters_is_shown_whole():
    error = errors.PersonaInvalidError("a", "b", "x" * 78, "c")
    assert str(error) == f"a: b is '{'x' * 78}', but c."
