"""Settings -> each part by itself; the only place that picks adapters."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from pydantic import SecretStr

from orchestra.crews.agents import Agents
from orchestra.crews.bells import Bells
from orchestra.crews.files import Artifacts
from orchestra.crews.limits import Limits
from orchestra.crews.presence import Presence
from orchestra.crews.records import TaskRecords
from orchestra.crews.reviews import Desk
from orchestra.crews.runs import CrewRuns
from orchestra.crews.toolbox import Toolbox
from orchestra.crews.worker import Worker
from orchestra.crews.workflow import Workflow
from orchestra.database import Database
from orchestra.errors import StorageError
from orchestra.lab.examiner import Examiner
from orchestra.llm.chat import ChatModel
from orchestra.llm.embedded import shipped_voices
from orchestra.llm.embedding import Embedder
from orchestra.llm.voices import EmbeddedVoices
from orchestra.memory.keeper import MemoryKeeper
from orchestra.memory.vectors import VectorStore
from orchestra.personas.editor import Editor
from orchestra.personas.files import PersonaFiles
from orchestra.personas.history import PersonaHistory
from orchestra.personas.kept import KeptTable
from orchestra.personas.notion.store import NotionPersonas
from orchestra.personas.notion.wire import NotionWire, shown_id
from orchestra.personas.roster import Roster
from orchestra.personas.sql import SqlPersonas
from orchestra.personas.store import PersonaStore
from orchestra.personas.webhook import Webhook
from orchestra.prompts.compose import Composer, FullComposer, SmallComposer
from orchestra.prompts.crew import LARGE, SMALL
from orchestra.settings import DEFAULT_BASE_URL, Settings

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Open the database alone.

    Raises:
        StorageError: it cannot be opened.
    """
    database = Database(settings.data_dir, _secret(settings.database_url))
    try:
        await database.open()
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def open_vectors(settings: Settings) -> AsyncIterator[VectorStore]:
    """Open the vectors of the configured embedding model.

    Raises:
        StorageError: they cannot be opened.
    """
    url = str(settings.chroma_url) if settings.chroma_url else None
    vectors = VectorStore(settings.data_dir, url, Embedder(settings.embedding_model).name)
    try:
        await vectors.open()
        yield vectors
    finally:
        await vectors.close()


@asynccontextmanager
async def open_speaker(
    settings: Settings,
) -> AsyncIterator[tuple[ChatModel | EmbeddedVoices, Composer]]:
    """A real server where one is named, else the embedded model; with how it is prompted.

    Neither is asked anything yet, and the embedded one starts when it is.
    """
    async with AsyncExitStack() as stack:
        if not settings.uses_embedded_model:
            model = ChatModel(
                base_url=str(settings.openai_base_url or DEFAULT_BASE_URL).rstrip("/"),
                api_key=_secret(settings.openai_api_key) or "none",
                model=settings.model,
                timeout_seconds=settings.model_timeout_seconds,
                concurrency=settings.model_concurrency,
            )
            stack.push_async_callback(model.close)
            yield model, FullComposer()
            return
        voices = EmbeddedVoices(settings.model_timeout_seconds, settings.model_concurrency)
        stack.push_async_callback(voices.close)
        yield voices, SmallComposer(shipped_voices())


def roster_on(
    settings: Settings,
    database: Database | None,
    history: PersonaHistory | None = None,
    examiner: Examiner | None = None,
) -> Roster:
    """The personas; nothing is read yet.

    Args:
        settings: Where they live.
        database: Needed where they live in it.
        history: Keeps their versions.
        examiner: Says who of them may serve.

    Raises:
        StorageError: they live in the database, and there is none.
    """
    store, fallback = _persona_store(settings, database)
    recorder = history.record if history is not None else None
    gate = examiner.admitted if examiner is not None else None
    ttl = settings.persona_ttl_seconds
    return Roster(store, ttl, fallback=fallback, recorder=recorder, gate=gate)


