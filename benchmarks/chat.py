"""First token through the whole product, beside a bare Chainlit app and the model server itself.

All three in turns in one run, each message the first of a new conversation.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil
from openai import AsyncOpenAI

from benchmarks.chat_client import Answer, ChatClient, cookie_of
from benchmarks.house import messages
from benchmarks.processes import environment, free_port, running, seconds_until_ok
from benchmarks.scripted_model import MODEL, WORDS
from benchmarks.table import Row, show

ROUNDS = {1: 20, 30: 5}
"""People at once -> rounds."""

_SETTLE_SECONDS = 1.0
_HERE = Path(__file__).parent
_SAID = "".join(WORDS).split()


@dataclass
class Contender:
    """One way to the model, and what was measured on it."""

    ask_all: Callable[[list[str]], Awaitable[list[Answer]]]
    process: psutil.Process | None = None
    answers: list[Answer] = field(default_factory=list)
    overheads_ms: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0

    async def play(self, texts: list[str], direct_ms: float) -> float:
        """Ask all texts at once; returns the median time to the first token."""
        cpu_started = self._cpu_seconds()
        answers = await self.ask_all(texts)
        self.cpu_seconds += self._cpu_seconds() - cpu_started
        times = [one.first_token_ms for one in answers if one.first_token_ms is not None]
        self.answers += answers
        self.overheads_ms += [one - direct_ms for one in times]
        return median(times)

    @property
    def refused(self) -> int:
        """Messages that got an error, or nothing at all."""
        return sum(one.error is not None or not one.text for one in self.answers)

    @property
    def lost(self) -> int:
        """Words of the model that were not shown, over all answers that were given."""
        return sum(len(_SAID) - _in_order(one.text) for one in self.answers if one.text)

    @property
    def cpu_ms(self) -> float:
        """Processor time per message, connecting included."""
        return self.cpu_seconds * 1000 / len(self.answers)

    def _cpu_seconds(self) -> float:
        if self.process is None:
            return 0.0
        times = self.process.cpu_times()
        return float(times.user + times.system)


async def main() -> None:
    """Print the table."""
    async with _servers() as contestants:
        rows = []
        questions = itertools.cycle(one["text"] for one in messages())
        for people, rounds in ROUNDS.items():
            await _round(people, questions, *(make() for make in contestants))  # a warm-up
            direct, product, bare = (make() for make in contestants)
            for _ in range(rounds):
                await _round(people, questions, direct, product, bare)
            rows += _rows(people, product, bare)
    show("Chat: overhead to the first token, median (95th percentile)", rows)


async def _round(
    people: int, questions: Iterator[str], direct: Contender, *others: Contender
) -> None:
    """Let each ask the same messages, one contender after the other."""
    texts = list(itertools.islice(questions, people))
    direct_ms = await direct.play(texts, 0.0)
    for other in others:
        await other.play(texts, direct_ms)


def _rows(people: int, product: Contender, bare: Contender) -> list[Row]:
    limit_ms = 45.0 if people == 1 else 2 * median(bare.overheads_ms)
    name = f"{people} at once"
    rows = [
        Row(f"{name}: product", _overhead(product), f"<= +{limit_ms:.0f} ms"),
        Row(f"{name}: bare Chainlit", _overhead(bare)),
        Row(f"{name}: CPU per message, new conversation included", f"{product.cpu_ms:.0f} ms"),
        Row(f"{name}: the same of bare Chainlit", f"{bare.cpu_ms:.0f} ms"),
        Row(f"{name}: lost tokens, of {len(_SAID)} per answer", str(product.lost), "0"),
        Row(f"{name}: refused, of {len(product.answers)} messages", str(product.refused), "0"),
    ]
    if bare.lost or bare.refused:
        rows.append(Row(f"{name}: bare Chainlit lost, refused", f"{bare.lost}, {bare.refused}"))
    return rows


def _overhead(contender: Contender) -> str:
    ordered = sorted(contender.overheads_ms)
    return f"+{median(ordered):.1f} ms (+{ordered[int(len(ordered) * 0.95)]:.1f})"


def _in_order(text: str) -> int:
    """How many of the model's words the text has, in their order."""
    shown = iter(text.split())
    return sum(word in shown for word in _SAID)


@asynccontextmanager
async def _servers() -> AsyncIterator[tuple[Callable[[], Contender], ...]]:
    """Start all; yields what makes a fresh contender of each: direct, product, bare."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        ports = [str(free_port()) for _ in range(3)]
        model_url, product_url, bare_url = (f"http://127.0.0.1:{port}" for port in ports)
        binaries = Path(sys.executable).parent
        env = environment(
            OPENAI_BASE_URL=f"{model_url}/v1",
            OPENAI_API_KEY="none",
            ORCHESTRA_MODEL=MODEL,
            ORCHESTRA_DATA_DIR=str(folder / "data"),
        )
        scripted = [sys.executable, str(_HERE / "scripted_model.py"), ports[0]]
        serve = [str(binaries / "orchestra"), "serve", "--port", ports[1]]
        app = str(_HERE / "bare_chainlit.py")
        bare = [str(binaries / "chainlit"), "run", app, "--headless", "--port", ports[2]]
        model_process = await stack.enter_async_context(running(scripted, folder, env))
        await seconds_until_ok(f"{model_url}/v1/models", model_process)
        served = await stack.enter_async_context(running(serve, folder, env))
        bare_env = env | {"CHAINLIT_APP_ROOT": str(folder)}
        plain = await stack.enter_async_context(running(bare, folder, bare_env))
        await seconds_until_ok(f"{product_url}/readyz", served)
        await seconds_until_ok(bare_url, plain)
        client = AsyncOpenAI(base_url=f"{model_url}/v1", api_key="none")
        stack.push_async_callback(client.close)
        cookie = await cookie_of(product_url)
        yield (
            lambda: Contender(lambda texts: _ask_model(client, texts)),
            lambda: Contender(
                lambda texts: _ask_screen(product_url, cookie, texts), psutil.Process(served.pid)
            ),
            lambda: Contender(
                lambda texts: _ask_screen(bare_url, "", texts), psutil.Process(plain.pid)
            ),
        )


async def _ask_screen(base_url: str, cookie: str, texts: list[str]) -> list[Answer]:
    """Ask each text in a browser of its own, all at once."""
    async with AsyncExitStack() as stack:
        clients = [ChatClient(base_url, cookie) for _ in texts]
        await asyncio.gather(*(stack.enter_async_context(client) for client in clients))
        await asyncio.sleep(_SETTLE_SECONDS)
        asked = zip(clients, texts, strict=True)
        answers = await asyncio.gather(*(client.ask(text) for client, text in asked))
    await asyncio.sleep(_SETTLE_SECONDS)
    return answers


async def _ask_model(client: AsyncOpenAI, texts: list[str]) -> list[Answer]:
    return await asyncio.gather(*(_ask_model_once(client, text) for text in texts))


async def _ask_model_once(client: AsyncOpenAI, text: str) -> Answer:
    answer, started = Answer(), time.perf_counter()
    stream = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": text}], stream=True
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            if answer.first_token_ms is None:
                answer.first_token_ms = (time.perf_counter() - started) * 1000
            answer.text += chunk.choices[0].delta.content
    return answer


if __name__ == "__main__":
    asyncio.run(main())
