"""Which decisions stay when room runs out."""

import pytest

from orchestra.memory.importance import ASKED_FOR, DECISIVE, ORDINARY, importance_of


@pytest.mark.parametrize(
    ("task", "decision", "importance"),
    [
        ("Remember that the gatekeeper is called Ruth", "Noted.", ASKED_FOR),
        ("Keep in mind: no calls on Fridays", "Noted.", ASKED_FOR),
        ("Which of the two slogans?", "We agreed on the second.", DECISIVE),
        ("What is our deadline?", "The tenth of May.", DECISIVE),
        ("What rhymes with orange?", "Nothing much.", ORDINARY),
        ("What is an airplane?", "A machine that flies.", ORDINARY),
    ],
)
def test_what_was_asked_for_counts_most_then_what_was_decided(task, decision, importance):
    assert importance_of(task, decision) == importance
