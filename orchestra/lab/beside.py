"""Several works side by side, and what is heard from them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable
from typing import TypeVar

Item = TypeVar("Item")


async def heard_from(
    works: Iterable[Coroutine[None, None, object]], heard: asyncio.Queue[Item | None]
) -> AsyncGenerator[Item, None]:
    """Do works side by side: yields what they put into the queue, until all are over.

    Closing the generator stops them all, and so does an error of one, which is raised.

    Args:
        works: What is to be done.
        heard: Where they put what they have to say; None is ours.

    Raises:
        Exception: whatever one of them raises.
    """
    doing = [asyncio.create_task(work) for work in works]
    over = asyncio.gather(*doing)
    over.add_done_callback(lambda _: heard.put_nowait(None))
    try:
        while (item := await heard.get()) is not None:
            yield item
        over.result()
    finally:
        for one in doing:  # one by one: cancelling what has failed as a whole would stop nobody
            one.cancel()
        await asyncio.gather(over, *doing, return_exceptions=True)
