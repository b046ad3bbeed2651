"""What a command begins with: options, settings, the opened house, the lines of a file."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestra.errors import EvaluationError
from orchestra.logs import set_up_logging
from orchestra.settings import Settings, read_settings, unknown_variables

if TYPE_CHECKING:
    from orchestra.house import Orchestra
    from orchestra.types.status import PartStatus


log = logging.getLogger(__name__)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
UserName = Annotated[str, typer.Option("--user", help="Whose memory is used.")]

EXIT_FAILED = 1
EXIT_USAGE = 2


def read_own_settings(**overrides: object) -> Settings:
    """Read the settings and set logging up; one line per variable that nobody reads."""
    settings = read_settings(**overrides)
    set_up_logging(settings.log_level, settings.log_format)
    for line in unknown_variables(os.environ):  # noqa: TID251  # only to say that they are ignored
        log.warning("%s", line)
    return settings


def with_house(
    run: Callable[[Orchestra], Awaitable[None]], *, warm: bool = False, **overrides: object
) -> None:
    """Open the house for one command, without the log lines of a server."""
    from orchestra.assembly import open_orchestra

    settings = read_own_settings(**overrides)
    if settings.log_level == "info":
        logging.getLogger("orchestra").setLevel(logging.WARNING)

    async def opened() -> None:
        async with open_orchestra(settings, in_advance=warm, serving=False) as house:
            if warm:
                await house.warm()
            await run(house)

    asyncio.run(opened())


def show_parts(parts: Sequence[PartStatus], *, as_json: bool) -> None:
    """Print how each part is, and how to mend what is wrong.

    Raises:
        Exit: something is.
    """
    if as_json:
        print(json.dumps([asdict(part) for part in parts], ensure_ascii=False))
    else:
        for part in parts:
            print(f"{'ok  ' if part.ok else 'FAIL'} {part.part:12} {part.detail}")
            if part.fix and not part.ok:
                print(f"     {'':12} {part.fix}")
    if not all(part.ok for part in parts):
        raise typer.Exit(EXIT_FAILED)


def json_lines(path: Path, *keys: str) -> list[dict[str, Any]]:
    """The objects of a JSON lines file.

    Raises:
        EvaluationError: the file cannot be read, or a line lacks a key.
    """
    lines, number = [], 0
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            content = json.loads(line)
            missing = [key for key in keys if not isinstance(content.get(key), str)]
            if missing:
                message = f"{path}, line {number}: '{missing[0]}' is missing or not a text."
                raise EvaluationError(message)
            lines.append(content)
    except (OSError, UnicodeDecodeError) as exc:
        message = f"{path} cannot be read: {exc}"
        raise EvaluationError(message) from exc
    except (json.JSONDecodeError, AttributeError) as exc:
        message = f"{path}, line {number}: not a JSON object ({exc})."
        raise EvaluationError(message) from exc
    return lines
