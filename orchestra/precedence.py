"""People first: what works in the background pauses while somebody's first word is prepared.

Crews stream hundreds of words a second through the loop that serves people, and write them down;
without this a message beside them waited about twice as long for its answer to begin
(`benchmarks/crews.py`). Like the counters of `metrics`, it is one for the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

HELD_SECONDS = 0.1
"""Most that one message holds up the background: after that it waits for the model, not for us."""
PATIENCE_SECONDS = 0.25
"""Most that the background waits at one time, however many messages come."""


class Precedence:
    """Who prepares an answer takes it; who works in the background gives way."""

    def __init__(self) -> None:
        self._takers: set[object] = set()
        self._free = asyncio.Event()

    @contextmanager
    def taken(self) -> Iterator[Callable[[], None]]:
        """Take it until the end of the block, or until what this yields is called."""
        mine = object()
        if not self._takers:
            self._free = asyncio.Event()
        self._takers.add(mine)

        def give_back() -> None:
            self._takers.discard(mine)
            if not self._takers:
                self._free.set()

        timer = asyncio.get_running_loop().call_later(HELD_SECONDS, give_back)
        try:
            yield give_back
        finally:
            timer.cancel()
            give_back()

    async def give_way(self) -> None:
        """Wait while anybody has it, for a moment at most."""
        if self._takers:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._free.wait()


PRECEDENCE = Precedence()
