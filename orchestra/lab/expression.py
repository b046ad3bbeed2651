"""How strongly a text shows each trait: from how it is written, never from what it says of itself.

Each trait has markers that published studies found to go with it, and a sign. A marker's rate is
put in standard deviations from the mean of all replies of the run; a trait is the mean of its
markers. So an expressed trait says how these replies differ from each other, not how they stand
among all that people write.

Source: extraversion, agreeableness, conscientiousness, neuroticism, openness: Pennebaker and King
(1999), "Linguistic styles", table 3; Yarkoni (2010), "Personality in 100,000 words", table 1;
Mairesse et al. (2007), "Using linguistic cues for the automatic recognition of personality",
table 5. Formality: Heylighen and Dewaele (2002), "Variation in the contextuality of language",
here by contractions, exclamations and the length of words. Humour: Reyes, Rosso and Buscaldi
(2012), "From humor recognition to irony detection", surface features. The word lists are short
ones of our own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from orchestra.lab.features import Floats
from orchestra.types.lab import Interval, TraitOrder, TraitReading
from orchestra.types.persona import Persona

_LISTS: dict[str, str] = {
    "social": """we us our you your people folks team friend friends everyone customer customers
        client clients together talk chat call ask meet listen share invite tell someone anyone
        colleague colleagues neighbour neighbours""",
    "warm": """love loved glad happy great good nice lovely wonderful fun enjoy enjoyed thanks
        thank welcome kind care smile favourite excited proud best sweet warm celebrate""",
    "worry": """worry worried afraid fear risk risks danger wrong fail failure problem problems
        trouble sorry unfortunately bad worst hard difficult anxious nervous lose loss""",
    "hedge": """may might could perhaps possibly probably likely seems seem appear appears suggest
        suggests uncertain uncertainty depends somewhat fairly tend tends generally usually would
        approximately""",
    "evidence": """evidence data measure measured measures test tested tests compare compared
        sample analyse analyze analysis hypothesis figures record records observe result results
        question questions examine investigate assumption assumptions control research study""",
    "order": """first second third next then plan plans step steps date dates deadline deadlines
        owner owners decide decision decisions goal goals priority priorities list schedule week
        review assign milestone milestones name set define""",
    "novel": """idea ideas imagine curious explore wonder new different alternative angle creative
        explanation explanations explain unexpected perspective perspectives learn discover why
        pattern patterns possibility possibilities""",
    "play": """ha haha oh ooh aw yay wow hey okay oops yep nope gosh psst cheeky silly snacks
        snack coffee cake joke puns pun magic party treat trust wink""",
    "negation": "no not never none nothing cannot without nor neither",
    "self": "i me my mine myself",
}
_WORDS = {name: frozenset(words.split()) for name, words in _LISTS.items()}
_CONTRACTION = re.compile(r"\b[a-z]+(?:n't|'re|'ve|'ll|'d|'m|'s)\b")

_MARKERS: dict[str, tuple[tuple[str, int], ...]] = {
    "openness": (("novel", 1), ("evidence", 1), ("word_length", 1), ("hedge", 1)),
    "conscientiousness": (("order", 1), ("evidence", 1), ("negation", -1), ("exclamation", -1)),
    "extraversion": (("social", 1), ("warm", 1), ("exclamation", 1), ("hedge", -1)),
    "agreeableness": (("warm", 1), ("social", 1), ("negation", -1)),
    "neuroticism": (("worry", 1), ("self", 1), ("hedge", 1)),
    "humor": (("play", 1), ("exclamation", 1), ("contraction", 1)),
    "formality": (("contraction", -1), ("exclamation", -1), ("word_length", 1), ("play", -1)),
}
_APART = 0.1
"""Personas that are set closer than this are not asked to be in order."""
_RESAMPLES = 1000
_SURE = 0.975
_ENDS = (2.5, 97.5)
_SEED = 11


def markers(text: str) -> dict[str, float]:
    """Rates per hundred words; exclamations per sentence; mean letters of a word."""
    plain = text.lower().replace("’", "'")
    words = re.findall(r"[a-z']+", plain)
    count = max(1, len(words))
    sentences = max(1, len(re.findall(r"[.!?…]+", text)))
    rates = {
        name: 100 * sum(word in listed for word in words) / count for name, listed in _WORDS.items()
    }
    return rates | {
        "contraction": 100 * len(_CONTRACTION.findall(plain)) / count,
        "exclamation": text.count("!") / sentences,
        "word_length": sum(map(len, words)) / count,
    }


def read_back(
    texts: Mapping[str, Sequence[str]], personas: Sequence[Persona]
) -> dict[str, TraitOrder]:
    """Compare every trait as it is set with what the replies show.

    Args:
        texts: Each persona's replies by its id: as many of each, to the same questions in order.
        personas: Whose they are.
    """
    read = {one.id: _table(texts[one.id]) for one in personas}
    everything = np.concatenate(list(read.values()))
    middle, spread = everything.mean(axis=0), everything.std(axis=0)
    names = list(markers(""))
    shown = {}
    for key, rows in read.items():
        shown[key] = dict(zip(names, _steps(rows - middle, spread).T, strict=True))
    return {trait: _order(trait, shown, personas) for trait in _MARKERS}


def strengths(
    texts: Mapping[str, Sequence[str]], neutral: Sequence[Sequence[str]]
) -> dict[str, Interval]:
    """How far each persona's manner lies from that of the same model without any persona.

    The root mean square, over all markers, of the mean difference, in standard deviations of all
    replies: 0 for a persona that does not show. Unlike attribution it knows degrees: a voice that
    became half as strong is told right all the same, and reads half here.

    Args:
        texts: Each persona's replies by its id, one to each question.
        neutral: To the same questions, in order, one or more replies of the model alone.
    """
    if not texts:
        return {}
    own = {key: _table(replies) for key, replies in texts.items()}
    alone = [_table(replies) for replies in neutral]
    spread = np.concatenate([*own.values(), *alone]).std(axis=0)
    middle = np.array([rows.mean(axis=0) for rows in alone])
    drawn = np.random.default_rng(_SEED).integers(len(middle), size=(_RESAMPLES, len(middle)))
    found = {}
    for key, rows in own.items():
        steps = _steps(rows - middle, spread)
        low, high = np.percentile(_length(steps[drawn].mean(axis=1)), _ENDS)
        found[key] = Interval(
            value=round(float(_length(steps.mean(axis=0))), 3),
            low=round(float(low), 3),
            high=round(float(high), 3),
        )
    return found


def _table(texts: Sequence[str]) -> Floats:
    """All markers of each text, (texts, markers)."""
    return np.array([list(markers(text).values()) for text in texts])


def _steps(differences: Floats, spread: Floats) -> Floats:
    """Differences in standard deviations; 0 of a marker that is the same everywhere."""
    return np.divide(differences, spread, out=np.zeros_like(differences), where=spread > 0)


def _length(steps: Floats) -> Floats:
    """Root mean square over the last axis."""
    length: Floats = np.sqrt((steps**2).mean(axis=-1))
    return length


def _order(
    trait: str, shown: Mapping[str, Mapping[str, Floats]], personas: Sequence[Persona]
) -> TraitOrder:
    """One trait, with resamples over questions to say what is certain."""
    signs = _MARKERS[trait]
    series = {
        one.id: np.mean([sign * shown[one.id][name] for name, sign in signs], axis=0)
        for one in personas
    }
    length = min(len(values) for values in series.values())
    numbers = np.random.default_rng(_SEED)
    drawn = numbers.integers(length, size=(_RESAMPLES, length))
    means = {key: values[drawn].mean(axis=1) for key, values in series.items()}
    pairs = [
        (low.id, high.id)
        for low in personas
        for high in personas
        if getattr(high.traits, trait) - getattr(low.traits, trait) >= _APART - 1e-9
    ]
    right = [(low, high) for low, high in pairs if series[high].mean() > series[low].mean()]
    sure = [one for one in right if (means[one[1]] > means[one[0]]).mean() >= _SURE]
    readings = {}
    for one in personas:
        bottom, top = np.percentile(means[one.id], _ENDS)
        readings[one.id] = TraitReading(
            configured=getattr(one.traits, trait),
            expressed=round(float(series[one.id].mean()), 3),
            low=round(float(bottom), 3),
            high=round(float(top), 3),
        )
    return TraitOrder(
        pairs=len(pairs), in_order=len(right), certain=len(sure), per_persona=readings
    )
