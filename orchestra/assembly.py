"""Settings -> the opened house: every part in order of use, closed in reverse."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager

from orchestra.accounts import Accounts
from orchestra.conversation import Conversation
from orchestra.crews.files import Attachments
from orchestra.crews.intake import Intake
from orchestra.database import now
from orchestra.environment import limit_threads, prepare_environment
from orchestra.errors import LLMError, StorageError
from orchestra.house import Orchestra
from orchestra.lab.examiner import Examiner
from orchestra.lab.interview import Interviewer
from orchestra.lab.laboratory import Lab
from orchestra.llm.embedding import Embedder
from orchestra.llm.voices import EmbeddedVoices
from orchestra.memory.keeper import MemoryKeeper
from orchestra.memory.records import MemoryRecords
from orchestra.parts import (
    crew_runs,
    examiner_of,
    open_database,
    open_speaker,
    open_vectors,
    roster_on,
    webhook_of,
)
from orchestra.personas.editor import Editor
from orchestra.personas.history import PersonaHistory
from orchestra.personas.statistics import Statistics
from orchestra.prompts.compose import Composer, Turn
from orchestra.replying import Replies
from orchestra.routing.lessons import Lessons
from orchestra.routing.router import Router
from orchestra.routing.subjects import read_examples
from orchestra.settings import Settings, read_settings
from orchestra.types.conversation import Route
from orchestra.types.persona import GENERAL

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_orchestra(
    settings: Settings, *, in_advance: bool = True, serving: bool = True
) -> AsyncIterator[Orchestra]:
    """Open every part in order of use; close them in reverse.

    What takes seconds (the embedding model, the router's examples, the embedded voices' prefixes)
    is loaded by a task in the background; a message that comes earlier waits for it.

    Args:
        settings: What to open.
        in_advance: Whether to load that; without, it is loaded when something needs it.
        serving: Whether it stays: personas are then kept fresh, and their edits examined.

    Raises:
        OrchestraError: a part cannot be opened; the message says which, and what to do.
    """
    prepare_environment(settings)
    limit_threads()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings))
        log.info("Database: %s", database.description)

        history = PersonaHistory(database)
        examiner = examiner_of(settings)
        roster = roster_on(settings, database, history, examiner)
        stack.push_async_callback(roster.close)
        await roster.current()

        speaker, composer = await stack.enter_async_context(open_speaker(settings))
        log.info("Model: %s", speaker.description)

        embedder = Embedder(settings.embedding_model)
        stack.push_async_callback(embedder.close)
        lessons = Lessons(database, embedder)
        router = Router(
            read_examples(settings.personas_dir / "domains.yaml"),
            embedder,
            lessons,
            settings.data_dir,
        )

        vectors = await stack.enter_async_context(open_vectors(settings))
        log.info("Vectors: %s", vectors.description)
        memory = MemoryKeeper(MemoryRecords(database), vectors, embedder, settings.memory_limit)
        stack.push_async_callback(memory.close)
        await memory.open()

        runs = crew_runs(settings, database, roster, memory, speaker)
        stack.push_async_callback(runs.close)

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
            lab=Lab(roster, Interviewer(composer, speaker), database),
            intake=Intake(roster, embedder, router, Attachments(database), settings.message_limit),
            attachments=Attachments(database),
            runs=runs,
            webhook=webhook_of(settings, roster),
            speaker=speaker,
            conversation=Conversation(
                roster,
                embedder,
                router,
                memory,
                Replies(composer, speaker, embedder, memory),
                settings.message_limit,
            ),
        )
        if in_advance:
            _load(orchestra, router, composer, stack)
        if serving:
            await _keep_personas(orchestra, examiner, stack)
        yield orchestra


def _load(orchestra: Orchestra, router: Router, composer: Composer, stack: AsyncExitStack) -> None:
    """Begin to load what takes seconds."""
    orchestra.warming = asyncio.create_task(_warm_up(orchestra, router, composer))
    stack.push_async_callback(_stop, orchestra.warming)


async def _keep_personas(
    orchestra: Orchestra, examiner: Examiner | None, stack: AsyncExitStack
) -> None:
    """Keep the personas fresh, and examine edits where a baseline is set.

    Raises:
        SettingsError: the baseline is of another model.
    """
    roster = orchestra.roster
    stack.push_async_callback(_stop, asyncio.create_task(roster.stay_fresh()))
    if examiner is not None:
        examiner.open(orchestra.lab.interviewer, orchestra.embedder, roster.reload_soon)
        stack.push_async_callback(examiner.close)
        roster.reload_soon()  # what was read before anybody could examine it


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


async def _warm_up(orchestra: Orchestra, router: Router, composer: Composer) -> None:
    try:
        await orchestra.embedder.open()
        await router.open()
        log.info("Embeddings: %s", orchestra.embedder.name)
        try:
            await orchestra.runs.open()
        except StorageError as exc:  # answers do not need it; tried again at the next task
            log.warning("Nobody works on tasks yet: %s", exc)
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
