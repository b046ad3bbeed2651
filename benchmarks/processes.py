"""Servers as processes of their own: started, waited for, stopped."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from asyncio.subprocess import STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

_OURS = ("OPENAI_", "ORCHESTRA_", "NOTION_", "CHAINLIT_", "OAUTH_")
_POLL_SECONDS = 0.05
_STOP_SECONDS = 15


def environment(**further: str) -> dict[str, str]:
    """The environment without anything that the product or Chainlit reads, plus what is given."""
    inherited = os.environ  # noqa: TID251  # a child process gets what is left of ours
    kept = {name: value for name, value in inherited.items() if not name.startswith(_OURS)}
    return kept | {"PYTHONUNBUFFERED": "1"} | further


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running(
    command: Sequence[str], folder: Path, env: Mapping[str, str]
) -> AsyncIterator[Process]:
    """Run a command in a folder until the end of the block; its output goes to a file there."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=env, stdout=output, stderr=STDOUT
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def seconds_until_ok(url: str, process: Process, patience_seconds: float = 120) -> float:
    """Ask until the answer is 200.

    Returns:
        Seconds from the call to the first byte of that answer.

    Raises:
        RuntimeError: the process ended, or the patience did.
    """
    started = time.perf_counter()
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        while time.perf_counter() - started < patience_seconds and process.returncode is None:
            try:
                async with client.stream("GET", url) as answer:
                    if answer.status_code == httpx.codes.OK:
                        return time.perf_counter() - started
            except httpx.TransportError:
                pass  # not listening yet
            await asyncio.sleep(_POLL_SECONDS)
    message = f"{url} did not answer with 200 (exit code so far: {process.returncode})."
    raise RuntimeError(message)
