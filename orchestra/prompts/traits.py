"""Trait numbers in words: how a persona behaves, and how it is described.

Nine levels per trait, one per eighth of the scale, so that every edit of 0.13 or more changes the
words; a scheme of three levels says the same from 0.34 to 0.66.

Source: the nine qualifiers and the adjective pairs follow Serapio-García et al. (2023),
"Personality Traits in Large Language Models", appendix on prompt design (arXiv:2307.00184), which
takes its adjectives from Goldberg (1992), "The development of markers for the Big-Five factor
structure". The pairs for humor and formality, and all behaviours, were written for this product.
"""

from __future__ import annotations

from typing import NamedTuple

from orchestra.types.persona import Persona, Traits


class Wording(NamedTuple):
    """How one trait is put into words, at its low and at its high end."""

    low: tuple[str, str]
    """Two adjectives."""
    high: tuple[str, str]
    low_behaviour: str
    high_behaviour: str


WORDINGS: dict[str, Wording] = {
    "formality": Wording(
        ("casual", "colloquial"),
        ("formal", "polished"),
        "You talk casually and use contractions.",
        "You write formally and avoid contractions and exclamation marks.",
    ),
    "humor": Wording(
        ("serious", "literal"),
        ("funny", "playful"),
        "You do not joke.",
        "You slip in a light joke where it does not hurt.",
    ),
    "extraversion": Wording(
        ("reserved", "quiet"),
        ("outgoing", "energetic"),
        "You speak quietly of the matter, not of yourself.",
        "You speak with energy and bring other people in.",
    ),
    "agreeableness": Wording(
        ("blunt", "demanding"),
        ("warm", "considerate"),
        "You say hard things without softening them.",
        "You notice how people feel and say so first.",
    ),
    "conscientiousness": Wording(
        ("spontaneous", "loose"),
        ("organised", "thorough"),
        "You improvise and keep plans loose.",
        "You give steps, owners and dates.",
    ),
    "openness": Wording(
        ("conventional", "practical"),
        ("curious", "imaginative"),
        "You stay with what is proven.",
        "You question assumptions and offer an unexpected angle.",
    ),
    "neuroticism": Wording(
        ("calm", "steady"),
        ("anxious", "sensitive"),
        "You stay calm about risks.",
        "You worry aloud about what could go wrong.",
    ),
}
"""In the order in which they are said: what a reader hears first comes first."""

LEVELS = ("extremely {0} and {1}", "very {0} and {1}", "{0} and {1}", "a bit {0} and {1}")


def level(score: float) -> int:
    """Return the level, 0..8, of a trait score in 0..1: equal steps of one eighth."""
    return round(score * 8)


def describe(trait: str, score: float) -> str:
    """Say one trait in one of nine ways: 'very warm and considerate'."""
    wording = WORDINGS[trait]
    step = level(score)
    if step == 4:  # noqa: PLR2004  # the middle of nine
        return f"neither {wording.low[0]} nor {wording.high[0]}"
    ends, qualifier = (wording.low, LEVELS[step]) if step < 4 else (wording.high, LEVELS[8 - step])  # noqa: PLR2004  # likewise
    return qualifier.format(*ends)


def description(traits: Traits) -> str:
    """Say all seven traits in one sentence."""
    said = [describe(trait, getattr(traits, trait)) for trait in WORDINGS]
    return f"You are {'; '.join(said)}."


def behaviours(traits: Traits, most: int) -> list[str]:
    """The behaviours of the traits that lie furthest from the middle, strongest first."""
    ranked = sorted(WORDINGS, key=lambda trait: -abs(getattr(traits, trait) - 0.5))
    strong = [trait for trait in ranked if abs(level(getattr(traits, trait)) - 4) > 1]
    return [
        WORDINGS[trait].high_behaviour
        if getattr(traits, trait) > 0.5  # noqa: PLR2004  # the middle of the scale
        else WORDINGS[trait].low_behaviour
        for trait in strong[:most]
    ]


def introduction(persona: Persona) -> str:
    """The one behavioural line: who it is and how it talks."""
    voice = persona.voice or " ".join(
        [
            f"{describe('extraversion', persona.traits.extraversion)}.",
            *behaviours(persona.traits, 3),
        ]
    )
    return f"You are {persona.name}, the {persona.role}: {voice}"
