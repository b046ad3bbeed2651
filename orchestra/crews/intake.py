"""What somebody asks of a crew, made into a task."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import get_args

from orchestra.crews.files import Attachments
from orchestra.crews.team import estimated_complexity
from orchestra.database import now
from orchestra.errors import TaskInvalidError
from orchestra.llm.embedding import Embedder
from orchestra.personas.roster import Roster
from orchestra.routing.router import Router
from orchestra.types.conversation import Message
from orchestra.types.persona import GENERAL, Personas
from orchestra.types.task import Complexity, Request, Task

COMPLEXITIES: tuple[Complexity, ...] = get_args(Complexity)


class Intake:
    """Checks requests, and finds out what they leave open."""

    def __init__(
        self,
        roster: Roster,
        embedder: Embedder,
        router: Router,
        attachments: Attachments,
        description_limit: int,
    ) -> None:
        self._roster = roster
        self._embedder = embedder
        self._router = router
        self._attachments = attachments
        self._limit = description_limit

    async def task(self, request: Request) -> Task:
        """A new task.

        Raises:
            TaskInvalidError: the request breaks a rule: which, and what is known.
            PersonaNotFoundError: the persona that is to lead does not exist.
            PersonaError: no personas could be read.
            StorageError: what is attached could not be read.
        """
        personas = await self._roster.current()
        description = self._description(request.description)
        complexity, reason = _complexity(request.complexity, description)
        domain = _domain(request.domain, personas)
        orchestrator = personas.get(request.persona_id).id if request.persona_id else None
        if domain is None:
            domain, owner = await self._routed(request, description, personas)
        else:
            owner = personas.for_domain(domain).id
        attached = await self._attachments.listed(request.user_id, request.conversation_id)
        return Task(
            task_id=str(uuid.uuid4()),
            description=description,
            domain=domain,
            complexity=complexity,
            complexity_reason=reason,
            orchestrator=orchestrator or owner,
            user=request.user_id,
            conversation=request.conversation_id,
            files=tuple(name for name, _, _ in attached),
            asks_first=request.asks_first,
            writing=request.writing,
            created_at=now(),
        )

    async def tasks(
        self, requests: Sequence[Request]
    ) -> tuple[list[Task], dict[int, TaskInvalidError]]:
        """New tasks, and what is wrong with some of the requests, by index.

        Raises:
            PersonaError: no personas could be read.
            StorageError: what is attached could not be read.
        """
        found, wrong = [], {}
        for index, request in enumerate(requests):
            try:
                found.append(await self.task(request))
            except TaskInvalidError as exc:
                wrong[index] = exc
        return found, wrong

    def _description(self, text: str) -> str:
        """A description as a crew reads it.

        Raises:
            TaskInvalidError: it is empty or too long.
        """
        clean = text.replace("\0", "").strip()
        if not clean:
            message = "description is empty. Say what is to be done."
            raise TaskInvalidError(message, field="description")
        if len(clean) > self._limit:
            message = (
                f"description has {len(clean):,} characters; at most {self._limit:,} are accepted. "
                "Shorten it, or split it into several tasks."
            )
            raise TaskInvalidError(message, field="description")
        return clean

    async def _routed(
        self, request: Request, description: str, personas: Personas
    ) -> tuple[str, str]:
        message = Message(text=description, user_id=request.user_id, persona_id=request.persona_id)
        vector = await self._embedder.embed(description)
        route = (await self._router.route(message, vector, personas, None)).route
        return route.domain, route.persona_id


def _complexity(given: str | None, description: str) -> tuple[Complexity, str]:
    """The complexity, and why.

    Raises:
        TaskInvalidError: there is no such one.
    """
    if given is None:
        return estimated_complexity(description)
    for known in COMPLEXITIES:
        if given.strip().lower() == known:
            return known, "given"
    message = f"complexity is '{given[:40]}'. Known: {', '.join(COMPLEXITIES)}."
    raise TaskInvalidError(message, field="complexity")


def _domain(given: str | None, personas: Personas) -> str | None:
    """The subject, where one was given.

    Raises:
        TaskInvalidError: nobody has it.
    """
    if given is None:
        return None
    subjects = [domain for one in personas.members for domain in one.domains]
    known = list(dict.fromkeys([*subjects, GENERAL]))
    wanted = " ".join(given.lower().split())
    if wanted not in known:
        message = f"domain is '{given[:40]}'. Known: {', '.join(known)}."
        raise TaskInvalidError(message, field="domain")
    return wanted
