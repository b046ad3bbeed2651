"""Who is asking."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from orchestra import screen
from orchestra.errors import SignInError, StorageError
from orchestra.house import Orchestra

LOCAL_USER = "local"
"""The one person of a server without sign-in."""

_bearer = HTTPBearer(auto_error=False)


@dataclass(frozen=True)
class Caller:
    """A person, or a program that acts for one."""

    name: str
    may_name_others: bool
    """Whether a request's `user` counts: without sign-in, and for administrators."""
    is_admin: bool = False

    def acting_for(self, user: str | None) -> str:
        """Whose memory a request is about."""
        return user if user and self.may_name_others else self.name


def opened(request: Request) -> Orchestra:
    """The house that this application opened."""
    orchestra: Orchestra = request.app.state.orchestra
    return orchestra


House = Annotated[Orchestra, Depends(opened)]
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def identify(request: Request, house: House, credentials: Credentials) -> Caller:
    """Find out who is asking.

    Raises:
        SignInError: sign-in is on, and nobody is signed in.
    """
    token = credentials.credentials if credentials else None
    if token is not None and _is_admin_token(house, token):
        return Caller(LOCAL_USER, may_name_others=True, is_admin=True)
    if not screen.sign_in_is_on():
        return Caller(LOCAL_USER, may_name_others=True)
    name = await house.accounts.owner_of_key(token) if token else None
    name = name or await screen.signed_in_user(request)
    if name is None:
        message = (
            "Sign in on the page, or send 'Authorization: Bearer KEY' with your account's key."
        )
        raise SignInError(message)
    return Caller(name, may_name_others=False)


CallerOf = Annotated[Caller, Depends(identify)]


async def is_stranger(request: Request, house: House, credentials: Credentials) -> bool:
    """Whether sign-in is on and nobody is signed in."""
    try:
        await identify(request, house, credentials)
    except (SignInError, StorageError):  # a database that is down can tell nobody's key
        return True
    return False


IsStranger = Annotated[bool, Depends(is_stranger)]


async def identify_author(house: House, caller: CallerOf) -> Caller:
    """Make sure that somebody is asking who may change personas on the page.

    Raises:
        HTTPException: the caller may not (403).
    """
    if caller.is_admin or not screen.sign_in_is_on() or house.settings.lets_write(caller.name):
        return caller
    detail = (
        f"Only authors change personas. Whoever runs this adds '{caller.name}' to "
        "ORCHESTRA_AUTHORS and restarts."
    )
    raise HTTPException(HTTPStatus.FORBIDDEN, detail)


AuthorOf = Annotated[Caller, Depends(identify_author)]


async def identify_admin(house: House, credentials: Credentials) -> Caller:
    """Make sure that an administrator is asking.

    Raises:
        HTTPException: the token is not set up (403), missing or wrong (401).
    """
    if house.settings.admin_token is None:
        detail = (
            "Administration is off. Set ORCHESTRA_ADMIN_TOKEN (16 characters or more) and restart."
        )
        raise HTTPException(HTTPStatus.FORBIDDEN, detail)
    if credentials is None or not _is_admin_token(house, credentials.credentials):
        detail = "Send 'Authorization: Bearer' with the value of ORCHESTRA_ADMIN_TOKEN."
        raise HTTPException(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})
    return Caller(LOCAL_USER, may_name_others=True, is_admin=True)


Admin = Annotated[Caller, Depends(identify_admin)]


def _is_admin_token(house: Orchestra, token: str) -> bool:
    expected = house.settings.admin_token
    return expected is not None and secrets.compare_digest(
        token.encode(), expected.get_secret_value().encode()
    )
