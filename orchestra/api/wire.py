"""How events look on the wire."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from pydantic import BaseModel

from orchestra.errors import OrchestraError

log = logging.getLogger(__name__)

EventT = TypeVar("EventT", bound=BaseModel)


def sse(event: str, data: str) -> str:
    """One server-sent event.

    Args:
        event: Its name.
        data: JSON on one line.
    """
    return f"event: {event}\ndata: {data}\n\n"


async def told(first: EventT, rest: AsyncGenerator[EventT, None]) -> AsyncGenerator[str, None]:
    """Yield a journey's events as server-sent events; what goes wrong is the last one, `error`.

    Args:
        first: The event that was waited for before the response began.
        rest: The journey; closed at the end, also when the client goes away.
    """
    try:
        async with aclosing(rest):
            yield _named(first)
            async for event in rest:
                yield _named(event)
    except OrchestraError as exc:
        yield sse("error", json.dumps({"error": type(exc).__name__, "detail": str(exc)}))
    except Exception:
        error_id = uuid.uuid4().hex[:8]
        log.exception("Error %s in a stream of events", error_id)
        detail = f"Something went wrong here that was not foreseen. Error id: {error_id}."
        yield sse("error", json.dumps({"error": "InternalError", "detail": detail}))


def _named(event: BaseModel) -> str:
    return sse(type(event).__name__.lower(), event.model_dump_json())
