"""Notion over the wire: asked patiently, its refusals in words. Only this module knows its client.

Notion is slow at times and refuses at others. What only reads is asked once more after a passing
fault; what changes something only where it is certain that nothing was changed.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from notion_client import APIResponseError, AsyncClient, RetryOptions
from notion_client.errors import HTTPResponseError, NotionClientErrorBase, RequestTimeoutError

from orchestra.errors import PersonaStoreError

VERSION = "2025-09-03"
REQUEST_SECONDS = 10.0
PAGE_SIZE = 100
_MOST_PAGES = 50
_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 3600.0
_LIMITED_SECONDS = 1.0
"""Pause after a refusal for asking too often that does not say how long."""
_MOST_WAITS = 5
"""How often one request waits for a limit to pass."""
_HEX = re.compile(
    r"(?<![0-9a-f])[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}(?![0-9a-f])",
    re.IGNORECASE,
)
_PASSING = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
_NOTHING_WAS_DONE = frozenset({409, 429, 503, 529})
_FIXES = {
    400: "If it is about an id, check NOTION_PERSONAS_DB_ID.",
    401: "Check NOTION_API_KEY: the token is wrong or was revoked.",
    403: "Let the connection read content (and, for changes, update and insert it), in Notion's "
    "settings of the connection.",
    404: "Check NOTION_PERSONAS_DB_ID, and share the table with the connection "
    "(page menu, Connections).",
    429: "It is asked again when Notion allows it.",
}

_AGAIN = "It is tried again by itself."

NotionRefusal = HTTPResponseError
"""Notion's answer with an error status; `status` and, where it is of its own kind, `code`."""

FAILURES = (
    NotionClientErrorBase,
    httpx.HTTPError,
    TimeoutError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)
"""Whatever the client, the wire or an odd answer raises."""


