"""Messages that say by themselves whom they are for: by name, or by having no subject."""

from __future__ import annotations

import re

from orchestra.types.persona import Personas

_FILLERS = frozenset(
    """a about again all also am an and any are as at be been better bit but by can clear
    clearer come continue could detail detailed details did do does else example examples
    exactly explain few find first for formal from funnier further give go good great had
    has have he hello help hey hi hmm how i idea if in instead into is it its just kind last
    less let like list long longer make makes maybe me mean means more much my need next
    nice no not now of off ok okay on one ones only or other our out part perfect please
    point points provide put really redo repeat rephrase rewrite right said same say second
    see she shorten shorter should show simple simpler simplify so some sorry still such
    summarise summarize summary sure table tell than thank thanks that the their them then
    there these they thing things think third this those three to too true try two
    understand up us use version very want was way we well were what when where which who
    why will with without word words would write wrong yeah yes you your""".split()
)
"""Words that carry no subject: whatever is made of these alone goes on with what was said."""

_REFERRING = frozenset("""it that this they them these those one ones again more shorter""".split())
_FOLLOW_UP_WORDS = 12


def addressed(text: str, personas: Personas) -> tuple[str, str] | None:
    """Find whom a message calls by name: at its start, else by the first '@name' in it.

    Returns:
        The persona's id and the message without the call; None when nobody is called.
    """
    ids = {name.lower(): one.id for one in personas.members for name in (one.id, one.name)}
    names = "|".join(re.escape(name) for name in sorted(ids, key=len, reverse=True))
    at_start = re.match(
        rf"\s*(?:@({names})(?![\w-])[\s,:]*"
        rf"|(?:(?:hey|hi|hello|dear)\s+)?({names})\s*[,:]\s+)",
        text,
        re.IGNORECASE,
    )
    call = at_start or re.search(rf"(?<!\S)@({names})(?![\w-])", text, re.IGNORECASE)
    if call is None:
        return None
    rest = (text[: call.start()] + text[call.end() :]).strip()
    called = next(name for name in call.groups() if name)
    return ids[called.lower()], rest or text


def has_no_subject(text: str) -> bool:
    """Whether a message says nothing but 'go on with that': "why?", "make it shorter"."""
    words = _words(text)
    return len(words) <= _FOLLOW_UP_WORDS and all(word.split("'")[0] in _FILLERS for word in words)


def refers_back(text: str) -> bool:
    """Whether a short message points at something said before: "and for them?"."""
    words = _words(text)
    return len(words) <= _FOLLOW_UP_WORDS and not _REFERRING.isdisjoint(words)


def _words(text: str) -> list[str]:
    """The words of a text in any script, in lower case."""
    return re.findall(r"[^\W\d_]+(?:'\w+)?", text.lower())
