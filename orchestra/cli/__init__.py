"""The terminal door: stdout carries the answer only, logs go to stderr.

Exit 0: done. 1: failed. 2: wrong use or settings. The commands import their parts when they run,
so that each starts as fast as what it needs.
"""

from __future__ import annotations

import sys

import typer

from orchestra.cli import (
    asking,
    crew,
    evaluation,
    lab,
    memory,
    moving,
    notion,
    personas,
    serving,
    users,
)
from orchestra.cli.command import EXIT_FAILED, EXIT_USAGE
from orchestra.errors import OrchestraError, SettingsError

app = typer.Typer(
    help="Orchestra: a chat in which three personas answer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(serving.serve)
app.command()(asking.ask)
app.command()(asking.route)
app.command()(crew.crew)
app.add_typer(crew.tasks_app, name="tasks")
app.command()(serving.doctor)
app.add_typer(personas.app, name="personas")
app.command()(moving.migrate)
app.command()(moving.schema)
app.add_typer(notion.app, name="notion")
app.add_typer(memory.app, name="memory")
app.add_typer(evaluation.app, name="eval")
app.add_typer(lab.app, name="lab")
app.add_typer(users.app, name="users")


def main() -> None:
    """Run the command line; errors become one line and an exit code."""
    try:
        app()
    except SettingsError as exc:
        print(f"orchestra: {exc}", file=sys.stderr)
        raise SystemExit(EXIT_USAGE) from exc
    except OrchestraError as exc:
        print(f"orchestra: {exc}", file=sys.stderr)
        raise SystemExit(EXIT_FAILED) from exc
    except KeyboardInterrupt as exc:
        raise SystemExit(130) from exc
