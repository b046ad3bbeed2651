"""What no reply should have, whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from orchestra.llm.voices import loops
from orchestra.types.lab import Hygiene, Sample
from orchestra.types.persona import Persona, Personas

_FIGURE = re.compile(r"[$€£]?\d[\d,.]*\s?%?")
_LIST_NUMBER = re.compile(r"(?m)^\s*\d{1,2}[.)]\s")
_PLACEHOLDER = re.compile(r"\[[A-Za-z][^\]\n]{1,40}\](?!\()")
_SENTENCE_ENDS = (".", "!", "?", "…", '"', "”", "’", "'", ")", ":", "`")
_COPIED_WORDS = 8


def hygiene(samples: Sequence[Sample], personas: Personas) -> Hygiene:
    """Shares of the replies in which something is found; all 0 where there are none."""
    writers = {one.id: one for one in personas.members}

    def found_in(looks: Callable[[Sample, Persona], bool]) -> float:
        known = [one for one in samples if one.persona_id in writers]
        times = sum(looks(one, writers[one.persona_id]) for one in known)
        return round(times / max(1, len(known)), 4)

    return Hygiene(
        other_names=found_in(lambda one, who: names_others(one, who, personas)),
        own_name=found_in(lambda one, who: _says(who.name, one.reply)),
        invented_figures=found_in(lambda one, _: invents_figures(one)),
        cut_off=found_in(lambda one, _: is_cut_off(one)),
        loops=found_in(lambda one, _: loops(one.reply)),
        placeholders=found_in(lambda one, _: bool(_PLACEHOLDER.search(one.reply))),
        copies=found_in(copies),
    )


def names_others(sample: Sample, persona: Persona, personas: Personas) -> bool:
    """Whether a reply names another persona that the question does not name."""
    others = [one.name for one in personas.members if one.id != persona.id]
    return any(_says(name, sample.reply) and not _says(name, sample.question) for name in others)


def invents_figures(sample: Sample) -> bool:
    """Whether there is a number in a reply that is not in its question; a list's do not count."""
    asked = {_bare(figure) for figure in _FIGURE.findall(sample.question)}
    said = {_bare(figure) for figure in _FIGURE.findall(_LIST_NUMBER.sub(" ", sample.reply))}
    return not said <= asked


def is_cut_off(sample: Sample) -> bool:
    """Whether a reply ended at the limit, in the middle of a sentence."""
    return not sample.finished and not sample.reply.rstrip().endswith(_SENTENCE_ENDS)


def copies(sample: Sample, persona: Persona) -> bool:
    """Whether a reply has eight words in a row from one of its persona's examples."""
    said = _runs(sample.reply)
    return any(said & _runs(example.reply) for example in persona.examples)


def _runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[\w']+", text.lower())
    return set(zip(*(words[offset:] for offset in range(_COPIED_WORDS)), strict=False))


def _says(name: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


def _bare(figure: str) -> str:
    return figure.strip(" .,$€£%")
