"""All of an owner's memories, ready to be scored, without their words."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from orchestra.llm.embedding import Embedder
from orchestra.llm.encoder import Vectors
from orchestra.memory.ranking import Chain
from orchestra.memory.records import MemoryRecords
from orchestra.memory.vectors import VectorStore
from orchestra.types.memory import NOTHING, Outline, Owner, Version

_SPARE_ROWS = 64
_OWNERS_IN_MEMORY = 256


class Shelf:
    """Grows at its end as memories are added; whatever else changes needs a new shelf."""

    def __init__(self, width: int) -> None:
        """An empty shelf for vectors of `width` numbers."""
        self.version: Version = NOTHING
        """The state of the database that it shows."""
        self.ids: list[str] = []
        self.chain = Chain()
        self.created_at: npt.NDArray[np.float64] = np.empty(0)
        """(n,) seconds since 1970."""
        self.pinned: npt.NDArray[np.bool_] = np.empty(0, dtype=bool)
        self._room = np.zeros((_SPARE_ROWS, width), dtype=np.float32)
        self._without_vector: dict[str, int] = {}

    @property
    def vectors(self) -> Vectors:
        """(n, d), a row of zeros where there is no vector yet."""
        return self._room[: len(self.ids)]

    @property
    def with_vector(self) -> int:
        """How many memories have their vector."""
        return len(self.ids) - len(self._without_vector)

    @property
    def without_vector(self) -> list[str]:
        """Ids of the memories that were added without a vector so far."""
        return list(self._without_vector)

    def vectors_of(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """The vectors that are here, of the memories asked for, (d,) by id."""
        wanted = set(ids) - self._without_vector.keys()
        return {one: self._room[place] for place, one in enumerate(self.ids) if one in wanted}

    def grows_to(self, version: Version, added: Sequence[Outline]) -> bool:
        """Whether this shelf and what was added since are all there is in that version."""
        pinned = int(self.pinned.sum()) + sum(one.pinned for one in added)
        return (len(self.ids) + len(added), pinned) == (version.memories, version.pinned)

    def add(self, rows: Sequence[Outline]) -> None:
        """Add memories, oldest first, still without vectors."""
        if not rows:
            return
        start = len(self.ids)
        self.ids += [row.id for row in rows]
        self._without_vector |= {row.id: start + index for index, row in enumerate(rows)}
        self.chain.add([row.number for row in rows], [row.conversation_id for row in rows])
        created_at = np.array([_timestamp(row.created_at) for row in rows])
        self.created_at = np.concatenate([self.created_at, created_at])
        self.pinned = np.concatenate([self.pinned, np.array([row.pinned for row in rows])])
        if len(self.ids) > len(self._room):
            spare = max(_SPARE_ROWS, len(self.ids) // 8)  # copied now and then, not each time
            room = np.zeros((len(self.ids) + spare, self._room.shape[1]), dtype=np.float32)
            room[:start] = self._room[:start]
            self._room = room

    def put_vectors(self, known: Mapping[str, Vectors]) -> None:
        """Fill in vectors, (d,) by id."""
        new = [memory_id for memory_id in known if memory_id in self._without_vector]
        places = [self._without_vector.pop(memory_id) for memory_id in new]
        if new:
            self._room[places] = np.array([known[memory_id] for memory_id in new])


class Shelves:
    """The shelves of the owners who were last asked about, each as new as it has to be."""

    def __init__(self, records: MemoryRecords, vectors: VectorStore, embedder: Embedder) -> None:
        self._records = records
        self._vectors = vectors
        self._embedder = embedder
        self._shelves: OrderedDict[Owner, Shelf] = OrderedDict()
        self._loading: WeakValueDictionary[Owner, asyncio.Lock] = WeakValueDictionary()

    async def of(self, owner: Owner, version: Version) -> Shelf:
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

    def drop(self, user_id: str | None) -> None:
        """Forget the shelves of a person; None: of everybody."""
        for owner in [one for one in self._shelves if user_id in {None, one.user_id}]:
            del self._shelves[owner]

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


def _timestamp(when: datetime) -> float:
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
