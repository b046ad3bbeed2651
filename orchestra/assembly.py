"""Settings -> opened parts. The only place that picks adapters, opens and closes."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager

from pydantic import SecretStr

from orchestra.accounts import Accounts
from orchestra.conversation import Conversation
from orchestra.database import Database, now
from orchestra.environment import limit_threads, prepare_environment
from orchestra.errors import LLMError, StorageError
from orchestra.house import Orchestra
from orchestra.llm.chat import ChatModel
from orchestra.llm.embedded import shipped_voices
from orchestra.llm.embedding import Embedder
from orchestra.llm.voices import EmbeddedVoices
from orchestra.memory.keeper import MemoryKeeper
from orchestra.memory.records import MemoryRecords
from orchestra.memory.vectors import VectorStore
from orchestra.personas.editor import Editor
from orchestra.personas.files import PersonaFiles
from orchestra.personas.history import PersonaHistory
from orchestra.personas.kept import KeptTable
from orchestra.personas.notion.store import NotionPersonas
from orchestra.personas.notion.wire import NotionWire, shown_id
from orchestra.personas.roster import Roster
from orchestra.personas.sql import SqlPersonas
from orchestra.personas.statistics import Statistics
from orchestra.personas.store import PersonaStore
from orchestra.personas.webhook import Webhook
from orchestra.prompts.compose import Composer, FullComposer, SmallComposer, Turn
from orchestra.routing.lessons import Lessons
from orchestra.routing.router import Router
from orchestra.routing.subjects import read_examples
from orchestra.settings import DEFAULT_BASE_URL, Settings, read_settings
from orchestra.types.conversation import Route
from orchestra.types.persona import GENERAL

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_orchestra(
    settings: Settings, *, in_advance: bool = True
) -> AsyncIterator[Orchestra]:
    """Open every part in order of use; close them in reverse.

    What takes seconds (the embedding model, the router's examples, the embedded voices' prefixes)
    is loaded by a task in the background; a message that comes earlier waits for it.

    Args:
        settings: What to open.
        in_advance: Whether to load that; without, it is loaded when something needs it.

    Raises:
        OrchestraError: a part cannot be opened; the message says which, and what to do.
    """
    prepare_environment(settings)
    limit_threads()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings))
        log.info("Database: %s", database.description)

        history = PersonaHistory(database)
        roster = roster_on(settings, database, history)
        stack.push_async_callback(roster.close)
        await roster.current()

        speaker, composer = await stack.enter_async_context(open_speaker(settings))
        log.info("Model: %s", speaker.description)

        embedder = Embedder(settings.embedding_model)
        stack.push_async_callback(embedder.close)
        lessons = Lessons(database, embedder)
        examples = read_examples(settings.personas_dir / "domains.yaml")
        router = Router(examples, embedder, lessons, settings.data_dir)

        vectors = await stack.enter_async_context(open_vectors(settings))
        log.info("Vectors: %s", vectors.description)
        memory = MemoryKeeper(MemoryRecords(database), vectors, embedder, settings.memory_limit)
        stack.push_async_callback(memory.close)
        await memory.open()

        orchestra = Orchestra(
            settings=settings,
            database=database,
            accounts=Accounts(database),
            roster=roster,
            history=history,
            editor=Editor(roster, history),
            statistics=Statistics(database),
            embedder=embedder,
            vectors=vectors,
            memory=memory,
            lessons=lessons,
            webhook=_webhook(settings),
            table_ids=_table_ids(roster),
            speaker=speaker,
            conversation=Conversation(
                roster, embedder, router, memory, composer, speaker, settings.message_limit
            ),
        )
        if in_advance:
            orchestra.warming = asyncio.create_task(_warm_up(orchestra, router, composer))
            stack.push_async_callback(_stop, orchestra.warming)
            stack.push_async_callback(_stop, asyncio.create_task(roster.stay_fresh()))
        yield orchestra


_house: tuple[Orchestra, AsyncExitStack] | None = None
_closed = False
_opening = asyncio.Lock()


async def running() -> Orchestra:
    """The house of this process; opened on first need (as under `chainlit run app.py`).

    Raises:
        StorageError: it was closed.
        OrchestraError: it cannot be opened.
    """
    global _house  # noqa: PLW0603  # Chainlit's callbacks are module-level functions without a context
    if _closed:
        message = "The server is shutting down. Try again when it is back."
        raise StorageError(message)
    async with _opening:
        if _house is None:
            stack = AsyncExitStack()
            _house = await stack.enter_async_context(open_orchestra(read_settings())), stack
    return _house[0]


@asynccontextmanager
async def running_as(settings: Settings) -> AsyncIterator[Orchestra]:
    """Open the house and make it the one that `running` returns, until the end of the block.

    Raises:
        OrchestraError: it cannot be opened.
    """
    global _house, _closed  # noqa: PLW0603  # as in `running`
    _closed = False
    async with AsyncExitStack() as stack:
        _house = await stack.enter_async_context(open_orchestra(settings)), stack
        try:
            yield _house[0]
        finally:
            _house, _closed = None, True


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


def roster_on(
    settings: Settings, database: Database | None, history: PersonaHistory | None = None
) -> Roster:
    """The personas; nothing is read yet.

    Args:
        settings: Where they live.
        database: Needed where they live in it.
        history: Keeps their versions.

    Raises:
        StorageError: they live in the database, and there is none.
    """
    store, fallback = _persona_store(settings, database)
    recorder = history.record if history is not None else None
    return Roster(store, settings.persona_ttl_seconds, fallback=fallback, recorder=recorder)


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


def open_wire(settings: Settings, patience_seconds: float = 5.0) -> NotionWire:
    """The connection to Notion; nothing is asked yet."""
    token = _secret(settings.notion_api_key) or ""
    return NotionWire(token, str(settings.notion_base_url), patience_seconds)


def notion_store(settings: Settings, wire: NotionWire, reference: str) -> NotionPersonas:
    """The personas of a table in Notion; nothing is asked yet."""
    kept = KeptTable(settings.data_dir / "personas-notion.json", shown_id(reference))
    return NotionPersonas(wire, reference, kept)


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


def _table_ids(roster: Roster) -> Callable[[], frozenset[str]]:
    store = roster.store
    return (lambda: store.ids) if isinstance(store, NotionPersonas) else frozenset


def _webhook(settings: Settings) -> Webhook | None:
    if not settings.uses_notion:
        return None
    token = _secret(settings.notion_webhook_token)
    return Webhook(token, settings.data_dir / "notion-webhook.token")


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


def has_accounts() -> bool:
    """Whether anybody can sign in with a password.

    Raises:
        OrchestraError: the settings or the database cannot be read.
    """

    async def any_name() -> bool:
        async with open_database(read_settings()) as database:
            return bool(await Accounts(database).names())

    # In a thread of its own: callers may or may not be inside an event loop.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, any_name()).result()


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


async def _warm_up(orchestra: Orchestra, router: Router, composer: Composer) -> None:
    try:
        await orchestra.embedder.open()
        await router.open()
        log.info("Embeddings: %s", orchestra.embedder.name)
        if isinstance(orchestra.speaker, EmbeddedVoices):
            try:
                await _warm_voices(orchestra, orchestra.speaker, composer)
            except LLMError as exc:  # asked for again at the next message, and told by its part
                log.warning("The built-in model is not warm: %s", exc)
        gc.collect()
        gc.freeze()  # what is loaded by now stays: looking through it takes a third of a second
    except asyncio.CancelledError:
        raise
    except Exception as exc:
        orchestra.warming_error = str(exc) or type(exc).__name__
        log.exception("Not ready")
        raise


async def _warm_voices(orchestra: Orchestra, voices: EmbeddedVoices, composer: Composer) -> None:
    personas = await orchestra.roster.current()
    for persona in personas.members:
        domain = persona.domains[0] if persona.domains else GENERAL
        route = Route(domain=domain, persona_id=persona.id, confidence=1, reason="warm-up")
        turn = Turn(
            persona=persona,
            personas=personas,
            route=route,
            text="Good morning.",
            memories=(),
            history=(),
            now=now(),
        )
        await voices.warm(composer.compose(turn))


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)  # what failed is in the log and the status


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None
