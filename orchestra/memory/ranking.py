"""Which memories bear on a message: meaning, and the share of its telling words.

    score(m) = base(m) + NEIGHBOUR * (base(before) + base(after)) + small bonuses
    base(m)  = MEANING * max(0, cos(q, m)) + (1 - MEANING) * words(m)
    words(m) = sum of idf(t) * hit(t, m) over the message's terms / sum of idf(t)
    hit(t,m) = 1 if t is in m, BEFORE if it is in the memory before m, AFTER if in the one after
    idf(t)   = ln(1 + (N - n + .5) / (n + .5)), N (at least FEWEST) and n counted over this
               owner's memories only

Before and after are the neighbours in the same conversation: a follow-up's subject lies in what
was said before it. All memories of an owner are scored, so there is no candidate list to miss.

Source: idf as in Robertson and Spärck Jones (1976), "Relevance weighting of search terms". The
form and the constants were tuned on LoCoMo conversations 1-5 and checked on 6-10 (Maharana et al.
2024, "Evaluating Very Long-Term Conversational Memory of LLM Agents").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MEANING = 0.4
BEFORE = 0.6
AFTER = 0.3
NEIGHBOUR = 0.1
RECENCY = 0.02
RECENCY_DAYS = 30.0
PINNED = 0.05
MOST_TERMS = 24
FEWEST = 50
"""An owner with fewer memories is counted as having this many: among three, a word that one of
them contains would weigh less than any word that none does, and nothing would be recalled."""

STOP_WORDS = frozenset(
    """a an and are as at be been but by can could did do does for from had has have he her his
    how i if in into is it its me my of on or our please she should so that the their them
    they this to us was we were what when where which who whom why will with would you
    your""".split()
)

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]
NOBODY = -1


class Chain:
    """An owner's memories in order of their numbers, each with its neighbours' positions."""

    def __init__(self) -> None:
        self.numbers: Numbers = np.empty(0, dtype=np.int64)
        """(n,) row numbers, ascending."""
        self.before: Numbers = np.empty(0, dtype=np.int64)
        """(n,) position of the memory before in the same conversation, or NOBODY."""
        self.after: Numbers = np.empty(0, dtype=np.int64)
        """(n,) likewise after."""
        self._latest: dict[str, int] = {}

    def add(self, numbers: Sequence[int], conversations: Sequence[str | None]) -> None:
        """Link further memories, in ascending order and after all that are there."""
        start = len(self.numbers)
        nobody = np.full(len(numbers), NOBODY, dtype=np.int64)
        self.numbers = np.concatenate([self.numbers, np.array(numbers, dtype=np.int64)])
        self.before = np.concatenate([self.before, nobody])
        self.after = np.concatenate([self.after, nobody])
        for position, conversation in enumerate(conversations, start):
            if conversation is None:
                continue
            if conversation in self._latest:
                self.before[position] = self._latest[conversation]
                self.after[self._latest[conversation]] = position
            self._latest[conversation] = position


def terms_of(text: str) -> list[str]:
    """The words of a message that can tell memories apart, each once, at most MOST_TERMS."""
    words = dict.fromkeys(re.findall(r"\w+", text.lower()))
    return [word for word in words if word not in STOP_WORDS][:MOST_TERMS]


def score(
    similarity: Floats,
    hits: Sequence[Numbers],
    chain: Chain,
    age_days: Floats,
    pinned: npt.NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    """Score all memories of one owner.

    Args:
        similarity: (n,) cosine of each memory with the message; 0 where there is no vector.
        hits: Per term of the message, the row numbers that contain it.
        chain: The memories and their neighbours.
        age_days: (n,) age of each memory.
        pinned: (n,) whether somebody pinned it.

    Returns:
        The score to rank by and the base score that says how well each memory fits by itself,
        both (n,).
    """
    base = MEANING * np.maximum(similarity, 0) + (1 - MEANING) * _words(hits, chain)
    ranked = base + NEIGHBOUR * (_at(base, chain.before) + _at(base, chain.after))
    ranked = ranked + RECENCY * np.exp(-age_days / RECENCY_DAYS) + PINNED * pinned
    return ranked, base


def _words(hits: Sequence[Numbers], chain: Chain) -> Floats:
    total = len(chain.numbers)
    share = np.zeros(total)
    weights = 0.0
    for rows in hits:
        others = max(total, FEWEST) - len(rows)
        weight = float(np.log(1 + max(0.0, others + 0.5) / (len(rows) + 0.5)))
        contains = np.zeros(total)
        contains[_positions(chain.numbers, rows)] = 1.0
        nearby = np.maximum(
            BEFORE * _at(contains, chain.before), AFTER * _at(contains, chain.after)
        )
        share += weight * np.maximum(contains, nearby)
        weights += weight
    return share / weights if weights else share


def _positions(numbers: Numbers, rows: Numbers) -> Numbers:
    """Where the rows stand among the numbers, both ascending; unknown rows are left out."""
    places = np.searchsorted(numbers, rows)
    places = places[places < len(numbers)]
    known: Numbers = places[numbers[places] == rows[: len(places)]]
    return known


def _at(values: Floats, positions: Numbers) -> Floats:
    """The values at the positions, 0 for NOBODY."""
    return np.where(positions == NOBODY, 0.0, values[positions])
