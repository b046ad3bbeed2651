"""A Notion page: what is written onto it is what is read from it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.personas.notion.pages import (
    blocks_of,
    escaped,
    markdown_of,
    plain,
    sections_of,
    with_sections,
)
from orchestra.personas.notion.rows import examples_of
from tests.doubles.notion_content import block, checked_blocks, markdown, parsed

LINE = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=40)
TEXT = st.lists(LINE, min_size=1, max_size=4).map("\n".join)


@given(words=TEXT)
@settings(max_examples=100, deadline=None)
def test_escaped_words_are_plain_again(words):
    assert plain(escaped(words)) == words


@pytest.mark.parametrize("by_blocks", [True, False])
@given(prompt=TEXT, pairs=st.lists(st.tuples(TEXT, TEXT), max_size=3), note=LINE)
@settings(max_examples=60, deadline=None)
def test_sections_survive_the_way_through_notion(by_blocks, prompt, pairs, note):
    said = [f"> {escaped(one).replace(chr(10), '<br>')}\n{escaped(two)}" for one, two in pairs]
    texts = {"prompt": escaped(prompt), "examples": "\n".join(said)}
    page = with_sections(escaped(note), texts)
    if by_blocks:
        blocks = [block(*one) for one in checked_blocks(blocks_of(page))]
        back, is_whole = markdown_of(blocks)
        assert is_whole
    else:
        back = markdown(parsed(page))
    found = sections_of(back)
    assert plain(found["prompt"]).split() == prompt.split()
    read = examples_of(found.get("examples", ""))
    assert [(one["message"].split(), one["reply"].split()) for one in read] == [
        (one.split(), two.split()) for one, two in pairs
    ]
    assert plain(back.splitlines()[0]).split() == note.split()
    again = with_sections(back, dict.fromkeys(found, ""))
    assert sections_of(again) == {}
    assert plain(again).split() == note.split()


def test_a_picture_makes_a_page_more_than_we_can_write():
    _, is_whole = markdown_of([{"type": "image", "image": {}}])
    assert not is_whole
    nested = {**block("paragraph", "Outer"), "children": [block("quote", "Inner")]}
    assert markdown_of([nested]) == ("Outer\n> Inner", True)
