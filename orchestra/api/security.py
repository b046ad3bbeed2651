"""What every request must pass, HTTP and websocket alike."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_REMOTE_LINKS = re.compile(
    rb"<link[^>]*(?:fonts\.googleapis\.com|fonts\.gstatic\.com|cdn\.jsdelivr\.net)[^>]*>",
    re.IGNORECASE,
)

_FILES = re.compile(r"/project/file$|/api/v1/conversations/[^/]+/files/")
"""Chainlit's door for files, and ours."""

_PROVIDERS_ANSWER = ("/auth/oauth/azure-ad-hybrid/callback", "login.microsoftonline.com")

_CONTENT_POLICY = (
    "default-src 'self'; "
    # Chainlit runs custom elements' JSX in the page, which needs eval; its page has inline scripts.
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    # No remote images: a model could be talked into sending what it knows in an image's address.
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' {websocket}; "
    "frame-ancestors 'none'; object-src 'none'; base-uri 'self'; form-action 'self'"
)


class HostAndOriginGuard:
    """Refuses unknown hosts (DNS rebinding) and other sites' pages (they would be signed in)."""

    def __init__(self, app: ASGIApp, host_names: Iterable[str]) -> None:
        self._app = app
        self._host_names = frozenset(host_names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        name, page = _host_name(f"//{host}"), _netloc(origin)
        if name not in self._host_names:
            detail = (
                f"'{name}' is not a host name of this server. Add it to ORCHESTRA_ALLOWED_HOSTS."
            )
            await _refuse(scope, receive, send, HTTPStatus.MISDIRECTED_REQUEST, detail)
        elif origin is not None and page != host.lower() and not _from_provider(scope, page):
            detail = "Pages of other sites may not call this server."
            await _refuse(scope, receive, send, HTTPStatus.FORBIDDEN, detail)
        else:
            await self._app(scope, receive, send)


class RequestSizeGuard:
    """Refuses bodies beyond a limit, announced or not; where files go, the limit is another."""

    def __init__(self, app: ASGIApp, limit_bytes: int, file_limit_bytes: int) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._file_limit_bytes = file_limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        limit = self._file_limit_bytes if _FILES.match(scope["path"]) else self._limit_bytes
        detail = f"The request is larger than {limit:,} bytes."
        if not announced.isdigit() or int(announced) > limit:
            await _refuse(scope, receive, send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                return {"type": "http.disconnect"}
            return message

        await self._app(scope, counted, send)


class PageGuard:
    """Adds what browsers need to know, and drops links to other hosts from Chainlit's page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; mend the headers, and the page, on the way back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not scope["path"].startswith("/assets/"):
            # A compressed page could not be mended; only Chainlit's bundle is large.
            kept = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
            scope = {**scope, "headers": kept}
        host = Headers(scope=scope).get("host", "")
        secure = "wss" if scope.get("scheme") == "https" else "ws"
        policy = _CONTENT_POLICY.format(websocket=f"{secure}://{host}")
        start: Message | None = None
        page = bytearray()

        async def mended(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", policy)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                is_page = "content-disposition" not in headers
                if is_page and headers.get("content-type", "").startswith("text/html"):
                    start = message
                    return
            if start is None:
                await send(message)
                return
            page.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            body = _REMOTE_LINKS.sub(b"", bytes(page))
            MutableHeaders(scope=start)["content-length"] = str(len(body))
            await send(start)
            await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, mended)


def _from_provider(scope: Scope, page: str) -> bool:
    """Whether it is the one answer of an OAuth provider that comes as a form from its own page."""
    return scope["type"] == "http" and (scope["path"], page) == _PROVIDERS_ANSWER


def _host_name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _netloc(origin: str | None) -> str:
    try:
        return urlsplit(origin or "").netloc.lower()
    except ValueError:
        return ""


async def _refuse(
    scope: Scope, receive: Receive, send: Send, status: HTTPStatus, detail: str
) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": detail[:120]})
        return
    content = {"title": status.phrase, "status": status.value, "detail": detail}
    answer = JSONResponse(content, status.value, media_type="application/problem+json")
    await answer(scope, receive, send)
