"""Who answers: a persona, its traits, and the set of all personas at one moment."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    computed_field,
)

from orchestra.errors import PersonaNotFoundError

_TOLD = frozenset(("name", "role", "voice", "backstory", "traits", "template", "examples"))
"""What of a persona a model is told: not colour, avatar, starters or domains."""

GENERAL = "general"
"""The domain of everything that has no home elsewhere: strategy, greetings, life."""

DEFAULT_TEMPLATE = """Subject: [domain], priority: [priority].

[task]

What you decided for this person before:
[historical_decisions]

What they asked lately:
[client_history]

[context]"""
"""The prompt of a persona whose author wrote none."""

PLACEHOLDER = re.compile(r"\[([a-z][a-z0-9_]{0,39})\](?!\()")
"""A lower-case name in brackets, in a template; a Markdown link is not one."""


def _no_yes_or_no(value: object) -> object:
    if isinstance(value, bool):
        rule = "must be a number from 0 to 1"
        raise ValueError(rule)  # noqa: TRY004  # pydantic takes no TypeError
    return value


Score = Annotated[float, BeforeValidator(_no_yes_or_no), Field(ge=0, le=1)]
"""How strong a trait is: 0 not at all, 1 as strong as it gets."""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _as_json(card: object) -> object:
    """A card as text; stores and files may have it as an object."""
    return json.dumps(card, ensure_ascii=False) if isinstance(card, dict) else card


def _is_card(card: str) -> str:
    if card:
        card.encode()  # half of a pair of characters can be kept nowhere
        if not isinstance(json.loads(card).get("data"), dict):
            rule = "must be a character card"
            raise ValueError(rule)
    return card


def _domain(name: str) -> str:
    """A subject as it is compared: in lower case. Stores keep several between commas.

    Raises:
        ValueError: there is a comma in it.
    """
    if "," in name:
        rule = "must not have a comma in it"
        raise ValueError(rule)
    return " ".join(name.lower().split())


Domain = Annotated[str, AfterValidator(_domain), Field(min_length=1, max_length=60)]
Line = Annotated[str, AfterValidator(_one_line), Field(min_length=1)]


class Frozen(BaseModel):
    """A value that never changes after it was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Traits(Frozen):
    """The five OCEAN traits, and the two that people ask for by name. All 0..1.

    Source: the five-factor model as in Goldberg (1992), "The development of markers for the
    Big-Five factor structure", Psychological Assessment 4(1).
    """

    openness: Score
    conscientiousness: Score
    extraversion: Score
    agreeableness: Score
    neuroticism: Score
    humor: Score
    formality: Score


class Example(Frozen):
    """One exchange that shows how the persona talks."""

    message: str = Field(min_length=1)
    reply: str = Field(min_length=1)


class Persona(Frozen):
    """One of those who answer."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    name: Line = Field(max_length=40)
    role: Line = Field(max_length=80)
    voice: str = ""
    """How it talks, as one behavioural line; empty: derived from the traits."""
    backstory: str = Field(min_length=1, max_length=20_000)
    traits: Traits
    template: str = Field(min_length=1, max_length=20_000)
    """The system prompt's frame, with placeholders such as [task]."""
    domains: tuple[Domain, ...] = ()
    accent: str = Field(default="#6b7280", pattern=r"^#[0-9a-fA-F]{6}$")
    avatar: str = Field(default="", pattern=r"^(/public/avatars/[a-z0-9_-]+\.(svg|png))?$")
    examples: tuple[Example, ...] = ()
    starters: tuple[Line, ...] = ()
    """Questions offered on the welcome page."""
    icon: str = Field(default="", max_length=16, pattern=r"^([^\x00-\x7f].*)?$")
    """An emoji that is drawn where there is no avatar."""
    card: Annotated[str, BeforeValidator(_as_json), AfterValidator(_is_card)] = ""
    """The character card it was imported from, as JSON: what we have no use for is kept for
    whoever exports it again."""

    @computed_field  # type: ignore[prop-decorator]  # pydantic documents this very ignore
    @property
    def revision(self) -> str:
        """Twelve hex digits that change with any word or number of the persona."""
        return _fingerprint(self.model_dump(exclude={"revision"}))

    @property
    def wording(self) -> str:
        """Like `revision`, of what a model is told: not colour, avatar, domains or line ends."""
        return _fingerprint(_without_layout(self.model_dump(include=set(_TOLD))))

    def worded_as(self, other: Persona) -> Persona:
        """This one, with all that a model is told of the other one."""
        return self.model_copy(update={field: getattr(other, field) for field in _TOLD})


