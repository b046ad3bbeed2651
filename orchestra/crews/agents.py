"""Agents at work: each on one duty, watched, and stopped within a moment.

crewai's agents think in threads, on an event loop of their own here, so that nothing of it waits
on the loop that serves people. Every word to a model goes back to that loop, to the one client of
the house: its limits, retries and errors hold for crews as for the chat.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import logging
import threading
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from orchestra.crews.listening import Listener
from orchestra.crews.toolbox import Toolbox
from orchestra.crews.tools.tool import Bench, Outcome
from orchestra.database import now
from orchestra.errors import CrewError, LLMError
from orchestra.llm.chat import Reply, Speaker
from orchestra.prompts.crew import Duty, Room, with_findings
from orchestra.types.conversation import ChatTurn, Prompt, Tool
from orchestra.types.task import Task
from orchestra.types.task_events import StepStarted, TaskEvent, Worked

log = logging.getLogger(__name__)

_THREADS = 64
Result = TypeVar("Result")


class Agents:
    """Lets agents work."""

    def __init__(self, speaker: Speaker, room: Room, toolbox: Toolbox) -> None:
        """Prepare; crewai is loaded, in a thread, with the first `load` or duty.

        Args:
            speaker: The model.
            room: How much it reads and says, and whether it can ask for tools.
            toolbox: What agents can do besides writing.
        """
        self._speaker = speaker
        self._toolbox = toolbox
        self._room = room
        self._loading: asyncio.Task[_KickOff] | None = None
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="agent"))
        self._thread = threading.Thread(target=self._loop.run_forever, name="crews", daemon=True)

    def load(self) -> asyncio.Task[_KickOff]:
        """Begin to load crewai, which takes seconds; once is enough."""
        if self._loading is None:
            self._thread.start()
            self._loading = asyncio.create_task(asyncio.to_thread(_load))
        return self._loading

    async def close(self) -> None:
        """Stop the agents' event loop; who still works is no longer waited for."""
        if self._loading is not None:
            await asyncio.wait([self._loading])
            self._loop.call_soon_threadsafe(self._loop.stop)
            await asyncio.to_thread(self._thread.join)
        self._loop.close()
        await self._toolbox.close()

    async def work(self, task: Task, duty: Duty) -> AsyncGenerator[TaskEvent, None]:
        """Let one agent do its duty: yields StepStarted, StepDelta…, StepFinished, Worked.

        Tools are used where the model asks for them; with a model that cannot ask, those that fit
        the task are used first, and what they found is put to the agent's duty.

        Closing the generator aborts the request to the model that is under way.

        Raises:
            LLMError: the model did not answer, or with nothing.
            CrewError: the agent failed otherwise.
        """
        bench = await self._toolbox.bench(task)
        seat = _Seat(self._speaker, self._room.reply_tokens, self._toolbox, bench)
        yield StepStarted(
            at=now(),
            step_id=seat.listener.step_id,
            step="agent",
            title=f"{duty.role} at work",
            who=duty.role,
            input=duty.description,
        )
        offers: list[Tool] = []
        if self._room.asks_for_tools:
            offers = self._toolbox.offers(duty.domain)
        else:
            async for told in self._prepared(duty, bench, seat.listener.step_id):
                if isinstance(told, Duty):
                    duty = told
                else:
                    yield told
        kick_off = await asyncio.shield(self.load())
        thinking = kick_off(duty, seat.ask, self._room.context_tokens, offers, seat.use)
        working = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(thinking, self._loop))
        working.add_done_callback(lambda _: seat.events.put_nowait(None))
        try:
            while (event := await seat.events.get()) is not None:
                yield event
            text = _handed_in(working, seat, duty.role)
        except Exception as exc:
            yield seat.listener.finished(str(exc), ok=False)
            raise
        finally:
            seat.leave()
            working.cancel()
        yield seat.listener.finished(text)
        yield Worked(at=now(), role=duty.role, text=text)

    async def _prepared(
        self, duty: Duty, bench: Bench, step_id: str
    ) -> AsyncGenerator[TaskEvent | Duty, None]:
        """Use the tools that fit; yields what happens, and the duty with what they found."""
        found = []
        for name, arguments in self._toolbox.fitting(duty.domain, bench):
            async for event in self._toolbox.use(name, arguments, bench, step_id):
                if isinstance(event, Outcome):
                    found.append((name, event.text))
                else:
                    yield event
        yield with_findings(duty, found, self._room)


