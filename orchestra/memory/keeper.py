"""Remember, recall, forget."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Sequence
from weakref import WeakValueDictionary

import numpy as np

from orchestra.database import now
from orchestra.errors import MemoryNotFoundError, StorageError
from orchestra.llm.embedding import Embedder, Vectors
from orchestra.memory.ranking import score, terms_of
from orchestra.memory.records import MemoryRecords
from orchestra.memory.shelf import Shelf
from orchestra.memory.vectors import VectorStore
from orchestra.types.conversation import Memory
from orchestra.types.memory import NOTHING, Owner, Record, Version

log = logging.getLogger(__name__)

SAME = 0.96
"""Cosine from which two memories say the same.

Source: measured on LoCoMo's turns; at .90-.92 a pair is often not a duplicate, from .96 it is.
"""

FITS = 0.30
"""Base score from which a memory bears on a message: below, it is left unsaid."""

SHORTEST_TASK = 12
"""Characters; "hi" and "thanks!" are not decisions."""

_OWNERS_IN_MEMORY = 256
_INDEX_BATCH = 64
_LOOK_AGAIN_SECONDS = 5.0
_QUIET_SECONDS = 1.0
_PATIENCE_SECONDS = 10.0
"""Indexing waits for a quiet second, at most this long: answers come first."""


class MemoryKeeper:
    """Each persona's memory of each person."""

    def __init__(
        self, records: MemoryRecords, vectors: VectorStore, embedder: Embedder, limit: int = 5000
    ) -> None:
        self._records = records
        self._vectors = vectors
        self._embedder = embedder
        self._limit = limit
        self._shelves: OrderedDict[Owner, Shelf] = OrderedDict()
        self._loading: WeakValueDictionary[Owner, asyncio.Lock] = WeakValueDictionary()
        self._indexing = asyncio.Lock()
        self._work = asyncio.Event()
        self._indexer: asyncio.Task[None] | None = None
        self.indexing_error: str | None = None

    async def open(self) -> None:
        """Start indexing what the vectors do not know yet."""
        if self._vectors.is_new and self._vectors.may_write:
            rows = await self._records.mark_all_unindexed()
            log.info("Vectors: none of this model yet, %s memories are indexed anew", rows)
        self._work.set()
        self._indexer = asyncio.create_task(self._index_forever())

    async def close(self) -> None:
        """Finish the batch at hand; what is left is indexed at the next start."""
        if self._indexer is not None:
            self._indexer.cancel()
            await asyncio.wait([self._indexer])

    async def remember(self, record: Record) -> str | None:
        """Keep a decision; when this returns, it survives a crash.

        Returns:
            The memory's id, or None for a message too slight to be one.

        Raises:
            StorageError: it could not be kept.
        """
        if len(record.task.strip()) < SHORTEST_TASK or not record.decision.strip():
            return None
        await self._records.add([record])
        self._work.set()
        return record.id

    async def keep_all(self, records: Sequence[Record], vectors: Vectors | None = None) -> None:
        """Keep many decisions at once, vectors included; for imports and evaluation.

        Args:
            records: The decisions, oldest first.
            vectors: Their embeddings (n, d), where they are known already.

        Raises:
            StorageError: they could not be kept.
        """
        if vectors is None:
            vectors = await self._embedder.embed_all([one.text for one in records])
        await self._put_vectors(
            [one.owner for one in records], [one.id for one in records], vectors
        )
        await self._records.add(records, indexed=True)

    async def recall(
        self, owner: Owner, text: str, vector: Vectors, limit: int = 3, at_least: float = FITS
    ) -> list[Memory]:
        """Return the owner's memories that bear on a message, best first.

        Args:
            owner: Whose memories are searched; nobody else's can come back.
            text: The message.
            vector: Its embedding, (d,).
            limit: Most memories returned.
            at_least: Base score below which a memory is left out, 0..1.

        Raises:
            StorageError: database or vectors do not answer.
        """
        version, hits = await self._records.look(owner, terms_of(text))
        if version == NOTHING:
            return []
        shelf = await self._shelf(owner, version)
        if not shelf.ids:
            return []
        age_days = (now().timestamp() - shelf.created_at) / 86_400
        ranked, base = score(shelf.vectors @ vector, hits, shelf.chain, age_days, shelf.pinned)
        best = [int(index) for index in np.argsort(-ranked)[:limit] if base[index] >= at_least]
        found = await self._records.get(owner.user_id, [shelf.ids[index] for index in best])
        return [
            found[shelf.ids[index]].model_copy(
                update={"score": round(min(float(ranked[index]), 1.0), 3)}
            )
            for index in best
            if shelf.ids[index] in found
        ]

    async def search(
        self, user_id: str, persona_id: str, text: str, limit: int = 20
    ) -> list[Memory]:
        """Recall by a text that has not been embedded yet.

        Raises:
            StorageError: as `recall`.
        """
        vector = await self._embedder.embed(text)
        return await self.recall(Owner(user_id, persona_id), text, vector, limit)

    async def newest(
        self,
        user_id: str | None,
        persona_id: str | None = None,
        conversation_id: str | None = None,
        limit: int = 100,
    ) -> list[Memory]:
        """The newest memories, newest first; `user_id` None (everybody's) is for administrators.

        Raises:
            StorageError: the database does not answer.
        """
        return await self._records.newest(user_id, persona_id, conversation_id, limit)

    async def get(self, user_id: str, memory_id: str) -> Memory:
        """One memory of a person.

        Raises:
            MemoryNotFoundError: this person has no such memory.
            StorageError: the database does not answer.
        """
        found = await self._records.get(user_id, [memory_id])
        if memory_id not in found:
            message = f"You have no memory '{memory_id}'."
            raise MemoryNotFoundError(message)
        return found[memory_id]

    async def pin(self, user_id: str, memory_id: str, *, pinned: bool) -> None:
        """Pin a memory, which then is never evicted and ranks a little higher; or unpin it.

        Raises:
            MemoryNotFoundError: this person has no such memory.
            StorageError: the database refused.
        """
        if not await self._records.pin(user_id, memory_id, pinned=pinned):
            message = f"You have no memory '{memory_id}'."
            raise MemoryNotFoundError(message)
        for owner in [one for one in self._shelves if one.user_id == user_id]:
            del self._shelves[owner]

    async def forget(
        self,
        user_id: str | None,
        persona_id: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> int:
        """Delete memories: row, full text and vector are gone and the file is overwritten.

        Args:
            user_id: Whose; None (everybody's) is for administrators.
            persona_id: Only this persona's.
            ids: Only these.

        Returns:
            How many were forgotten.

        Raises:
            MemoryNotFoundError: ids were given and none of them is this person's.
            StorageError: the database refused.
        """
        gone = await self._records.remove(user_id, persona_id, ids)
        if ids is not None and not gone:
            message = f"You have no memory '{ids[0]}'."
            raise MemoryNotFoundError(message)
        for owner in [one for one in self._shelves if user_id in (None, one.user_id)]:
            del self._shelves[owner]
        async with self._indexing:  # a batch under way would put a vector back
            await self._remove_vectors()
        count = sum(len(members) for members in gone.values())
        try:
            await self._records.erase()
        except StorageError as exc:
            message = (
                f"{count} memories are forgotten, but their traces in the file could not be "
                f"overwritten yet; the next time something is forgotten does it. {exc}"
            )
            raise StorageError(message) from exc
        return count

    async def settle(self) -> None:
        """Wait until everything remembered so far is indexed.

        Raises:
            StorageError: it could not be indexed.
        """
        async with self._indexing:
            while await self._index_batch():
                pass

    async def _shelf(self, owner: Owner, version: Version) -> Shelf:
        """The owner's shelf of this version or a later one; whoever comes first loads it."""
        shelf = self._shelves.get(owner)
        if shelf is None or shelf.version != version:
            async with self._loading.setdefault(owner, asyncio.Lock()):
                shelf = self._shelves.get(owner)
                if shelf is None or shelf.version != version:
                    shelf = await self._brought_up_to_date(owner, shelf)
                    self._shelves[owner] = shelf
            if len(self._shelves) > _OWNERS_IN_MEMORY:
                self._shelves.popitem(last=False)
        if owner in self._shelves:
            self._shelves.move_to_end(owner)
        return shelf

    async def _brought_up_to_date(self, owner: Owner, old: Shelf | None) -> Shelf:
        """Add what is new to a shelf; where something else changed, fill another."""
        shelf = old or Shelf(self._embedder.width)
        version, rows = await self._records.outline(owner, after=shelf.version.newest)
        known: dict[str, Vectors] = {}
        if not shelf.grows_to(version, rows):
            version, rows = await self._records.outline(owner)
            known = shelf.vectors_of([row.id for row in rows])
            shelf = Shelf(self._embedder.width)
        if version.indexed > shelf.with_vector + len(known):
            missing = [one for one in (row.id for row in rows) if one not in known]
            wanted = None if old is None else [*shelf.without_vector, *missing]
            known |= await self._vectors.of_person(owner.persona_id, owner.user_id, wanted)
        shelf.add(rows)
        shelf.put_vectors(known)
        shelf.version = version
        return shelf

    async def _index_forever(self) -> None:
        """Index whatever is remembered, by this process or by one that may not write vectors."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                    await self._work.wait()
            except TimeoutError:
                pass
            await self._quiet()
            if not self._vectors.may_write:
                continue
            try:
                await self.settle()
                await self._remove_vectors()
                self.indexing_error = None
            except StorageError as exc:
                if self.indexing_error is None:
                    log.warning("Memories are kept but not indexed yet: %s", exc)
                self.indexing_error = str(exc)
            except Exception as exc:
                log.exception("Memories are kept but not indexed yet")
                self.indexing_error = str(exc) or type(exc).__name__

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

    async def _index_batch(self) -> bool:
        """Index one batch; returns whether there was anything to index."""
        rows = await self._records.unindexed(_INDEX_BATCH)
        if not rows or not self._vectors.may_write:
            return False
        vectors = await self._embedder.embed_all([f"{row.task}\n{row.decision}" for row in rows])
        owners, ids = [Owner(row.user_id, row.persona_id) for row in rows], [row.id for row in rows]
        await self._put_vectors(owners, ids, vectors)
        await self._records.mark_indexed(ids)
        for owner in set(owners):
            version, _ = await self._records.look(owner)
            await self._merge_duplicates(owner, await self._shelf(owner, version), set(ids))
            if version.memories > self._limit:
                surplus = await self._records.least_useful(owner, self._limit)
                await self._records.remove(owner.user_id, owner.persona_id, surplus)
        return True

    async def _put_vectors(
        self, owners: Sequence[Owner], ids: Sequence[str], vectors: Vectors
    ) -> None:
        """Put vectors (n, d) where they belong: each persona has a collection of its own."""
        for persona_id in {owner.persona_id for owner in owners}:
            own = [place for place, owner in enumerate(owners) if owner.persona_id == persona_id]
            users = [owners[place].user_id for place in own]
            await self._vectors.put(persona_id, users, [ids[place] for place in own], vectors[own])

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
