"""Crews: what they cost beyond the model's own time, what they leave to the chat, what survives."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from benchmarks.crew_model import MODEL, SLOW
from benchmarks.processes import environment, free_port, running, seconds_until_ok
from benchmarks.table import Row, show

_HERE = Path(__file__).parent
_OVER = {"completed", "failed", "cancelled"}
_FAULTS = 0.2
_ROUNDS = 15
_CREWS = 20
_TASKS = 40
_QUESTION = {"message": "How do I get past the gatekeeper when cold calling?"}


async def main() -> None:
    """Measure against a model server that keeps its own time, and print the table."""
    async with _servers(faults=0) as (product, model):
        await _over(product, await _submitted(product, "A first one", "high"))
        rows = [
            *await _overhead(product, model, "low", "one agent", 100),
            *await _overhead(product, model, "high", "three agents", 250),
            await _cancel(product, model),
            *await _chat_beside_crews(product),
        ]
        rows.append(await _completion(product, "a healthy model server", "40 of 40"))
    async with _servers(faults=_FAULTS) as (product, model):
        of = f"a model server that fails {_FAULTS:.0%} of calls"
        rows.append(await _completion(product, of, "38 of 40"))
    show("Crews", rows)


async def _overhead(
    product: httpx.AsyncClient, model: httpx.AsyncClient, complexity: str, who: str, limit_ms: int
) -> list[Row]:
    """What a task took, less what the model took: in the queue, and from then on."""
    queued, beyond = [], []
    for number in range(_ROUNDS):
        before = (await model.get("/spent")).json()["seconds"]
        task_id = await _submitted(product, f"Plan fair number {number}", complexity)
        task = await _over(product, task_id)
        spent = (await model.get("/spent")).json()["seconds"] - before
        moments = [_moment(task[name]) for name in ("created_at", "started_at", "finished_at")]
        queued.append(1000 * (moments[1] - moments[0]).total_seconds())
        beyond.append(1000 * ((moments[2] - moments[1]).total_seconds() - spent))
    whole = median(one + other for one, other in zip(queued, beyond, strict=True))
    return [
        Row(f"beyond the model's time, {who}, queue included", f"{whole:.0f} ms", f"{limit_ms} ms"),
        Row("  of it until a worker has taken it", _spread(queued)),
        Row("  of it from then on", _spread(beyond)),
    ]


def _spread(times_ms: list[float]) -> str:
    return f"{median(times_ms):.0f} ms ({min(times_ms):.0f} to {max(times_ms):.0f})"


async def _cancel(product: httpx.AsyncClient, model: httpx.AsyncClient) -> Row:
    """From the request that calls a task off to the model server's hearing of it."""
    took = []
    for _ in range(5):
        before = (await model.get("/spent")).json()["calls"]
        task_id = await _submitted(product, SLOW, "low")
        while (await model.get("/spent")).json()["calls"] == before:  # noqa: ASYNC110  # it is another process
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        asked = time.monotonic()
        await product.delete(f"/api/v1/tasks/{task_id}")
        while (heard := (await model.get("/spent")).json()["aborted_at"]) < asked:  # noqa: ASYNC110  # likewise
            await asyncio.sleep(0.02)
        took.append(heard - asked)
    return Row("cancel to aborted model request, worst of 5", f"{max(took) * 1000:.0f} ms", "1 s")


async def _chat_beside_crews(product: httpx.AsyncClient) -> list[Row]:
    """The chat's first token alone, and while crews work."""
    idle = [await _first_token(product) for _ in range(_CREWS)]
    ids = [
        await _submitted(product, f"Plan fair {number}", "high", user=f"person {number}")
        for number in range(_CREWS)
    ]
    beside: list[float] = []
    while not await _all_over(product, ids):
        beside.append(await _first_token(product))
        await asyncio.sleep(0.1)
    done = [await _over(product, one) for one in ids]
    completed = sum(one["status"] == "completed" for one in done)
    ratio = median(beside) / median(idle)
    return [
        Row("the chat's first token, idle, median", f"{1000 * median(idle):.0f} ms"),
        Row(
            f"the same beside {_CREWS} crews, median of {len(beside)}",
            f"{1000 * median(beside):.0f} ms, {ratio:.2f} times",
            "1.5 times",
        ),
        Row("crews that completed", f"{completed} of {_CREWS}", f"{_CREWS} of {_CREWS}"),
    ]


async def _completion(product: httpx.AsyncClient, what: str, goal: str) -> Row:
    began = time.monotonic()
    ids = [
        await _submitted(product, f"Plan fair {number}", "medium", user=f"person {number % 8}")
        for number in range(_TASKS)
    ]
    done = [await _over(product, one) for one in ids]
    completed = sum(one["status"] == "completed" for one in done)
    for one in done:
        if one["status"] != "completed":
            print(f"{one['status']}: {one['error']}", file=sys.stderr)
    took = time.monotonic() - began
    return Row(f"completed with {what}", f"{completed} of {_TASKS} in {took:.0f} s", goal)


async def _submitted(
    product: httpx.AsyncClient, description: str, complexity: str, user: str = "local"
) -> str:
    asked = {"description": description, "domain": "project", "complexity": complexity}
    answer = await product.post("/api/v1/tasks", json={**asked, "user": user})
    return str(answer.raise_for_status().json()["task_id"])


async def _over(product: httpx.AsyncClient, task_id: str) -> dict[str, Any]:
    """A task once it is over; its events tell when."""
    async with product.stream("GET", f"/api/v1/tasks/{task_id}/events") as events:
        async for _ in events.aiter_bytes():
            pass
    task: dict[str, Any] = (await product.get(f"/api/v1/tasks/{task_id}")).json()
    return task


async def _all_over(product: httpx.AsyncClient, ids: list[str]) -> bool:
    answer = await product.get("/api/v1/tasks", params={"limit": 200})
    return {one["task_id"] for one in answer.json() if one["status"] in _OVER}.issuperset(ids)


async def _first_token(product: httpx.AsyncClient) -> float:
    began = time.monotonic()
    async with product.stream("POST", "/api/v1/chat", json=_QUESTION) as answer:
        async for line in answer.aiter_lines():
            if line == "event: delta":
                break
    return time.monotonic() - began


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@asynccontextmanager
async def _servers(faults: float) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """The product and its model server, each a process of its own; clients of both."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        model_port, port = free_port(), free_port()
        env = environment(
            OPENAI_BASE_URL=f"http://127.0.0.1:{model_port}/v1",
            OPENAI_API_KEY="none",
            ORCHESTRA_MODEL=MODEL,
            ORCHESTRA_DATA_DIR=str(folder / "data"),
        )
        scripted = [sys.executable, str(_HERE / "crew_model.py"), str(model_port), str(faults)]
        serve = [sys.executable, "-m", "orchestra", "serve", "--port", str(port)]
        model = await stack.enter_async_context(running(scripted, folder, env))
        model_url, url = f"http://127.0.0.1:{model_port}", f"http://127.0.0.1:{port}"
        await seconds_until_ok(f"{model_url}/v1/models", model)
        served = await stack.enter_async_context(running(serve, folder, env))
        await seconds_until_ok(f"{url}/readyz", served)
        yield (
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=300)),
            await stack.enter_async_context(httpx.AsyncClient(base_url=model_url, timeout=30)),
        )


if __name__ == "__main__":
    asyncio.run(main())
