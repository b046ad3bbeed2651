"""Takes out of a reply what would give its writer away without any voice: names, roles, greetings.

What is left has to be told by how it is said. The hard mask goes further, and takes set phrases,
the beginning, punctuation and contractions too: who is then still told apart is told by choice of
words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from orchestra.types.persona import Personas

_SENTENCE = re.compile(r"[^.!?…]+(?:[.!?…]+[\"'”’)]*|$)\s*")
# Unlike \b these count an underscore as a border: it is Markdown's, as in "_Karen_".
_BEFORE, _AFTER = r"(?<![^\W_])", r"(?![^\W_])"
_GREETING = re.compile(
    r"^[\W_]*(?:hi|hey|hello|greetings|welcome|good (?:day|morning|afternoon|evening)|"
    r"dear [a-z]+)\b"
    r"(?: (?:there|again|all|everyone|team|friend|folks))?\W*",
    re.IGNORECASE,
)
_REST_OF_CLAUSE = r"(?:(?! (?:and|but|so)\b)[^,;:.!?…])*"
_SELF = re.compile(
    rf"{_BEFORE}(?:my name is|(?:as|i(?: am|['’]m)) (?:an? |the |your )(?:\w+ ){{0,3}}"
    r"(?:ai|assistant|persona|strategist|researcher|orchestrator|seller|salesperson|marketer))"
    rf"{_AFTER}{_REST_OF_CLAUSE}",
    re.IGNORECASE,
)
_PAST = re.compile(
    rf"{_BEFORE}(?:"
    r"i(?: have|['’]ve)? (?:once(?! more)|used to|spent|grew up|worked|learned|sold|ran)|"
    r"(?:in|during|over|after|from|with) (?:all )?my (?:\w+[ -]){0,2}(?:years?|decades?|career))"
    rf"{_AFTER}{_REST_OF_CLAUSE}",
    re.IGNORECASE,
)
"""Somebody tells of a life, and the testers may have read whose."""
_CONTRACTIONS = {
    "can't": "can not",
    "won't": "will not",
    "shan't": "shall not",
    "let's": "let us",
    "y'all": "you all",
    "gonna": "going to",
    "wanna": "want to",
    "gotta": "got to",
}
_ENDINGS = (
    ("n't", " not"),
    ("'re", " are"),
    ("'ve", " have"),
    ("'ll", " will"),
    ("'d", " would"),
    ("'m", " am"),
    ("'s", " is"),
)
_DROPPED_WORDS = 5
_PHRASE = 4
_SET_PHRASE_TIMES = 3


def redacted(reply: str, personas: Personas) -> str:
    """A reply without greetings, names, roles and sentences about itself; never empty.

    Where every sentence is one of these, they lose what gives away alone.
    """
    given_away = (_SELF, _PAST, _names_and_roles(personas))
    rest = _GREETING.sub("", reply.strip())
    kept = [
        sentence
        for sentence in _SENTENCE.findall(rest)
        if not any(one.search(sentence) for one in given_away)
    ]
    text = "".join(kept).strip()
    if not text:
        for one in given_away:
            rest = one.sub("…", rest)
        text = rest.strip()
    return text or "…"


def _names_and_roles(personas: Personas) -> re.Pattern[str]:
    words = {word for one in personas.members for word in (one.name, one.role)}
    words |= set(_own_parts_of_roles(personas))
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    either = "|".join(map(re.escape, longest_first))
    return re.compile(rf"{_BEFORE}(?:{either}){_AFTER}", re.IGNORECASE)


def _own_parts_of_roles(personas: Personas) -> Iterator[str]:
    """'Queen Bee' of 'Queen Bee Orchestrator', where the others are orchestrators as well.

    One word alone, as 'Research', is a subject that anybody may speak of.
    """
    roles = {one.id: one.role.lower().split() for one in personas.members}
    for mine, own in roles.items():
        others = {word for other, words in roles.items() if other != mine for word in words}
        places = [place for place, word in enumerate(own) if word not in others]
        part = own[places[0] : places[-1] + 1] if places else []
        if len(part) > 1:
            yield " ".join(part)


def hard_masked(replies: Sequence[str]) -> list[str]:
    """Replies without their beginnings, set phrases, contractions, punctuation and capitals.

    Args:
        replies: All of a run: a phrase counts as set where several of these have it.
    """
    sentences = [[_plain_words(one) for one in _SENTENCE.findall(reply)] for reply in replies]
    sayings = _set_phrases([[tuple(one) for one in said] for said in sentences])
    texts = [
        [word for one in said if tuple(one) not in sayings for word in one][_DROPPED_WORDS:]
        for said in sentences
    ]
    set_phrases = _set_phrases([_phrases(words) for words in texts])
    return [" ".join(_without(words, set_phrases)) for words in texts]


def _set_phrases(replies: Sequence[Sequence[tuple[str, ...]]]) -> set[tuple[str, ...]]:
    """What several replies have in common."""
    often = Counter(phrase for phrases in replies for phrase in set(phrases))
    return {phrase for phrase, times in often.items() if times >= _SET_PHRASE_TIMES}


def _plain_words(text: str) -> list[str]:
    words = []
    for word in re.findall(r"[a-z0-9'’]+", text.lower()):
        plain = word.replace("’", "'").strip("'")
        plain = _CONTRACTIONS.get(plain, plain)
        for ending, full in _ENDINGS:
            plain = plain.removesuffix(ending) + full if plain.endswith(ending) else plain
        words += plain.replace("'", "").split()
    return words


def _phrases(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(words[place : place + _PHRASE]) for place in range(len(words) - _PHRASE + 1)]


def _without(words: Sequence[str], set_phrases: set[tuple[str, ...]]) -> list[str]:
    gone = {
        place + offset
        for place, phrase in enumerate(_phrases(words))
        if phrase in set_phrases
        for offset in range(_PHRASE)
    }
    return [word for place, word in enumerate(words) if place not in gone]
