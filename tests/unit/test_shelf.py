"""A shelf that grows is the shelf that is filled at once."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestra.memory.shelf import Shelf
from orchestra.types.memory import Outline, Version

WIDTH = 4


def rows(count, start=1):
    when = datetime(2026, 5, 8, tzinfo=UTC)
    numbers = range(start, start + count)
    return [Outline(number, f"m{number}", "c", when, pinned=number % 5 == 0) for number in numbers]


def vector(number):
    return np.full(WIDTH, number, dtype=np.float32)


@given(st.lists(st.integers(0, 150), min_size=1, max_size=4))
def test_growing_in_portions_gives_the_same_shelf(portions):
    grown, whole, start = Shelf(WIDTH), Shelf(WIDTH), 1
    for count in portions:
        grown.add(rows(count, start))
        start += count
    whole.add(rows(start - 1))
    assert grown.ids == whole.ids
    assert np.array_equal(grown.vectors, np.zeros((start - 1, WIDTH)))
    assert np.array_equal(grown.created_at, whole.created_at)
    assert np.array_equal(grown.pinned, whole.pinned)


def test_vectors_come_later_each_to_its_own_memory():
    shelf = Shelf(WIDTH)
    shelf.add(rows(3))
    shelf.put_vectors({"m2": vector(2), "unknown": vector(9)})
    shelf.add(rows(100, start=4))  # more than there was room for
    shelf.put_vectors({"m1": vector(1), "m50": vector(50)})
    assert shelf.with_vector == 3
    assert shelf.vectors[:3].tolist() == [[1] * 4, [2] * 4, [0] * 4]
    assert shelf.vectors[49].tolist() == [50] * 4
    assert set(shelf.vectors_of(["m1", "m3", "m50"])) == {"m1", "m50"}
    assert "m3" in shelf.without_vector


def test_a_shelf_grows_only_where_nothing_went_and_no_pin_changed():
    shelf = Shelf(WIDTH)
    shelf.add(rows(4))
    added = rows(2, start=5)  # number 5 is pinned
    assert shelf.grows_to(Version(memories=6, newest=6, indexed=0, pinned=1), added)
    assert not shelf.grows_to(Version(memories=5, newest=6, indexed=0, pinned=1), added)
    assert not shelf.grows_to(Version(memories=6, newest=6, indexed=0, pinned=2), added)
