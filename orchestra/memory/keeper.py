"""Remember, recall, forget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestra.database import now
from orchestra.errors import MemoryNotFoundError, StorageError
from orchestra.llm.embedding import Embedder
from orchestra.llm.encoder import Vectors
from orchestra.memory.indexer import Indexer
from orchestra.memory.ranking import score, terms_of
from orchestra.memory.records import MemoryRecords
from orchestra.memory.shelf import Shelves
from orchestra.memory.vectors import VectorStore
from orchestra.types.conversation import Memory
from orchestra.types.memory import NOTHING, Owner, Record

FITS = 0.30
"""Base score from which a memory bears on a message: below, it is left unsaid."""

RECALL_LIMIT = 3
"""Decisions that a turn is given."""

_SPARE = 5
"""Further ones that are looked at, in the place of those that the person rejected."""

SHORTEST_TASK = 12
"""Characters; "hi" and "thanks!" are not decisions."""


class MemoryKeeper:
    """Each persona's memory of each person."""

    def __init__(
        self, records: MemoryRecords, vectors: VectorStore, embedder: Embedder, limit: int = 5000
    ) -> None:
        self._records = records
        self._vectors = vectors
        self._embedder = embedder
        self._shelves = Shelves(records, vectors, embedder)
        self._indexer = Indexer(records, vectors, embedder, self._shelves, limit)

    @property
    def indexing_error(self) -> str | None:
        """Why memories are not indexed at present."""
        return self._indexer.error

    async def open(self) -> None:
        """Start indexing what the vectors do not know yet."""
        await self._indexer.open()

    async def close(self) -> None:
        """Stop indexing; what is left is indexed at the next start."""
        await self._indexer.close()

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
        self._indexer.wake()
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
        await self._indexer.put(
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
        shelf = await self._shelves.of(owner, version)
        if not shelf.ids:
            return []
        age_days = (now().timestamp() - shelf.created_at) / 86_400
        ranked, base = score(shelf.vectors @ vector, hits, shelf.chain, age_days, shelf.pinned)
        first = np.argsort(-ranked)[: limit + _SPARE]
        best = [int(index) for index in first if base[index] >= at_least]
        found = await self._records.get(owner.user_id, [shelf.ids[index] for index in best])
        standing = [index for index in best if not _is_gone(found.get(shelf.ids[index]))]
        return [
            found[shelf.ids[index]].model_copy(
                update={"score": round(min(float(ranked[index]), 1.0), 3)}
            )
            for index in standing[:limit]
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
        self._shelves.drop(user_id)

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
        self._shelves.drop(user_id)
        await self._indexer.remove()
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
        await self._indexer.settle()


def _is_gone(memory: Memory | None) -> bool:
    return memory is None or memory.rejected