class NotionWire:
    """One connection to the API."""

    def __init__(self, token: str, base_url: str, patience_seconds: float = 5.0) -> None:
        """Prepare; nothing is asked yet.

        Args:
            token: The connection's secret.
            base_url: Where the API is.
            patience_seconds: Longest pause that Notion may ask for and is given on the spot; what
                wants a longer one is left to the caller.
        """
        self._patience_seconds = patience_seconds
        self._client = AsyncClient(
            auth=token,
            base_url=base_url.rstrip("/"),
            notion_version=VERSION,
            timeout_ms=int(REQUEST_SECONDS * 1000),
            retry=RetryOptions(max_retries=0),
            logger=logging.getLogger(f"{__name__}.client"),
            log_level=logging.ERROR,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        *,
        idempotent: bool = True,
    ) -> dict[str, Any]:
        """Ask for something, or change something; again after a passing fault that does no harm.

        Args:
            method: The HTTP method.
            path: Below /v1/.
            body: What is sent.
            query: What is sent in the address.
            idempotent: Whether doing it twice comes to the same as doing it once; what does not
                is only sent again where the first time certainly did nothing.

        Raises:
            NotionClientErrorBase: Notion refuses, or is silent.
            HTTPError: the connection failed.
            ValueError: the answer is no JSON.
            TypeError: it is no object.
        """
        waits, tries = 0, 0
        while True:
            try:
                answer = await self._client.request(
                    path=path,
                    method=method,
                    body=dict(body) if body is not None else None,
                    query=dict(query) if query is not None else None,
                )
            except (NotionClientErrorBase, httpx.HTTPError, ValueError) as exc:
                may_pass = _may_pass(exc, idempotent=idempotent)
                wanted = _wanted_pause(exc) if may_pass else 0.0
                if 0 < wanted <= self._patience_seconds and waits < _MOST_WAITS:
                    waits += 1
                    await asyncio.sleep(wanted)
                elif tries == 0 and not wanted and may_pass:
                    tries += 1
                    await asyncio.sleep(_PAUSE_SECONDS)
                else:
                    raise
            else:
                if not isinstance(answer, dict):
                    problem = "it answered with something else than an object"
                    raise TypeError(problem)
                return answer

    async def listed(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Every page of a listing, or none.

        Raises:
            NotionClientErrorBase: Notion refuses, or is silent.
            HTTPError: the connection failed.
            ValueError: the listing does not end, or is said to be incomplete.
            LookupError: it is no listing.
            TypeError: likewise.
        """
        found: list[dict[str, Any]] = []
        cursors: set[str] = set()
        place: dict[str, Any] = {"page_size": PAGE_SIZE}
        while True:
            asked = (None, place) if method == "GET" else ({**(body or {}), **place}, None)
            answer = await self.ask(method, path, *asked)
            if (answer.get("request_status") or {}).get("type") == "incomplete":
                problem = "it gave only a part of the table"
                raise ValueError(problem)
            found += answer["results"]
            if not answer["has_more"]:
                return found
            cursor = answer["next_cursor"]
            if not cursor or cursor in cursors or len(cursors) >= _MOST_PAGES:
                problem = "its listing does not end"
                raise ValueError(problem)
            cursors.add(cursor)
            place = {"page_size": PAGE_SIZE, "start_cursor": cursor}


@contextmanager
def told_as(source: str, *, writing: bool = False) -> Iterator[None]:
    """Tell whatever the client, the wire or an odd answer raises as one error, for people.

    Args:
        source: What is asked.
        writing: Whether something is changed, which nobody tries again by itself.

    Raises:
        PersonaStoreError: something was raised.
    """
    try:
        yield
    except FAILURES as exc:
        message, pause = _in_words(source, exc, "Send it again." if writing else _AGAIN)
        raise PersonaStoreError(message, pause) from exc


def notion_id(reference: str, variable: str = "NOTION_PERSONAS_DB_ID") -> str:
    """The id in anything that people paste: an id, or a link to the table.

    Raises:
        PersonaStoreError: there is none.
    """
    path = re.split(r"[?#]", reference.strip(), maxsplit=1)[0]
    found = _HEX.findall(path)
    if not found:
        message = (
            f"{variable} is '{reference[:80]}', in which there is no id. Open the page in full "
            "in Notion and copy its link."
        )
        raise PersonaStoreError(message)
    digits = found[-1].replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def shown_id(reference: str) -> str:
    """The beginning of an id, for people."""
    try:
        return f"{notion_id(reference)[:8]}…"
    except PersonaStoreError:
        return "without an id"


def retry_after(cause: HTTPResponseError) -> float:
    """Seconds that Notion wants to be left alone, an hour at most; as a number or as a date."""
    said = str(cause.headers.get("retry-after", ""))
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return min(max(seconds, 0.0), _LONGEST_PAUSE_SECONDS) if seconds == seconds else 0.0  # noqa: PLR0124  # not a number


def is_unknown_address(cause: HTTPResponseError) -> bool:
    """Whether the API, or whatever stands in its place, has no such call."""
    if isinstance(cause, APIResponseError):
        return bool(cause.code.value == "invalid_request_url")
    return cause.status in {404, 405, 501}


def _wanted_pause(exc: Exception) -> float:
    """Seconds to wait before the next try; 0 where nothing was asked for."""
    if not isinstance(exc, HTTPResponseError):
        return 0.0
    return retry_after(exc) or (_LIMITED_SECONDS if exc.status == 429 else 0.0)  # noqa: PLR2004  # too many requests


def _may_pass(exc: Exception, *, idempotent: bool) -> bool:
    """Whether the same request may succeed a moment later, and does no harm if sent again."""
    if isinstance(exc, HTTPResponseError):
        return exc.status in (_PASSING if idempotent else _NOTHING_WAS_DONE)
    return idempotent and not isinstance(exc, RequestTimeoutError)


def _in_words(source: str, cause: Exception, otherwise: str) -> tuple[str, float]:
    """What went wrong, and how long Notion wants to be left alone."""
    if isinstance(cause, HTTPResponseError):
        code = cause.code.value if isinstance(cause, APIResponseError) else "no code"
        said = " ".join(str(cause).split())[:200]
        fix = _FIXES.get(cause.status, otherwise)
        return f"{source} answered HTTP {cause.status} ({code}): {said} {fix}", retry_after(cause)
    if isinstance(cause, TimeoutError | RequestTimeoutError | httpx.TimeoutException):
        said = "is silent"
    elif isinstance(cause, httpx.HTTPError):
        said = f"cannot be reached ({type(cause).__name__}: {cause})"
    else:
        said = f"gave no proper answer ({type(cause).__name__}: {str(cause)[:120]})"
    return f"{source} {said}. {otherwise}", 0.0
