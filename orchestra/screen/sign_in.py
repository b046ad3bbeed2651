"""Who sits at the screen: the one local person, or whoever signed in."""

from __future__ import annotations

import logging

import chainlit as cl
from chainlit.auth import get_token_from_cookies
from chainlit.auth.jwt import decode_jwt
from starlette.requests import Request

from orchestra import assembly
from orchestra.errors import SignInError

log = logging.getLogger(__name__)

LOCAL_USER = "local"

assembly.prepare_environment()
IS_ON = assembly.sign_in_is_on()
"""Decided once, at start: accounts or an OAuth provider are set up."""


async def user_of(request: Request) -> str | None:
    """Name of whoever is signed in, from the page's cookie."""
    token = get_token_from_cookies(request.cookies)
    if not token:
        return None
    try:
        name = str(decode_jwt(token).identifier)
    except Exception:  # noqa: BLE001  # a door: whatever is wrong with a cookie, nobody is signed in
        return None
    if ":" in name or not IS_ON:
        return name
    # The cookie outlives the account, and the time before sign-in was on.
    house = await assembly.running()
    return name if name in await house.accounts.names() else None


async def _local(_headers: object) -> cl.User | None:
    return cl.User(identifier=LOCAL_USER, display_name="You")


async def _with_password(username: str, password: str) -> cl.User | None:
    house = await assembly.running()
    try:
        if await house.accounts.sign_in(username, password):
            return cl.User(identifier=username, metadata={"provider": "password"})
    except SignInError as exc:
        log.warning("%s", exc)
    return None


async def _with_provider(
    provider_id: str, _token: str, _raw: dict[str, str], user: cl.User, _id_token: str | None = None
) -> cl.User | None:
    # A name at one provider is not the same person as that name elsewhere.
    user.identifier = f"{provider_id}:{user.identifier}"
    log.info("Signed in: %s", user.identifier)
    return user


def register() -> None:
    """Tell Chainlit how people come in."""
    if not IS_ON:
        cl.header_auth_callback(_local)
        return
    cl.password_auth_callback(_with_password)
    if assembly.oauth_is_set_up():
        cl.oauth_callback(_with_provider)
