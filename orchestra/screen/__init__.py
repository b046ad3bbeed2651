"""The browser door: the only place that knows Chainlit.

Chainlit reads its configuration when it is imported, so this module imports it late: after the
assembly has told it where its files lie.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request


def mount(app: FastAPI, entry: Path) -> None:
    """Mount the chat at '/', behind every route that the application has by now."""
    from chainlit.utils import mount_chainlit  # noqa: PLC0415  # see the module's docstring

    mount_chainlit(app, target=str(entry), path="/")


async def close() -> None:
    """Finish what the screen still has to write; a mounted app gets no lifespan of its own."""
    from chainlit.data import get_data_layer  # noqa: PLC0415  # see the module's docstring

    history = get_data_layer()
    if history is not None:
        await history.close()


def sign_in_is_on() -> bool:
    """Whether people have to sign in."""
    from orchestra.screen import sign_in  # noqa: PLC0415  # see the module's docstring

    return sign_in.IS_ON


async def signed_in_user(request: Request) -> str | None:
    """Name of whoever is signed in on the page that a request comes from."""
    from orchestra.screen import sign_in  # noqa: PLC0415  # see the module's docstring

    return await sign_in.user_of(request)