class Version(Frozen):
    """One content that a persona had."""

    version: int = Field(ge=1)
    revision: str
    """'' where it was removed."""
    seen_at: dt.datetime
    source: str
    author: str
    """Who changed it; '' where that was done in the store itself."""
    note: str
    changes: tuple[str, ...]
    """What differs from the version before, in words."""
    persona: Persona | None = Field(exclude=True)
    """The content; None where it was removed."""


class Personas(Frozen):
    """All personas at one moment. A turn takes one of these and keeps it to its end."""

    members: tuple[Persona, ...] = Field(min_length=1)
    source: str
    """Where they were read, for people: 'files personas_seed'."""
    problems: tuple[str, ...] = ()
    """What is wrong with some of them, one line each, for their authors; who has an earlier good
    version is served in that."""
    unread: tuple[str, ...] = ()
    """Ids of those who are there, but cannot be understood at all."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def revision(self) -> str:
        """Changes when any persona changes, comes or goes."""
        return _fingerprint([persona.revision for persona in self.members])

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids in their order of appearance."""
        return tuple(persona.id for persona in self.members)

    def find(self, persona_id: str) -> Persona | None:
        """Return the persona with this id, in whatever letters, or None."""
        return next((one for one in self.members if one.id == persona_id.lower()), None)

    def get(self, persona_id: str) -> Persona:
        """Return the persona with this id, in whatever letters.

        Raises:
            PersonaNotFoundError: no persona has it.
        """
        persona = self.find(persona_id)
        if persona is None:
            raise PersonaNotFoundError(persona_id, self.ids)
        return persona

    def for_domain(self, domain: str) -> Persona:
        """Return whoever owns the domain, else the owner of `general`, else the first."""
        for wanted in (domain, GENERAL):
            for persona in self.members:
                if wanted in persona.domains:
                    return persona
        return self.members[0]


def clashes(members: Iterable[Persona]) -> Iterator[tuple[Persona, str, Persona]]:
    """Whoever claims a subject that another one has before: who, which subject, whose it is."""
    owners: dict[str, Persona] = {}
    for one in members:
        for domain in dict.fromkeys(one.domains):
            owner = owners.setdefault(domain, one)
            if owner is not one:
                yield one, domain, owner


def without_clashes(members: Sequence[Persona]) -> tuple[list[Persona], list[str]]:
    """The personas with each subject left to whoever has it first, and what was taken away."""
    found = list(clashes(members))
    taken = [f"{one.name}: '{what}' already belongs to {owner.name}." for one, what, owner in found]
    lost = {(one.id, what) for one, what, _ in found}
    return [_only(one, lost) for one in members], taken


def _only(persona: Persona, lost: Collection[tuple[str, str]]) -> Persona:
    own = tuple(domain for domain in persona.domains if (persona.id, domain) not in lost)
    return persona if own == persona.domains else persona.model_copy(update={"domains": own})


def same_words(one: Persona, other: Persona) -> bool:
    """Whether two versions differ in nothing but the layout of their text."""
    dumps = (persona.model_dump(exclude={"revision"}) for persona in (one, other))
    first, second = (_without_layout(dump) for dump in dumps)
    return first == second


def placeholders(template: str) -> tuple[str, ...]:
    """The names a template asks for, in order, each once."""
    return tuple(dict.fromkeys(PLACEHOLDER.findall(template)))


def _without_layout(content: object) -> object:
    """The same with every run of spaces and line ends as one space: stores lay text out anew."""
    if isinstance(content, str):
        return " ".join(content.split())
    if isinstance(content, dict):
        return {key: _without_layout(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_layout(value) for value in content]
    return content


def _fingerprint(content: object) -> str:
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
