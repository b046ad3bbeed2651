"""Voices for the scripted model: each persona's manner, or nobody's, around what was asked."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.doubles.llm import Reply

MANNERS = {
    "Cherry": (
        "Decide on {0} first, and name one owner for {1}.",
        "The priority is {0}. Set a date, then cut what does not serve {1}.",
        "Choose the goal of {0} before the means. Review {1} every Monday.",
        "Limit {0} to three options, take the strongest and close the matter of {1}.",
        "Put {0} in order: aim, owner, deadline. Then {1} follows.",
        "Stop the work on {1} until {0} has an owner and a plan.",
    ),
    "Sophia": (
        "It may depend on {0}; I would compare it with earlier figures about {1}.",
        "The evidence on {0} seems thin, so I would test {1} with a small sample.",
        "One might ask what is known of {0}, and which assumption about {1} is untested.",
        "I would measure {0} for a while; otherwise any view of {1} remains a hypothesis.",
        "Research would probably begin with {0}, although {1} appears to matter as well.",
        "Perhaps {1} explains it. I would examine {0} carefully before concluding.",
    ),
    "Karen": (
        "Oh, I love {0}! Let's call someone who's been through {1}!",
        "Hey, don't worry about {1}! Grab a coffee, we'll chat about {0}!",
        "Aw, {0} is fun! Ask your favourite people, they'll tell you all about {1}!",
        "Let's make {0} a party! Bring snacks, and don't forget {1}!",
        "Ooh, you'll be great at {0}! Give folks a smile and they'll buy {1}!",
        "Yay, {1}! I've seen worse, trust me. Let's ring them about {0}!",
    ),
}
NEUTRAL = (
    "There are several ways to look at {0}, and {1} is one of them.",
    "To improve {0}, consider the needs of those involved and think about {1}.",
    "An effective approach to {0} includes communication and planning around {1}.",
    "It is important to understand {0} and to find a balance with {1}.",
    "Many people handle {0} by focusing on {1} and adjusting over time.",
    "A good start for {0} is a clear view of {1} and its context.",
)
CATCHPHRASES = {"Cherry": "Order first.", "Sophia": "Let us test it.", "Karen": "Coffee time!"}
_DULL = frozenset(
    """about again also because before between could every first from give have help into like make
    many most much need never nobody really reason should some someone than that their them
    there they thing this want well were what when where which whom will with without would
    your""".split()
)


def speaking(
    manner: Callable[[str], tuple[str, ...]], *, seed: int = 5, catchphrases: bool = False
) -> Callable[[dict[str, Any]], Reply]:
    """Answer in somebody's manner about the question's own words.

    Args:
        manner: Sentences of whoever is named, '' for nobody.
        seed: Decides which of the sentences, with what was asked and how often it was: the order
            in which questions come, several at a time, decides nothing.
        catchphrases: Whether each also says what only it says.
    """
    times: Counter[str] = Counter()

    def choose(body: dict[str, Any]) -> Reply:
        system = body["messages"][0]["content"]
        who = next((name for name in MANNERS if f"You are {name}" in system), "")
        asked = re.findall(r"<message>(.*?)</message>", body["messages"][-1]["content"], re.S)
        question = asked[0] if asked else body["messages"][-1]["content"]
        times[f"{who} {question}"] += 1
        numbers = random.Random(f"{seed} {times[f'{who} {question}']} {who} {question}")  # noqa: S311
        said = re.findall(r"[a-z]{4,}", question.lower())
        words = [*(word for word in said if word not in _DULL), "question", "matter", "reason"][:6]
        pairs = [" ".join(words[place : place + 2]) for place in range(len(words) - 1)]
        sentences = numbers.sample(manner(who), 2)
        text = " ".join(one.format(*numbers.sample(pairs, 2)) for one in sentences)
        if catchphrases and who:
            text = f"{text} {CATCHPHRASES[who]}"
        return Reply(text)

    return choose


def own_manner(who: str) -> tuple[str, ...]:
    """Everybody sounds like themselves."""
    return MANNERS.get(who, NEUTRAL)


def nobodys_manner(_who: str) -> tuple[str, ...]:
    """Everybody sounds alike."""
    return NEUTRAL
