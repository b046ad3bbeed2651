"""The browser door: the only place that knows Chainlit.

Chainlit reads its configuration when it is imported, so this module imports it late: after the
assembly has told it where its files lie.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.routing import Mount

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from orchestra.screen.history import History as History


_mounted = False


def mount(app: FastAPI, entry: Path) -> None:
    """Mount the chat at '/', behind every route that the application has by now."""
    global _mounted  # noqa: PLW0603  # there is one Chainlit in a process
    from chainlit.utils import mount_chainlit  # noqa: PLC0415  # see the module's docstring

    _mounted = True
    mount_chainlit(app, target=str(entry), path="/")
    mounted = app.router.routes[-1]
    assert isinstance(mounted, Mount)  # noqa: S101  # it was mounted last
    mounted.app = _LetsGo(mounted.app)


class _LetsGo:
    """Lets a browser leave before its answer is there, which Chainlit's middleware calls an error.

    Source: starlette/middleware/base.py; to be dropped when chainlit/utils.py uses no
    BaseHTTPMiddleware.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on.

        Raises:
            RuntimeError: something else is wrong.
        """
        try:
            await self._app(scope, receive, send)
        except RuntimeError as exc:
            if str(exc) != "No response returned.":
                raise


def serving_alone() -> tuple[FastAPI, str] | None:
    """Chainlit's application and host, under `chainlit run app.py`; None where it is mounted."""
    if _mounted:
        return None
    from chainlit.config import config  # noqa: PLC0415  # see the module's docstring
    from chainlit.server import app  # noqa: PLC0415  # likewise

    return app, config.run.host


def on_start_and_stop(
    start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]
) -> None:
    """Register what Chainlit, serving alone, does at its start and its end."""
    import chainlit as cl  # noqa: PLC0415  # see the module's docstring

    cl.on_app_startup(start)
    cl.on_app_shutdown(stop)


async def rate(person: str, step_id: str, value: int, comment: str | None) -> str | None:
    """Keep a person's thumb on an answer; returns its id, or None if the answer is not theirs."""
    from orchestra.screen import thumbs  # noqa: PLC0415  # see the module's docstring

    return await thumbs.rate(person, step_id, value, comment)


async def unrate(person: str, thumb_id: str) -> bool:
    """Take a person's thumb back; False if it is not theirs."""
    from orchestra.screen import thumbs  # noqa: PLC0415  # see the module's docstring

    return await thumbs.unrate(person, thumb_id)


async def exchange(person: str, answer_id: str) -> tuple[str, str, str] | None:
    """Who gave an answer, to what, and the answer; None if it is not this person's."""
    from orchestra.screen import thumbs  # noqa: PLC0415  # see the module's docstring

    return await thumbs.exchange(person, answer_id)


async def close() -> None:
    """Write what is still to be written, and leave no files; a mounted app has no lifespan."""
    from orchestra.screen import chat, history  # noqa: PLC0415  # see the module's docstring

    await history.current().close()
    chat.UPLOADS.cleanup()


def sign_in_is_on() -> bool:
    """Whether people have to sign in."""
    from orchestra.screen import sign_in  # noqa: PLC0415  # see the module's docstring

    return sign_in.IS_ON


def oauth_providers() -> tuple[str, ...]:
    """The OAuth providers through which people can sign in."""
    from orchestra.screen import sign_in  # noqa: PLC0415  # see the module's docstring

    return sign_in.PROVIDERS


async def signed_in_user(request: Request) -> str | None:
    """Name of whoever is signed in on the page that a request comes from."""
    from orchestra.screen import sign_in  # noqa: PLC0415  # see the module's docstring

    return await sign_in.user_of(request)
