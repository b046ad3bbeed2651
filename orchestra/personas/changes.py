"""What changed between two readings of the personas, in words for people."""

from __future__ import annotations

from orchestra.types.persona import Persona, Personas, Traits

_WORDS = {
    "name": "name",
    "role": "role",
    "voice": "voice",
    "backstory": "backstory",
    "template": "prompt",
    "domains": "subjects",
    "examples": "examples",
    "starters": "starters",
    "accent": "colour",
    "avatar": "avatar",
    "icon": "avatar",
    "card": "character card",
}


def changes_between(old: Personas, new: Personas) -> list[str]:
    """One sentence for each persona that came, went or changed."""
    before = {one.id: one for one in old.members}
    after = {one.id: one for one in new.members}
    said = [f"{one.name} joined." for key, one in after.items() if key not in before]
    said += [f"{one.name} left." for key, one in before.items() if key not in after]
    for key, one in after.items():
        if key in before and before[key] != one:
            said.append(f"{one.name} was updated: {', '.join(differences(before[key], one))}.")
    return said


def differences(old: Persona, new: Persona) -> list[str]:
    """What differs between two versions: numbers with both values, words by name alone."""
    found = [
        f"{trait} {getattr(old.traits, trait):g} to {getattr(new.traits, trait):g}"
        for trait in Traits.model_fields
        if getattr(old.traits, trait) != getattr(new.traits, trait)
    ]
    words = [name for field, name in _WORDS.items() if getattr(old, field) != getattr(new, field)]
    return found + list(dict.fromkeys(words))
