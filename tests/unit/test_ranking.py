"""The ranking of memories, on cases whose score is known by hand."""

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.memory.keeper import FITS
from orchestra.memory.ranking import MOST_TERMS, NOBODY, Chain, score, terms_of

LONG_AGO = 1e9


def chain_of(numbers, conversations):
    chain = Chain()
    chain.add(numbers, conversations)
    return chain


def ranked(numbers, conversations, hits, similarity=None, ages=None, pinned=None):
    count = len(numbers)
    return score(
        np.zeros(count) if similarity is None else np.array(similarity, dtype=np.float32),
        [np.array(rows, dtype=np.int64) for rows in hits],
        chain_of(numbers, conversations),
        np.full(count, LONG_AGO) if ages is None else np.array(ages, dtype=float),
        np.zeros(count, dtype=bool) if pinned is None else np.array(pinned),
    )


def test_neighbours_are_the_memories_before_and_after_in_the_same_conversation():
    chain = chain_of([3, 5, 8, 9, 12], ["a", "b", "a", None, "a"])
    assert chain.numbers.tolist() == [3, 5, 8, 9, 12]
    assert chain.before.tolist() == [NOBODY, NOBODY, 0, NOBODY, 2]
    assert chain.after.tolist() == [2, NOBODY, 4, NOBODY, NOBODY]


@given(st.lists(st.sampled_from(["a", "b", None]), max_size=12), st.data())
def test_a_chain_that_grew_is_the_chain_made_at_once(conversations, data):
    cut = data.draw(st.integers(0, len(conversations)))
    numbers = list(range(1, len(conversations) + 1))
    grown, whole = chain_of(numbers[:cut], conversations[:cut]), chain_of(numbers, conversations)
    grown.add(numbers[cut:], conversations[cut:])
    assert grown.numbers.tolist() == whole.numbers.tolist()
    assert grown.before.tolist() == whole.before.tolist()
    assert grown.after.tolist() == whole.after.tolist()


def test_memories_without_a_conversation_are_nobodys_neighbours():
    chain = chain_of([1, 2, 3], [None, None, None])
    assert chain.before.tolist() == chain.after.tolist() == [NOBODY] * 3


def test_meaning_counts_four_tenths_and_words_six():
    scores, base = ranked([1, 2, 3], [None] * 3, [[1]], similarity=[0.0, 0.5, -0.5])
    assert base == pytest.approx([0.6, 0.2, 0.0])
    assert scores == pytest.approx([0.6, 0.2, 0.0])


def test_a_rare_word_weighs_more_than_a_common_one():
    _, base = ranked([1, 2, 3, 4], [None] * 4, [[1], [2, 3, 4]])
    rare, common = log(1 + 49.5 / 1.5), log(1 + 47.5 / 3.5)
    whole = rare + common
    expected = [0.6 * rare / whole] + [0.6 * common / whole] * 3
    assert base == pytest.approx(expected)
    assert base[0] == pytest.approx(0.6 * 0.5683, abs=1e-4)


def test_a_persons_first_memory_is_recalled_by_most_of_its_words_before_it_has_a_vector():
    _, base = ranked([1], [None], [[1], [1], [1], []])  # "remind", and three words it contains
    assert base[0] >= FITS
    _, base = ranked([1], [None], [[1], [], [], []])
    assert base[0] < FITS


def test_a_word_that_no_memory_has_lowers_the_share_of_the_others():
    _, base = ranked([1, 2], [None] * 2, [[1], []])
    found, missing = log(1 + 49.5 / 1.5), log(1 + 50.5 / 0.5)
    assert base == pytest.approx([0.6 * found / (found + missing), 0])


def test_a_word_in_the_memory_before_counts_six_tenths_and_after_three():
    _, base = ranked([1, 2, 3], ["a", "a", "a"], [[2]])
    assert base == pytest.approx([0.6 * 0.3, 0.6, 0.6 * 0.6])


def test_the_neighbours_score_is_added_by_a_tenth():
    scores, base = ranked([1, 2, 3], ["a", "b", "a"], [[1]])
    assert base == pytest.approx([0.6, 0.0, 0.36])
    assert scores == pytest.approx([0.6 + 0.036, 0.0, 0.36 + 0.06])


def test_a_neighbour_in_another_conversation_does_not_help():
    scores, _ = ranked([1, 2], ["a", "b"], [[1]])
    assert scores == pytest.approx([0.6, 0.0])


def test_the_first_memory_does_not_take_the_last_for_its_neighbour():
    scores, base = ranked([1, 2, 3], [None] * 3, [[3]])
    assert base[0] == 0
    assert scores[0] == pytest.approx(0)


def test_recent_and_pinned_memories_win_a_tie_but_no_more():
    scores, base = ranked(
        [1, 2, 3, 4], [None] * 4, [[4]], ages=[0, 30, 1e9, 1e9], pinned=[False, False, True, False]
    )
    assert base == pytest.approx([0, 0, 0, 0.6])
    assert scores == pytest.approx([0.02, 0.02 * exp(-1), 0.05, 0.6])


def test_without_words_and_vectors_nothing_fits():
    scores, base = ranked([1, 2], [None] * 2, [])
    assert scores.tolist() == base.tolist() == [0, 0]


def test_no_memories_have_no_scores():
    scores, base = ranked([], [], [[], []])
    assert scores.shape == base.shape == (0,)


def test_the_terms_of_a_message_are_its_telling_words_each_once_in_order():
    assert terms_of("What is the PRICE of Müller's price list in 2024?") == [
        "price", "müller", "s", "list", "2024",
    ]  # fmt: skip


def test_a_long_message_has_no_more_than_the_most_terms():
    assert terms_of(" ".join(f"w{i}" for i in range(100))) == [f"w{i}" for i in range(MOST_TERMS)]


def test_a_message_of_stop_words_has_no_terms():
    assert terms_of("What should we do with it?") == []


MEMORIES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]),
        st.floats(-1, 1, width=32),
        st.booleans(),
        st.booleans(),
        st.integers(1, 5),
    ),
    min_size=1,
    max_size=12,
)


def scored(memories, numbers):
    hits = [
        [number for number, one in zip(numbers, memories, strict=True) if one[column]]
        for column in (2, 3)
    ]
    return ranked(numbers, [one[0] for one in memories], hits, [one[1] for one in memories])


@given(MEMORIES)
def test_where_the_rows_of_other_owners_lie_changes_nothing(memories):
    alone = list(range(1, len(memories) + 1))
    gaps = np.cumsum([one[4] for one in memories]).tolist()
    for one, other in zip(scored(memories, alone), scored(memories, gaps), strict=True):
        assert one.tolist() == other.tolist()


@given(MEMORIES)
def test_how_well_a_memory_fits_lies_between_nought_and_one(memories):
    _, base = scored(memories, list(range(len(memories))))
    assert (base >= 0).all()
    assert (base <= 1 + 1e-6).all()


@given(MEMORIES, st.randoms(use_true_random=False))
def test_the_order_of_the_messages_words_changes_nothing(memories, random):
    numbers = list(range(len(memories)))
    hits = [[number for number in numbers if random.random() < 0.4] for _ in range(4)]
    shuffled = random.sample(hits, len(hits))
    conversations = [one[0] for one in memories]
    one, other = ranked(numbers, conversations, hits), ranked(numbers, conversations, shuffled)
    assert one[0] == pytest.approx(other[0])
