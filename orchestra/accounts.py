"""Who may sign in with a password, and with which key programs act for them."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
from collections import deque
from collections.abc import Callable
from functools import cached_property

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from orchestra.database import Database, now
from orchestra.errors import SignInError
from orchestra.tables import accounts

SHORTEST_PASSWORD = 10
ATTEMPTS = 5
WINDOW_SECONDS = 300.0
"""ATTEMPTS wrong passwords within this time, and the account waits until the first is that old."""

RESERVED_NAME = "local"
"""The one person of a server without sign-in."""

_NAMES_IN_MEMORY = 10_000
_HASHES_AT_ONCE = 2
"""Each takes 64 MiB and a core for a moment: guesses under many names wait, the chat does not."""
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}\Z")


class Accounts:
    """Password accounts; hashes only, never a password."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._hasher = PasswordHasher()
        self._failures: dict[str, deque[float]] = {}
        self._hashing = asyncio.Semaphore(_HASHES_AT_ONCE)

    async def add(self, name: str, password: str) -> str:
        """Add an account, or give an existing one a new password and key.

        Returns:
            The key with which programs act for this account; it is shown once and not kept.

        Raises:
            SignInError: the name or the password is not acceptable.
            StorageError: it could not be kept.
        """
        if not _NAME.match(name) or name == RESERVED_NAME:
            message = (
                f"'{name}' cannot be an account name: letters, digits, and . _ @ - only, "
                "and not 'local'."
            )
            raise SignInError(message)
        if len(password) < SHORTEST_PASSWORD:
            message = f"The password is too short: {SHORTEST_PASSWORD} characters or more."
            raise SignInError(message)
        key = f"orc-{secrets.token_urlsafe(32)}"
        row = {
            "name": name,
            "password_hash": await asyncio.to_thread(self._hasher.hash, password),
            "key_digest": _digest(key),
            "created_at": now(),
        }

        def replace(connection: sa.Connection) -> None:
            connection.execute(accounts.delete().where(accounts.c.name == name))
            connection.execute(accounts.insert().values(**row))

        await self._database.write(replace)
        return key

    async def names(self) -> list[str]:
        """All account names, in order.

        Raises:
            StorageError: the database does not answer.
        """
        rows = await self._database.fetch(sa.select(accounts.c.name).order_by(accounts.c.name))
        return [row.name for row in rows]

    async def remove(self, name: str) -> None:
        """Remove an account; what belongs to it stays.

        Raises:
            SignInError: there is no such account.
            StorageError: the database refused.
        """
        change = accounts.delete().where(accounts.c.name == name)
        if not await self._database.write(lambda connection: connection.execute(change).rowcount):
            message = f"There is no account '{name}'."
            raise SignInError(message)

    async def sign_in(self, name: str, password: str) -> bool:
        """Whether the password is right; takes as long for a name that does not exist.

        Raises:
            SignInError: too many wrong passwords of late.
            StorageError: the database does not answer.
        """
        failures = self._recent_failures(name)
        if len(failures) >= ATTEMPTS:
            minutes = int(WINDOW_SECONDS // 60)
            message = f"Too many wrong passwords for '{name}'. Wait {minutes} minutes."
            raise SignInError(message)
        failures.append(self._clock())  # counted before the slow hash: guesses may come in parallel
        query = sa.select(accounts.c.password_hash).where(accounts.c.name == name)
        known = next((row.password_hash for row in await self._database.fetch(query)), None)
        async with self._hashing:
            right = await asyncio.to_thread(self._verify, known, password)
        if right:
            self._failures.pop(name, None)
            return True
        return False

    async def owner_of_key(self, key: str) -> str | None:
        """The account that a key belongs to.

        Raises:
            StorageError: the database does not answer.
        """
        query = sa.select(accounts.c.name).where(accounts.c.key_digest == _digest(key))
        return next((row.name for row in await self._database.fetch(query)), None)

    def _recent_failures(self, name: str) -> deque[float]:
        if len(self._failures) > _NAMES_IN_MEMORY:
            self._failures.pop(next(iter(self._failures)))
        failures = self._failures.setdefault(name, deque(maxlen=ATTEMPTS))
        while failures and self._clock() - failures[0] > WINDOW_SECONDS:
            failures.popleft()
        return failures

    def _verify(self, known: str | None, password: str) -> bool:
        nobody = self._nobody  # made by whoever comes first, known or not
        try:
            self._hasher.verify(known or nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return known is not None

    @cached_property
    def _nobody(self) -> str:
        """What the password of a name that does not exist is compared with."""
        return self._hasher.hash(secrets.token_hex())


def _digest(key: str) -> str:
    """Keys are 256 random bits: a plain hash is as hard to reverse as a slow one."""
    return hashlib.sha256(key.encode()).hexdigest()
