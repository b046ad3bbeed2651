"""`users …`: accounts for signing in."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import typer

from orchestra.cli.command import AsJson, read_own_settings

if TYPE_CHECKING:
    from orchestra.accounts import Accounts


app = typer.Typer(help="Accounts for signing in.", no_args_is_help=True)


@app.command("add")
def add_user(name: str) -> None:
    """Add an account, or change its password; the password comes from a prompt or stdin."""
    password = (
        getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    )

    async def run(accounts: Accounts) -> None:
        key = await accounts.add(name, password)
        print(
            f"Account '{name}' is ready. Sign-in is on from the server's next start.",
            file=sys.stderr,
        )
        print("Its key for programs, shown only now:", file=sys.stderr)
        print(key)

    _with_accounts(run)


@app.command("list")
def list_users(as_json: AsJson = False) -> None:
    """List the accounts."""

    async def run(accounts: Accounts) -> None:
        names = await accounts.names()
        print(json.dumps(names) if as_json else "\n".join(names))

    _with_accounts(run)


@app.command("remove")
def remove_user(name: str) -> None:
    """Remove an account; its memories and threads stay."""

    async def run(accounts: Accounts) -> None:
        await accounts.remove(name)
        print(f"Account '{name}' is removed.", file=sys.stderr)

    _with_accounts(run)


def _with_accounts(run: Callable[[Accounts], Awaitable[None]]) -> None:
    from orchestra.accounts import Accounts
    from orchestra.parts import open_database

    settings = read_own_settings()

    async def opened() -> None:
        async with open_database(settings) as database:
            await run(Accounts(database))

    asyncio.run(opened())
