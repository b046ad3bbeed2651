"""Message + personas -> route."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orchestra.llm.embedding import Embedder
from orchestra.llm.encoder import Vectors
from orchestra.routing.addressing import addressed, has_no_subject, refers_back
from orchestra.routing.lessons import Lesson, Lessons
from orchestra.routing.subjects import Floats, SubjectClassifier, SubjectExamples
from orchestra.types.conversation import Message, Route, shorten
from orchestra.types.persona import GENERAL, Persona, Personas

log = logging.getLogger(__name__)

UNSURE = 0.4
"""Below this confidence nobody's subject is recognised and the owner of `general` answers.

Source: leave-one-out over personas_seed/domains.yaml; from .3 to .55 the share of right personas
changes by less than half a point.
"""

SAME_QUESTION = 0.75
"""Cosine from which a message counts as one that this person sent elsewhere before."""


@dataclass(frozen=True)
class Addressed:
    """A route, and the message as the persona should read it."""

    route: Route
    text: str


class Router:
    """Decides who answers. The order: the picker, a name, the last speaker, the subject."""

    def __init__(
        self, examples: SubjectExamples, embedder: Embedder, lessons: Lessons, cache: Path
    ) -> None:
        """Prepare; nothing is learned before `open`, or before the first message.

        Args:
            examples: Example messages per domain.
            embedder: Gives their vectors.
            lessons: What people taught.
            cache: Folder that keeps the examples' vectors from one start to the next.
        """
        self._examples = examples
        self._embedder = embedder
        self._lessons = lessons
        self._cache = cache
        self._fitted: SubjectClassifier | None = None
        self._fitting = asyncio.Lock()

    async def open(self) -> None:
        """Learn the examples (a second, more on the very first start)."""
        await self._subjects()

    async def route(
        self, message: Message, vector: Floats, personas: Personas, last_speaker: str | None = None
    ) -> Addressed:
        """Route one message.

        Args:
            message: What was asked; its `persona_id` is the picker's choice.
            vector: The embedding of its text, shape (d,).
            personas: Who could answer.
            last_speaker: Id of the persona that answered before in this conversation.

        Raises:
            PersonaNotFoundError: the picker names nobody we know.
        """
        subjects = await self._subjects()
        probabilities = subjects.classify(message.text, vector)
        subject = subjects.domains[int(probabilities.argmax())]
        text = message.text
        if message.persona_id is not None:
            chosen = personas.get(message.persona_id)
            return Addressed(_by_choice(chosen, subject, f"you picked {chosen.name}"), text)
        called = addressed(text, personas)
        if called is not None:
            chosen = personas.get(called[0])
            return Addressed(_by_choice(chosen, subject, f"you called {chosen.name}"), called[1])
        last = next((one for one in personas.members if one.id == last_speaker), None)
        if last is not None and has_no_subject(text):
            return Addressed(_by_choice(last, subject, f"goes on with {last.name}"), text)
        lesson = await self._lessons.nearest(message.user_id, vector, SAME_QUESTION)
        if lesson is not None and lesson.persona_id in personas.ids:
            chosen = personas.get(lesson.persona_id)
            reason = f"you asked {chosen.name} before: '{shorten(lesson.text, 80)}'"
            return Addressed(_by_choice(chosen, subject, reason), text)
        route = _by_subject(subjects, vector, probabilities, personas)
        if last is not None and route.confidence < UNSURE and refers_back(text):
            return Addressed(_by_choice(last, subject, f"goes on with {last.name}"), text)
        return Addressed(route, text)

    async def teach(self, user_id: str, text: str, persona_id: str) -> None:
        """Remember that this person wants messages like this one answered by this persona."""
        await self._lessons.learn(Lesson(user_id=user_id, text=text, persona_id=persona_id))

    async def unlearn(self, user_id: str) -> None:
        """Drop all that a person taught."""
        await self._lessons.forget(user_id)

    async def _subjects(self) -> SubjectClassifier:
        """The classifier; whoever comes first has it fitted, the others wait for it."""
        async with self._fitting:
            if self._fitted is None:
                vectors = await self._example_vectors()
                self._fitted = await asyncio.to_thread(SubjectClassifier, self._examples, vectors)
            return self._fitted

    async def _example_vectors(self) -> Vectors:
        content = "\n".join([self._embedder.name, *self._examples.texts])
        path = self._cache / f"examples-{hashlib.sha256(content.encode()).hexdigest()[:16]}.npy"
        with contextlib.suppress(OSError, ValueError):  # none yet, or a broken one: made anew
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
        vectors = await self._embedder.embed_all(self._examples.texts)
        for old in self._cache.glob("examples-*.npy"):
            old.unlink(missing_ok=True)
        try:
            np.save(path, vectors)
        except OSError as exc:
            log.warning("%s cannot be kept (%s); the next start takes longer", path, exc.strerror)
        return vectors


def _by_subject(
    subjects: SubjectClassifier, vector: Floats, probabilities: Floats, personas: Personas
) -> Route:
    domain = subjects.domains[int(probabilities.argmax())]
    persona = personas.for_domain(domain)
    confidence = sum(
        float(probability)
        for name, probability in zip(subjects.domains, probabilities, strict=True)
        if personas.for_domain(name).id == persona.id
    )
    example = subjects.nearest(vector, domain)
    reason = f"closest to: '{example}'"
    if confidence < UNSURE:
        reason = f"no clear subject, nearest was {domain}: '{example}'"
        domain, persona = GENERAL, personas.for_domain(GENERAL)
    return Route(
        domain=domain,
        persona_id=persona.id,
        confidence=round(min(confidence, 1.0), 3),
        reason=reason,
    )


def _by_choice(persona: Persona, subject: str, reason: str) -> Route:
    """A route somebody asked for: certain, under a domain the persona owns where it can be."""
    owned = persona.domains or (GENERAL,)
    domain = subject if subject in owned else owned[0]
    return Route(domain=domain, persona_id=persona.id, confidence=1.0, reason=reason)
