"""`serve` and `doctor`: the server, and how it is."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from orchestra.cli.command import EXIT_FAILED, AsJson, read_own_settings


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
    parts = asyncio.run(examine(settings))
    if as_json:
        print(json.dumps([asdict(part) for part in parts], ensure_ascii=False))
    else:
        for part in parts:
            print(f"{'ok  ' if part.ok else 'FAIL'} {part.part:12} {part.detail}")
            if part.fix and not part.ok:
                print(f"     {'':12} {part.fix}")
    if not all(part.ok for part in parts):
        raise typer.Exit(EXIT_FAILED)
