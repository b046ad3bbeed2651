"""Wakes whoever watches a task in this process, as soon as there is something new to be read."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Bells:
    """One for each watcher of each task."""

    def __init__(self) -> None:
        self._of: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def ring(self, task_id: str) -> None:
        """Wake all who watch this task."""
        for bell in self._of.get(task_id, ()):
            bell.set()

    @contextmanager
    def hung_up(self, task_id: str) -> Iterator[asyncio.Event]:
        """A bell for one watcher, until the end of the block."""
        bell = asyncio.Event()
        self._of[task_id].add(bell)
        try:
            yield bell
        finally:
            self._of[task_id].discard(bell)
            if not self._of[task_id]:
                del self._of[task_id]