_KickOff = Callable[
    [
        Duty,
        Callable[[Sequence[ChatTurn], Sequence[Tool]], Reply],
        int,
        Sequence[Tool],
        Callable[[str, Mapping[str, Any]], str],
    ],
    Coroutine[None, None, str],
]


def _load() -> _KickOff:
    kick_off: _KickOff = importlib.import_module("orchestra.crews.kickoff").kick_off
    return kick_off


def _handed_in(working: asyncio.Future[str], seat: _Seat, role: str) -> str:
    """What an agent handed in.

    Raises:
        LLMError: the model did not answer, or with nothing.
        CrewError: the agent failed otherwise.
    """
    failure = working.exception()
    if failure is None:
        return working.result()
    if seat.error is not None:
        raise seat.error
    log.error("%s failed in crewai", role, exc_info=failure)
    said = " ".join(str(failure).split())[:200]
    message = f"{role} could not go on ({type(failure).__name__}: {said})."
    raise CrewError(message) from failure


class _Seat:
    """Where one agent sits: its way to the model, and what can be seen of it."""

    def __init__(self, speaker: Speaker, reply_tokens: int, toolbox: Toolbox, bench: Bench) -> None:
        self.events: asyncio.Queue[TaskEvent | None] = asyncio.Queue()
        self.listener = Listener(speaker, uuid.uuid4().hex[:12], self.events.put_nowait)
        self.error: LLMError | None = None
        """What the model server did, where that ended the work."""
        self._reply_tokens = reply_tokens
        self._toolbox = toolbox
        self._bench = bench
        self._loop = asyncio.get_running_loop()
        self._left = threading.Event()
        self._asking: set[concurrent.futures.Future[Any]] = set()

    def leave(self) -> None:
        """Stop asking; whoever waits for a reply in a thread is told."""
        self._left.set()
        for asking in tuple(self._asking):
            asking.cancel()

    def ask(self, turns: Sequence[ChatTurn], tools: Sequence[Tool]) -> Reply:
        """In a thread of crewai's: ask the model on the house's loop, and wait.

        Raises:
            CancelledError: the work was called off.
            LLMError: the model does not answer.
        """
        prompt = Prompt(turns=tuple(turns), max_tokens=self._reply_tokens, tools=tuple(tools))
        try:
            return self._waited(self.listener.ask(prompt))
        except LLMError as exc:
            self.error = exc
            raise

    def use(self, name: str, arguments: Mapping[str, Any]) -> str:
        """In a thread of crewai's: use a tool on the house's loop, and wait for what it says.

        Raises:
            CancelledError: the work was called off.
        """
        return self._waited(self._used(name, arguments))

    async def _used(self, name: str, arguments: Mapping[str, Any]) -> str:
        said = ""
        step_id = self.listener.step_id
        async for event in self._toolbox.use(name, arguments, self._bench, step_id):
            if isinstance(event, Outcome):
                said = event.text
            else:
                self.events.put_nowait(event)
        return said

    def _waited(self, work: Coroutine[None, None, Result]) -> Result:
        """What comes of something on the house's loop; in a thread.

        Raises:
            CancelledError: the work was called off.
        """
        asking = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._asking.add(asking)
        if self._left.is_set():
            asking.cancel()
        try:
            return asking.result()
        finally:
            self._asking.discard(asking)
