"""Vectors of memories in Chroma: one collection per persona, ids and vectors only, no text."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import numpy as np
from filelock import FileLock, Timeout

from orchestra.database import now
from orchestra.errors import StorageError
from orchestra.llm.encoder import Vectors

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

log = logging.getLogger(__name__)

Result = TypeVar("Result")

LOCK_NAME = "chroma.lock"
"""Held, in the data folder, by the one process that may write vectors."""

_BATCH = 500


class VectorStore:
    """Chroma in the data folder, or a Chroma server.

    A Chroma folder has one writer at a time: the process that holds its lock. Another process on
    the same folder (the command line beside a running server) reads, and leaves what it wants
    written to the writer, which finds it in the database.
    """

    def __init__(self, folder: Path, url: str | None = None, model: str = "") -> None:
        """Prepare; nothing is touched before `open`.

        Args:
            folder: The data folder.
            url: A Chroma server.
            model: Name of the embedding model: vectors of different models never meet.
        """
        self._space = hashlib.sha256(model.encode()).hexdigest()[:8]
        self._folder = folder / "chroma"
        self._url = url
        # Whichever worker takes it, any worker may let go of it.
        self._lock = FileLock(folder / LOCK_NAME, thread_local=False)
        self._client: ClientAPI | None = None
        self._collections: dict[str, Collection] = {}
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="chroma")
        self.may_write = False
        self.is_new = False
        """Whether there are no vectors of this model yet: then all memories have to be indexed."""

    @property
    def description(self) -> str:
        """What and where it is, for people."""
        return (
            f"Chroma server {urlsplit(self._url).hostname}"
            if self._url
            else f"Chroma {self._folder}"
        )

    async def open(self) -> None:
        """Connect; a damaged folder is put aside, to be rebuilt from the database.

        Raises:
            StorageError: the server does not answer or the folder cannot be used.
        """
        await self._run(self._open)
        self.is_new = not await self._run(self._has_vectors)

    async def close(self) -> None:
        """Let go of the folder."""
        await self._run(self._lock.release)
        self._workers.shutdown(wait=False)
        self._collections.clear()
        self._client = None

    async def check(self) -> int:
        """Count all vectors.

        Raises:
            StorageError: Chroma does not answer.
        """
        return await self._run(self._count)

    async def put(
        self, persona_id: str, user_ids: Sequence[str], ids: Sequence[str], vectors: Vectors
    ) -> None:
        """Keep vectors (n, d); an id that is known gets the new one.

        Raises:
            StorageError: they could not be kept.
        """

        def upsert() -> None:
            collection = self._collection(persona_id)
            for start in range(0, len(ids), _BATCH):
                part = slice(start, start + _BATCH)
                collection.upsert(
                    ids=list(ids[part]),
                    embeddings=vectors[part],
                    metadatas=[{"user_id": user_id} for user_id in user_ids[part]],
                )

        await self._run(upsert)

    async def remove(self, persona_id: str, ids: Sequence[str]) -> None:
        """Remove vectors; unknown ids are fine.

        Raises:
            StorageError: they could not be removed.
        """

        def delete() -> None:
            collection = self._collection(persona_id)
            for start in range(0, len(ids), _BATCH):
                collection.delete(ids=list(ids[start : start + _BATCH]))

        await self._run(delete)

    async def of_person(
        self, persona_id: str, user_id: str, ids: Sequence[str] | None = None
    ) -> dict[str, Vectors]:
        """One person's vectors, (d,) by id: the one place where the person's filter is set.

        Args:
            persona_id: Whose memories.
            user_id: About whom.
            ids: Only these; None: all.

        Raises:
            StorageError: Chroma does not answer.
        """

        def get() -> dict[str, Vectors]:
            collection = self._collection(persona_id)
            these = None if ids is None else list(ids)
            found = collection.get(ids=these, where={"user_id": user_id}, include=["embeddings"])
            vectors = np.asarray(found["embeddings"], dtype=np.float32)
            return dict(zip(found["ids"], vectors, strict=True))

        return await self._run(get)

    def _open(self) -> None:
        if self._url:
            self._client = self._connect()
            self.may_write = True
            return
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            self.may_write = True
        except Timeout:
            log.info(
                "Another process writes %s; this one reads it and leaves writing to it",
                self._folder,
            )
        except OSError as exc:
            message = f"{self._folder.parent} cannot be written: {exc.strerror or exc}."
            raise StorageError(message) from exc
        try:
            self._client = self._connect()
            self._count()
        except StorageError as exc:
            if not self.may_write:
                raise
            self._put_aside(exc)

    def _put_aside(self, cause: StorageError) -> None:
        from chromadb.api.shared_system_client import SharedSystemClient  # noqa: PLC0415  # as in _connect

        SharedSystemClient.clear_system_cache()
        self._collections.clear()
        kept = self._folder.with_name(f"chroma.damaged-{now():%Y%m%d-%H%M%S}")
        try:
            shutil.move(self._folder, kept)
        except OSError as exc:
            message = f"{cause} It cannot be put aside either: {exc.strerror or exc}."
            raise StorageError(message) from exc
        log.warning("%s Kept as %s; the vectors are rebuilt from the database", cause, kept)
        self._client = self._connect()

    def _connect(self) -> ClientAPI:
        import chromadb  # noqa: PLC0415  # a second to import: only when vectors are opened
        from chromadb.config import Settings  # noqa: PLC0415  # likewise

        settings = Settings(anonymized_telemetry=False)
        with self._errors():
            if self._url:
                address = urlsplit(self._url)
                secure = address.scheme == "https"
                port = address.port or (443 if secure else 8000)
                return chromadb.HttpClient(
                    str(address.hostname), port, ssl=secure, settings=settings
                )
            return chromadb.PersistentClient(str(self._folder), settings=settings)

    def _collection(self, persona_id: str) -> Collection:
        if persona_id not in self._collections:
            assert self._client is not None  # noqa: S101  # opened before use
            self._collections[persona_id] = self._client.get_or_create_collection(
                f"decisions-{persona_id}-{self._space}",
                configuration={"hnsw": {"space": "cosine"}},
                embedding_function=None,
            )
        return self._collections[persona_id]

    def _has_vectors(self) -> bool:
        assert self._client is not None  # noqa: S101  # opened before use
        return any(one.name.endswith(self._space) for one in self._client.list_collections())

    def _count(self) -> int:
        assert self._client is not None  # noqa: S101  # opened before use
        with self._errors():
            return sum(collection.count() for collection in self._client.list_collections())

    async def _run(self, work: Callable[[], Result]) -> Result:
        def guarded() -> Result:
            with self._errors():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._workers, guarded)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Translate whatever Chroma raises: its own errors, SQLite's, and Rust's panics.

        Raises:
            StorageError: with what failed.
        """
        try:
            yield
        except StorageError:
            raise
        except BaseException as exc:
            # A damaged folder makes Chroma's core panic, and a panic is a BaseException.
            if not isinstance(exc, Exception) and type(exc).__name__ != "PanicException":
                raise
            cause = " ".join(str(exc).split())[:200] or type(exc).__name__
            message = f"{self.description} failed: {cause}."
            raise StorageError(message) from exc