def examiner_of(settings: Settings) -> Examiner | None:
    """Who examines edited personas before they serve; None where no baseline is set.

    Raises:
        SettingsError: there is no run in the baseline's folder.
    """
    if settings.gate_baseline is None:
        return None
    return Examiner(settings.gate_baseline, settings.data_dir / "gate.json")


@asynccontextmanager
async def open_roster(settings: Settings) -> AsyncIterator[Roster]:
    """The personas alone, with the database only where they live in it.

    Raises:
        StorageError: the database cannot be opened.
    """
    async with AsyncExitStack() as stack:
        database = None
        if settings.persona_store == "sql":
            database = await stack.enter_async_context(open_database(settings))
        roster = roster_on(settings, database)
        stack.push_async_callback(roster.close)
        yield roster


@asynccontextmanager
async def open_editor(settings: Settings) -> AsyncIterator[tuple[Roster, PersonaHistory, Editor]]:
    """The personas with their history, to be changed, and nothing else.

    Raises:
        StorageError: the database cannot be opened.
    """
    async with open_database(settings) as database:
        history = PersonaHistory(database)
        roster = roster_on(settings, database, history)
        try:
            yield roster, history, Editor(roster, history)
        finally:
            await roster.close()


def notion_store(settings: Settings, wire: NotionWire, reference: str) -> NotionPersonas:
    """The personas of a table in Notion; nothing is asked yet."""
    kept = KeptTable(settings.data_dir / "personas-notion.json", shown_id(reference))
    return NotionPersonas(wire, reference, kept)


def open_wire(settings: Settings, patience_seconds: float = 5.0) -> NotionWire:
    """The connection to Notion; nothing is asked yet."""
    token = _secret(settings.notion_api_key) or ""
    return NotionWire(token, str(settings.notion_base_url), patience_seconds)


def crew_runs(
    settings: Settings,
    database: Database,
    roster: Roster,
    memory: MemoryKeeper,
    speaker: ChatModel | EmbeddedVoices,
) -> CrewRuns:
    """The tasks of crews; nothing is worked on yet."""
    room = SMALL if settings.uses_embedded_model else LARGE
    records, bells = TaskRecords(database), Bells()
    notion = open_wire(settings) if settings.notion_api_key is not None else None
    agents = Agents(speaker, room, Toolbox(database, records, memory, notion))
    workflow = Workflow(roster, Desk(speaker), agents, memory, room)
    limits = Limits(
        per_process=settings.crews_at_once,
        per_person=settings.crews_at_once_per_person,
        in_all=settings.crews_at_once_in_all,
        step_seconds=settings.crew_step_seconds,
        task_seconds=settings.crew_task_seconds,
        keep_days=settings.task_keep_days,
    )
    queue = database.beside("runs.db")
    worker = Worker(records, workflow, Presence(database), queue, limits, bells)
    return CrewRuns(records, Artifacts(database), worker, bells)


def webhook_of(settings: Settings, roster: Roster) -> Webhook | None:
    """Who may say that the table changed; None where personas live elsewhere."""
    store = roster.store
    if not isinstance(store, NotionPersonas):
        return None
    token = _secret(settings.notion_webhook_token)
    return Webhook(token, settings.data_dir / "notion-webhook.token", lambda: store.ids)


def _persona_store(
    settings: Settings, database: Database | None
) -> tuple[PersonaStore, PersonaStore | None]:
    """Where personas live, and who answers when that fails and nothing of it was kept.

    Raises:
        StorageError: they live in the database, and there is none.
    """
    files = PersonaFiles(settings.personas_dir)
    if settings.uses_notion:
        wire = open_wire(settings)
        return notion_store(settings, wire, settings.notion_personas_db_id), files
    if settings.persona_store == "sql":
        if database is None:
            message = "Personas live in the database, which is not open here."
            raise StorageError(message)
        return SqlPersonas(database, files), None
    return files, None


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None
