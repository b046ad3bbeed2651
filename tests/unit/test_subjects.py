"""The wording view of a message, against the library that it was learned with."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import hstack

from orchestra.routing.subjects import Wording

TEXTS = [
    "How do I close this deal before the quarter ends?",
    "Which outliers are in the sales report?",
    "Plan the launch, then plan it again.",
    "Write a blog post about our data.",
]
WORDING = Wording()
WORDING.fit(TEXTS)


@given(
    st.text(max_size=80) | st.sampled_from(TEXTS) | st.lists(st.sampled_from(TEXTS)).map(" ".join)
)
def test_the_features_of_a_message_are_those_of_the_vectorizers(text):
    columns, values = WORDING.features(text)
    expected = hstack([view.transform([text]) for view in WORDING._views]).toarray()[0]
    found = np.zeros_like(expected)
    found[columns] = values
    assert np.allclose(found, expected)
