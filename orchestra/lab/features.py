"""What a reply sounds like, as kernels: how alike every two replies are.

Three views with equal weight: meaning (the house's embedder), letters (2 to 4 in a row) and
manner (how often function words and punctuation come). A voice shows in all three.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

FUNCTION_WORDS = tuple(
    """a about after all also always am an and any are as at be because been before but by can
    could did do does each even ever every first for from get give go had has have he her here him
    his how i if in into is it its just let like make may me might more most must my never no not
    now of on once one only or other our out over perhaps please probably rather really she should
    so some still such than that the their them then there these they this those though through to
    too up us very was we well were what when where which while who will with would yes you
    your""".split()
)
_NOTHING = 1e-9
"""A spread below this is rounding: drawn large, it would tell the places of equal texts apart."""
_MARKS = (".", ",", "!", "?", ";", ":", "'", "’", "-", "\u2013", "—", "(", '"', "…", "\n")


def kernels(texts: Sequence[str], vectors: Floats) -> Floats:
    """How alike every two texts are, (n, n); centred, of mean self-likeness 1.

    Args:
        texts: The replies.
        vectors: Their embeddings, shape (n, d).
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415  # half a second

    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    # A text of which a mask has left nothing is like no other one.
    some = [text if text.strip() else "." for text in texts]
    views = (
        np.asarray(vectors, dtype=float),
        letters.fit_transform(some).toarray(),
        _standardised(np.array([manner(text) for text in texts])),
    )
    return sum((_even(_centred(view @ view.T)) for view in views), np.zeros(())) / len(views)


def manner(text: str) -> list[float]:
    """How often each function word comes per word, and each mark per letter."""
    words = re.findall(r"[a-z']+", text.lower().replace("’", "'"))
    counts = dict.fromkeys(FUNCTION_WORDS, 0)
    for word in words:
        if word in counts:
            counts[word] += 1
    length = max(1, len(text))
    marks = [text.count(mark) / length for mark in _MARKS]
    capitals = sum(letter.isupper() for letter in text) / length
    mean_length = sum(map(len, words)) / max(1, len(words))
    return [
        *(count / max(1, len(words)) for count in counts.values()),
        *marks,
        capitals,
        mean_length,
    ]


def _standardised(table: Floats) -> Floats:
    spread = table.std(axis=0)
    some = spread > _NOTHING
    standardised: Floats = (table - table.mean(axis=0))[:, some] / spread[some]
    return standardised


def _centred(kernel: Floats) -> Floats:
    rows = kernel.mean(axis=0)
    centred: Floats = kernel - rows - rows[:, None] + rows.mean()
    return centred


def _even(kernel: Floats) -> Floats:
    """The same scale for every view."""
    size = float(np.trace(kernel)) / len(kernel)
    return kernel / size if size > _NOTHING else np.zeros_like(kernel)
