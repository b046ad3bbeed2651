"""How events look on the wire."""

from __future__ import annotations


def sse(event: str, data: str) -> str:
    """One server-sent event.

    Args:
        event: Its name.
        data: JSON on one line.
    """
    return f"event: {event}\ndata: {data}\n\n"
