"""Who sits at the screen: the one local person, or whoever signed in."""

from __future__ import annotations

import logging

import chainlit as cl
from chainlit.auth import get_token_from_cookies
from chainlit.auth.jwt import decode_jwt
from chainlit.oauth_providers import get_configured_oauth_providers
from starlette.requests import Request

from orchestra import assembly
from orchestra.environment import prepare_environment
from orchestra.errors import SignInError

log = logging.getLogger(__name__)

LOCAL_USER = "local"

prepare_environment()  # under `chainlit run` nobody has done so by now
PROVIDERS: tuple[str, ...] = tuple(get_configured_oauth_providers())
"""The OAuth providers whose variables are set, in the environment or in `.env`."""
IS_ON = bool(PROVIDERS) or assembly.has_accounts()
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
    return name if await _may_stay(name) else None


def person() -> str:
    """Who sits at the page of this event."""
    user = cl.context.session.user
    return user.identifier if user else LOCAL_USER


async def may_write(name: str) -> bool:
    """Whether somebody may change personas on the page."""
    return not IS_ON or (await assembly.running()).settings.lets_write(name)


async def check(name: str) -> None:
    """Make sure that somebody who came in earlier may still be here.

    Raises:
        SignInError: the account is gone, or the provider's name is no longer let in.
    """
    if not await _may_stay(name):
        message = f"'{name}' may no longer come in here. Sign in again, or ask who runs this."
        raise SignInError(message)


async def _may_stay(name: str) -> bool:
    """A page and its cookie outlive the account, and the time before sign-in was on."""
    if not IS_ON:
        return True
    house = await assembly.running()
    provider, _, name_there = name.partition(":")
    if name_there:
        return provider in PROVIDERS and house.settings.lets_in(name_there, provider)
    return name in await house.accounts.names()


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
    house = await assembly.running()
    if not house.settings.lets_in(user.identifier, provider_id):
        log.warning("Not in ORCHESTRA_OAUTH_ALLOWED: %s:%s", provider_id, user.identifier)
        return None
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
    if PROVIDERS:
        cl.oauth_callback(_with_provider)
