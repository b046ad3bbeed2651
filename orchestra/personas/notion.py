"""Personas from a table in Notion: the only place that knows its client.

Notion is slow at times, refuses at others, and people edit while we read. So a listing counts
only when all of it was read; a row that cannot be understood leaves its persona as it was.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from notion_client import APIErrorCode, APIResponseError, AsyncClient, RetryOptions
from notion_client.errors import HTTPResponseError, NotionClientErrorBase, RequestTimeoutError
from pydantic import ValidationError

from orchestra.errors import PersonaStoreError
from orchestra.personas.kept import KeptTable
from orchestra.personas.notion_rows import Row, known_columns, read_row
from orchestra.types.persona import Persona, Personas

log = logging.getLogger(__name__)

VERSION = "2025-09-03"
REQUEST_SECONDS = 10.0
LOAD_SECONDS = 20.0
_PAGE_SIZE = 100
_MOST_PAGES = 50
_PAUSE_SECONDS = 0.5
_LOOK_AGAIN_SECONDS = 2.0
_BODIES_AT_ONCE = 3
_LONGEST_PAUSE_SECONDS = 3600.0
_SETTLED = timedelta(minutes=2)
_HEX = re.compile(
    r"(?<![0-9a-f])[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}(?![0-9a-f])",
    re.IGNORECASE,
)
_TRANSIENT = frozenset({408, 409, 500, 502, 503, 504, 529})
_FIXES = {
    400: "Check NOTION_PERSONAS_DB_ID.",
    401: "Check NOTION_API_KEY: the token is wrong or was revoked.",
    403: "Let the connection read content, in Notion's settings of the connection.",
    404: "Check NOTION_PERSONAS_DB_ID, and share the table with the connection "
    "(page menu, Connections).",
    429: "It is read again when Notion allows it.",
}


@dataclass
class _Found:
    """What a reading comes to."""

    members: dict[str, Persona] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    provisional: set[str] = field(default_factory=set)


class NotionPersonas:
    """The rows of one data source, as personas."""

    def __init__(self, token: str, reference: str, base_url: str, kept: KeptTable) -> None:
        """Prepare; nothing is asked yet.

        Args:
            token: The connection's secret.
            reference: Id of the database or data source, or any link to it.
            base_url: Where the API is.
            kept: The last good versions, on disk.
        """
        self.source = f"Notion {shown_id(reference)}"
        self._reference = reference
        self._kept = kept
        self._data_source_id: str | None = None
        self._bodies: dict[str, tuple[str, str]] = {}
        """By page: when it was edited, and its text; only once that minute is over."""
        self._incomplete: dict[str, tuple[str, ...]] = {}
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

    def kept(self) -> Personas | None:
        """What was last read well, from disk; None if there is nothing."""
        rows = self._kept.rows
        return self._personas(list(rows.values()), ()) if rows else None

    async def load(self) -> Personas:
        """Read the whole table.

        Raises:
            PersonaStoreError: Notion does not answer, refuses, or gave less than the whole; or no
                row can be used.
        """
        with _errors(self.source):
            async with asyncio.timeout(LOAD_SECONDS):
                pages = await self._listed()
                bodies = await self._bodies_of(pages)
            rows = [read_row(page, bodies[page["id"]], self._kept.columns) for page in pages]
            columns = {key: name for page in pages for key, name in known_columns(page).items()}
        found = _Found()
        present = {row.page_id for row in rows}
        for row in rows:
            if row.is_active:
                self._take(row, present, found)
        if not found.members:
            reason = "; ".join(found.problems[:3]) or "it has no active row"
            message = f"{self.source} holds no persona that can be used: {reason}."
            raise PersonaStoreError(message)
        await asyncio.to_thread(self._kept.keep, found.members, found.provisional, columns)
        return self._personas(list(found.members.values()), found.problems)

    def _personas(self, members: list[Persona], problems: Sequence[str]) -> Personas:
        """The set; a subject that two claim stays with whoever was there first."""
        owners: dict[str, str] = {}
        shared, served = [], []
        for one in members:
            clash = [domain for domain in one.domains if domain in owners]
            shared += [f"{one.name}: '{what}' already belongs to {owners[what]}." for what in clash]
            own = tuple(domain for domain in one.domains if domain not in owners)
            owners |= dict.fromkeys(own, one.name)
            served.append(one.model_copy(update={"domains": own}) if clash else one)
        return Personas(
            members=tuple(sorted(served, key=lambda one: one.id)),
            source=self.source,
            problems=(*problems, *shared),
        )

    def _take(self, row: Row, present: set[str], found: _Found) -> None:
        """Find the persona of a row: as it stands there, or as it was when it was understood."""
        earlier = self._kept.rows.get(row.page_id)
        is_sound = earlier is not None and row.page_id not in self._kept.provisional
        wrong = [*row.problems, *self._incomplete.get(row.page_id, ())]
        persona = None
        if not (wrong and is_sound):
            persona_id = self._kept.id_for(row.page_id, row.name, present)
            persona, broken = _persona(row, persona_id)
            wrong += broken
            if persona is not None:
                self._kept.keep_id(row.page_id, persona_id)
        served = persona or earlier
        what = "an earlier version answers" if persona is None else "a stand-in is used"
        what = what if served is not None else "it is left out"
        name = row.name or "A row without a name"
        found.problems += [f"{name}: {one} ({what})." for one in wrong]
        if served is not None:
            found.members[row.page_id] = served
        if wrong and persona is not None:
            found.provisional.add(row.page_id)

    async def _listed(self) -> list[dict[str, Any]]:
        """All rows; an empty table is believed when it is empty twice."""
        pages = await self._query()
        if not pages and self._kept.rows:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            pages = await self._query()
        return pages

    async def _query(self) -> list[dict[str, Any]]:
        """Every page of the listing, or none.

        Raises:
            ValueError: the listing does not end, or is said to be incomplete.
        """
        source_id = await self._resolved()
        pages: list[dict[str, Any]] = []
        cursors: set[str] = set()
        more: dict[str, Any] = {}
        while True:
            answer = await self._patiently(
                "POST", f"data_sources/{source_id}/query", {"page_size": _PAGE_SIZE, **more}
            )
            if (answer.get("request_status") or {}).get("type") == "incomplete":
                problem = "it gave only a part of the table"
                raise ValueError(problem)
            pages += answer["results"]
            if not answer["has_more"]:
                break
            cursor = answer["next_cursor"]
            if not cursor or cursor in cursors or len(cursors) >= _MOST_PAGES:
                problem = "its listing does not end"
                raise ValueError(problem)
            cursors.add(cursor)
            more = {"start_cursor": cursor}
        rows = {
            page["id"]: page
            for page in pages
            if page["object"] == "page" and "properties" in page and not page.get("in_trash")
        }
        # Notion lists the newest first; who was there first keeps name and subjects.
        return sorted(rows.values(), key=lambda page: (page.get("created_time", ""), page["id"]))

    async def _resolved(self) -> str:
        """The data source's id; asked for once, and again after it was not found.

        Raises:
            PersonaStoreError: the reference names none, or several.
            APIResponseError: Notion refuses.
        """
        if self._data_source_id is not None:
            return self._data_source_id
        given = notion_id(self._reference)
        try:
            database = await self._patiently("GET", f"databases/{given}")
        except APIResponseError as exc:
            if exc.code not in {APIErrorCode.ObjectNotFound, APIErrorCode.ValidationError}:
                raise
            found = await self._patiently("GET", f"data_sources/{given}")
            self._data_source_id = str(found["id"])
            return self._data_source_id
        sources = database["data_sources"]
        if len(sources) != 1:
            names = ", ".join(f"{one['name']} ({one['id']})" for one in sources)
            message = (
                f"The database of NOTION_PERSONAS_DB_ID has {len(sources)} data sources that the "
                f"connection can see ({names or 'share the table with it'}). Put one's id there."
            )
            raise PersonaStoreError(message)
        self._data_source_id = str(sources[0]["id"])
        return self._data_source_id

    async def _bodies_of(self, pages: list[dict[str, Any]]) -> dict[str, str]:
        """The content of each page as Markdown; read when the page was edited since."""
        at_once = asyncio.Semaphore(_BODIES_AT_ONCE)
        self._incomplete = {}

        async def body_of(page: Mapping[str, Any]) -> str:
            async with at_once:
                return await self._body(page)

        tasks = [asyncio.create_task(body_of(page)) for page in pages]
        try:
            bodies = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()  # the others, when one failed
        return {page["id"]: body for page, body in zip(pages, bodies, strict=True)}

    async def _body(self, page: Mapping[str, Any]) -> str:
        """The content of one page; what cannot be read whole is a problem of its row.

        Raises:
            HTTPResponseError: Notion refuses all, not just this page.
        """
        page_id, edited = str(page["id"]), str(page["last_edited_time"])
        known = self._bodies.get(page_id)
        if known is not None and known[0] == edited:
            return known[1]
        try:
            answer = await self._patiently("GET", f"pages/{page_id}/markdown")
        except HTTPResponseError as exc:
            if exc.status not in {400, 403, 404}:
                raise
            self._incomplete[page_id] = (f"its page cannot be read ({exc})",)
            return ""
        body = answer.get("markdown")
        if not isinstance(body, str) or answer.get("truncated") or answer.get("unknown_block_ids"):
            self._incomplete[page_id] = ("Notion gave only a part of its page",)
            return body if isinstance(body, str) else ""
        # Notion rounds to the minute: a further edit within it would look like this one.
        if datetime.now(UTC) - datetime.fromisoformat(edited) > _SETTLED:
            self._bodies[page_id] = (edited, body)
        return body

    def distrust(self) -> None:
        """Read every page anew: somebody says that something changed."""
        self._bodies.clear()

    async def _patiently(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Ask once more after a passing fault: all that is asked here only reads.

        Raises:
            NotionClientErrorBase: Notion refuses, or is silent.
            HTTPError: the connection failed.
            ValueError: the answer is no JSON.
        """
        try:
            return await self._once(method, path, body)
        except (NotionClientErrorBase, httpx.HTTPError, ValueError) as exc:
            if not _may_pass(exc):
                raise
        await asyncio.sleep(_PAUSE_SECONDS)
        return await self._once(method, path, body)

    async def _once(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """Ask.

        Raises:
            HTTPResponseError: Notion refuses.
            TypeError: the answer is no object.
        """
        try:
            answer = await self._client.request(path=path, method=method, body=body)
        except HTTPResponseError as exc:
            if exc.status == httpx.codes.NOT_FOUND and path.startswith("data_sources/"):
                self._data_source_id = None
            raise
        if not isinstance(answer, dict):
            problem = "it answered with something else than an object"
            raise TypeError(problem)
        return answer


def notion_id(reference: str) -> str:
    """The id in anything that people paste: an id, or a link to the table.

    Raises:
        PersonaStoreError: there is none.
    """
    path = re.split(r"[?#]", reference.strip(), maxsplit=1)[0]
    found = _HEX.findall(path)
    if not found:
        message = (
            f"NOTION_PERSONAS_DB_ID is '{reference[:80]}', in which there is no id. Open the table "
            "as a full page in Notion and copy its link."
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


def _persona(row: Row, persona_id: str) -> tuple[Persona | None, list[str]]:
    """The persona that a row describes, or what is wrong with it."""
    avatar = f"/public/avatars/{persona_id}.svg" if persona_id in _DRAWN else ""
    try:
        return Persona.model_validate({"id": persona_id, "avatar": avatar, **row.fields}), []
    except ValidationError as exc:
        told = " ".join(row.problems).lower()
        fields = ((str(one["loc"][0]), one["msg"]) for one in exc.errors())
        return None, [f"{name}: {said}" for name, said in fields if name.lower() not in told]


_DRAWN = frozenset({"cherry", "karen", "sophia"})


@contextmanager
def _errors(source: str) -> Iterator[None]:
    """Translate whatever the client, the wire or an odd answer raises, for people."""  # noqa: DOC501  # always a PersonaStoreError
    try:
        yield
    except (
        NotionClientErrorBase,
        httpx.HTTPError,
        TimeoutError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as exc:
        raise _translated(source, exc) from exc  # a PersonaStoreError


def _translated(source: str, cause: Exception) -> PersonaStoreError:
    if isinstance(cause, HTTPResponseError):
        code = cause.code.value if isinstance(cause, APIResponseError) else "no code"
        said = " ".join(str(cause).split())[:200]
        fix = _FIXES.get(cause.status, "It is tried again by itself.")
        message = f"{source} answered HTTP {cause.status} ({code}): {said} {fix}"
        return PersonaStoreError(message, _retry_after(cause))
    if isinstance(cause, TimeoutError | RequestTimeoutError | httpx.TimeoutException):
        said = "is silent"
    elif isinstance(cause, httpx.HTTPError):
        said = f"cannot be reached ({type(cause).__name__}: {cause})"
    else:
        said = f"gave no proper answer ({type(cause).__name__}: {str(cause)[:120]})"
    return PersonaStoreError(f"{source} {said}. It is tried again by itself.")


def _may_pass(exc: Exception) -> bool:
    if isinstance(exc, HTTPResponseError):
        return exc.status in _TRANSIENT and not _retry_after(exc)
    return not isinstance(exc, RequestTimeoutError)


def _retry_after(cause: HTTPResponseError) -> float:
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
