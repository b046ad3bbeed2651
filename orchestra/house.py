"""The opened house: every part by its name, and how each of them is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from orchestra.accounts import Accounts
from orchestra.conversation import Conversation
from orchestra.crews.files import Attachments
from orchestra.crews.intake import Intake
from orchestra.crews.runs import CrewRuns
from orchestra.database import Database
from orchestra.errors import OrchestraError
from orchestra.lab.laboratory import Lab
from orchestra.llm.chat import ChatModel
from orchestra.llm.embedding import Embedder
from orchestra.llm.voices import EmbeddedVoices
from orchestra.memory.keeper import MemoryKeeper
from orchestra.memory.vectors import VectorStore
from orchestra.personas.editor import Editor
from orchestra.personas.history import PersonaHistory
from orchestra.personas.roster import Roster
from orchestra.personas.statistics import Statistics
from orchestra.personas.webhook import Webhook
from orchestra.roundtable import RoundTable
from orchestra.routing.lessons import Lessons
from orchestra.settings import Settings
from orchestra.types.status import PartStatus

_STATUS_SECONDS = 2.0


@dataclass
class Orchestra:
    """The opened house."""

    settings: Settings
    database: Database
    accounts: Accounts
    roster: Roster
    history: PersonaHistory
    editor: Editor
    statistics: Statistics
    embedder: Embedder
    vectors: VectorStore
    memory: MemoryKeeper
    conversation: Conversation
    speaker: ChatModel | EmbeddedVoices
    lessons: Lessons
    lab: Lab
    intake: Intake
    attachments: Attachments
    runs: CrewRuns
    webhook: Webhook | None = None
    """Set where personas live in Notion."""
    warming: asyncio.Task[None] | None = None
    warming_error: str | None = None
    _status: list[PartStatus] = field(default_factory=list)
    _looked_at: float | None = None
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def table(self) -> RoundTable:
        """Everybody on one question."""
        return RoundTable(self.conversation)

    @property
    def is_warm(self) -> bool:
        """Whether everything that is loaded in the background is there."""
        return self.warming is not None and self.warming.done() and self.warming_error is None

    async def warm(self) -> None:
        """Wait for what is loaded in the background.

        Raises:
            OrchestraError: a part could not be loaded.
        """
        if self.warming is not None:
            await asyncio.shield(self.warming)

    async def status(self) -> list[PartStatus]:
        """Each part: what it is, whether it works, how to mend it; looked at every few seconds.

        Whoever asks meanwhile gets the same answer: it costs a request to the model server.
        """
        async with self._looking:
            if self._looked_at is None or time.monotonic() - self._looked_at > _STATUS_SECONDS:
                self._status = await self._look()
                self._looked_at = time.monotonic()
            return self._status

    async def _look(self) -> list[PartStatus]:
        personas = self.roster.status()
        wrong = [f"last error: {personas.last_error}"] if personas.last_error else []
        wrong += personas.problems
        known = f"{personas.source}, revision {personas.revision}, {personas.age_seconds:.0f} s old"
        parts = [
            PartStatus(
                "personas",
                not wrong,
                "; ".join([known, *wrong]),
                "Mend what it names; personas are read again within the TTL, or at "
                "'orchestra personas reload'."
                if wrong
                else "",
            ),
            await self._checked("database", self._check_database, "See the message."),
            await self._checked("vectors", self._check_vectors, "Run 'orchestra doctor --repair'."),
            await self._checked("model", self.speaker.check, "See the message, then try again."),
        ]
        if self.is_warm:
            advice = "See the log; it is tried again at the next task."
            parts.append(await self._checked("tasks", self.runs.check, advice))
            parts.append(PartStatus("embeddings", ok=True, detail=self.embedder.name))
        else:
            detail = self.warming_error or f"{self.embedder.name}, loading"
            fix = "Run 'make setup'." if self.warming_error else "Wait a little."
            parts.append(PartStatus("embeddings", ok=False, detail=detail, fix=fix))
        return parts

    async def _check_database(self) -> str:
        await self.database.check()
        return self.database.description

    async def _check_vectors(self) -> str:
        vectors = await self.vectors.check()
        late = f"; {self.memory.indexing_error}" if self.memory.indexing_error else ""
        return f"{self.vectors.description}, {vectors} vectors{late}"

    async def _checked(
        self, part: str, check: Callable[[], Awaitable[str]], fix: str
    ) -> PartStatus:
        try:
            async with asyncio.timeout(10):
                return PartStatus(part, ok=True, detail=await check())
        except (OrchestraError, TimeoutError) as exc:
            return PartStatus(
                part, ok=False, detail=str(exc) or "no answer within 10 seconds", fix=fix
            )
