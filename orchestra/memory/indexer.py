"""Lets the vectors follow the rows: index what is new, merge what says the same, drop the rest."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Sequence

import numpy as np

from orchestra.errors import StorageError
from orchestra.llm.embedding import Embedder
from orchestra.llm.encoder import Vectors
from orchestra.memory.records import MemoryRecords
from orchestra.memory.shelf import Shelf, Shelves
from orchestra.memory.vectors import VectorStore
from orchestra.types.memory import Owner

log = logging.getLogger(__name__)

SAME = 0.96
"""Cosine from which two memories say the same.

Source: measured on LoCoMo's turns; at .90-.92 a pair is often not a duplicate, from .96 it is.
"""

_INDEX_BATCH = 64
_LOOK_AGAIN_SECONDS = 5.0
_QUIET_SECONDS = 1.0
_PATIENCE_SECONDS = 10.0
"""Indexing waits for a quiet second, at most this long: answers come first."""


class Indexer:
    """Works behind everybody's back; rows are the truth, so nothing is lost when it stops."""

    def __init__(
        self,
        records: MemoryRecords,
        vectors: VectorStore,
        embedder: Embedder,
        shelves: Shelves,
        limit: int,
    ) -> None:
        self._records = records
        self._vectors = vectors
        self._embedder = embedder
        self._shelves = shelves
        self._limit = limit
        self._indexing = asyncio.Lock()
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.error: str | None = None
        """Why memories are not indexed at present."""

    async def open(self) -> None:
        """Start with what the vectors do not know yet."""
        if self._vectors.is_new and self._vectors.may_write:
            rows = await self._records.mark_all_unindexed()
            log.info("Vectors: none of this model yet, %s memories are indexed anew", rows)
        self.wake()
        self._task = asyncio.create_task(self._index_forever())

    async def close(self) -> None:
        """Stop; what is left is indexed at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def wake(self) -> None:
        """Say that something was remembered."""
        self._work.set()

    async def settle(self) -> None:
        """Wait until everything remembered so far is indexed.

        Raises:
            StorageError: it could not be indexed.
        """
        async with self._indexing:
            while await self.index_batch():
                pass

    async def index_batch(self) -> bool:
        """Index one batch; returns whether there was anything to index.

        Raises:
            StorageError: it could not be indexed.
        """
        rows = await self._records.unindexed(_INDEX_BATCH)
        if not rows or not self._vectors.may_write:
            return False
        vectors = await self._embedder.embed_all([f"{row.task}\n{row.decision}" for row in rows])
        owners, ids = [Owner(row.user_id, row.persona_id) for row in rows], [row.id for row in rows]
        await self.put(owners, ids, vectors)
        await self._records.mark_indexed(ids)
        for owner in set(owners):
            version, _ = await self._records.look(owner)
            await self._merge_duplicates(owner, await self._shelves.of(owner, version), set(ids))
            if version.memories > self._limit:
                surplus = await self._records.least_useful(owner, self._limit)
                await self._records.remove(owner.user_id, owner.persona_id, surplus)
        return True

    async def put(self, owners: Sequence[Owner], ids: Sequence[str], vectors: Vectors) -> None:
        """Put vectors (n, d) where they belong: each persona has a collection of its own.

        Raises:
            StorageError: they could not be kept.
        """
        for persona_id in {owner.persona_id for owner in owners}:
            own = [place for place, owner in enumerate(owners) if owner.persona_id == persona_id]
            users = [owners[place].user_id for place in own]
            await self._vectors.put(persona_id, users, [ids[place] for place in own], vectors[own])

    async def remove(self) -> None:
        """Remove the vectors of what was forgotten, for good.

        Raises:
            StorageError: they could not be removed.
        """
        async with self._indexing:  # a batch under way would put one back
            await self._remove_vectors()

    async def _index_forever(self) -> None:
        """Index whatever is remembered, by this process or by one that may not write vectors."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                    await self._work.wait()
            await self._quiet()
            if not self._vectors.may_write:
                continue
            try:
                await self.settle()
                await self._remove_vectors()
                self.error = None
            except StorageError as exc:
                if self.error is None:
                    log.warning("Memories are kept but not indexed yet: %s", exc)
                self.error = str(exc)
            except Exception as exc:
                log.exception("Memories are kept but not indexed yet")
                self.error = str(exc) or type(exc).__name__

    async def _quiet(self) -> None:
        """Wait until nothing has been remembered for a moment, or until that took too long."""
        loop = asyncio.get_running_loop()
        waiting_since = loop.time()
        while loop.time() < waiting_since + _PATIENCE_SECONDS:
            self._work.clear()
            try:
                async with asyncio.timeout(_QUIET_SECONDS):
                    await self._work.wait()
            except TimeoutError:
                return

    async def _merge_duplicates(self, owner: Owner, shelf: Shelf, fresh: set[str]) -> None:
        """Let each fresh memory take the place of the older one that says the same, if any."""
        for index in [place for place, one in enumerate(shelf.ids) if place and one in fresh]:
            similarity = shelf.vectors[:index] @ shelf.vectors[index]
            newer, nearest = shelf.ids[index], shelf.ids[int(np.argmax(similarity))]
            if similarity.max() >= SAME and await self._same_figures(owner, newer, nearest):
                await self._records.merge(newer, nearest)

    async def _same_figures(self, owner: Owner, one_id: str, other_id: str) -> bool:
        """Whether two memories name the same numbers: 'order 12' and 'order 13' look alike."""
        found = await self._records.get(owner.user_id, [one_id, other_id])
        figures = {
            tuple(re.findall(r"\d+", f"{one.task} {one.decision}")) for one in found.values()
        }
        return len(figures) == 1

    async def _remove_vectors(self) -> None:
        if not self._vectors.may_write:
            return
        for persona_id, ids in (await self._records.to_remove()).items():
            await self._vectors.remove(persona_id, ids)
            await self._records.removed(ids)
