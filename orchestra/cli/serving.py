"""`serve` and `doctor`: the server, and how it is."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from orchestra.cli.command import AsJson, read_own_settings, show_parts


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Serve the chat, the API and the OpenAI wire."""
    import uvicorn

    from orchestra.api.app import create_app

    given = {"host": host, "port": port}
    settings = read_own_settings(
        **{name: value for name, value in given.items() if value is not None}
    )
    application = create_app(settings)
    uvicorn.run(
        application,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        ws_max_size=2_000_000,
    )


def doctor(
    as_json: AsJson = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Rebuild what is damaged; keeps a copy.")
    ] = False,
) -> None:
    """Say for each part what it is, whether it works, and how to mend it."""
    from orchestra.doctor import examine, mend

    settings = read_own_settings()
    if repair:
        for line in mend(settings):
            print(line, file=sys.stderr)
    show_parts(asyncio.run(examine(settings)), as_json=as_json)
