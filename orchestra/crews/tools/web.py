"""Pages of the web, fetched on behalf of a model: public addresses alone, and not without end."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpx

from orchestra.errors import ToolError

MOST_BYTES = 10_000_000
_MOST_HOPS = 5
_SECONDS = 15.0
_HEADERS = {
    "User-Agent": "Mozilla/5.0 (compatible; Orchestra)",
    "Accept": "text/html,application/pdf,text/plain;q=0.9,*/*;q=0.1",
    "Accept-Encoding": "identity",  # packed ones could unpack to anything
}

_LEADS_ELSEWHERE = tuple(
    map(
        ipaddress.ip_network,
        ("64:ff9b::/96", "64:ff9b:1::/48", "fec0::/10", "::/96", "168.63.129.16/32"),
    )
)
"""Addresses that stand for others, or for what only looks public."""
_PORTS = {80, 443}

MayReach = Callable[[str, int], bool]


@dataclass(frozen=True)
class Fetched:
    """What an address gave."""

    url: str
    """Where it came from in the end."""
    content_type: str
    content: bytes


def is_public(address: str, port: int) -> bool:
    """Whether web pages are there, and the IP address is not of this machine or its network."""
    if port not in _PORTS:
        return False
    found = ipaddress.ip_address(address)
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    if any(found in network for network in _LEADS_ELSEWHERE if network.version == found.version):
        return False
    return (inner or found).is_global and not found.is_multicast


async def fetched(url: str, may_reach: MayReach = is_public) -> Fetched:
    """Fetch a page; every address on the way is looked up once, checked, and then connected to.

    Args:
        url: Where.
        may_reach: Says of an IP address and a port whether they may be asked.

    Raises:
        ToolError: it may not be fetched, or cannot.
    """
    async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False, headers=_HEADERS) as client:
        for _ in range(_MOST_HOPS):
            answer = await _told_as(url, _one(client, url, may_reach))
            if isinstance(answer, Fetched):
                return answer
            url = answer
    message = f"{url} leads from one address to the next without end."
    raise ToolError(message)


async def _one(client: httpx.AsyncClient, url: str, may_reach: MayReach) -> Fetched | str:
    """What an address gave, or the address that it leads to.

    Raises:
        ToolError: it may not be asked, refuses, or sends too much.
    """
    target, asked = await _looked_up(url, may_reach)
    host = asked.raw_host.decode()
    request = client.build_request(
        "GET",
        target,
        headers={"Host": asked.netloc.decode()},
        extensions={"sni_hostname": host},
    )
    answer = await client.send(request, stream=True)
    try:
        if answer.has_redirect_location:
            return urljoin(url, answer.headers["location"])
        if answer.is_error:
            message = f"{url} answered HTTP {answer.status_code}."
            raise ToolError(message)
        if answer.headers.get("content-encoding", "identity") != "identity":
            message = f"{url} sends its page packed, though it was asked not to."
            raise ToolError(message)
        content = bytearray()
        async for piece in answer.aiter_raw():
            content += piece
            if len(content) > MOST_BYTES:
                message = f"{url} is larger than {MOST_BYTES:,} bytes."
                raise ToolError(message)
    finally:
        await answer.aclose()
    content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Fetched(url, content_type, bytes(content))


async def _looked_up(url: str, may_reach: MayReach) -> tuple[httpx.URL, httpx.URL]:
    """The same address with the host's IP in place of its name, and as it was.

    Raises:
        ToolError: it is none, or leads into this machine's own network.
        OSError: nobody knows the name.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        asked = httpx.URL(url)
    except (KeyError, ValueError, httpx.InvalidURL) as exc:
        message = f"'{url[:200]}' is no address of a web page; it begins with https:// or http://."
        raise ToolError(message) from exc
    if not parts.hostname or parts.username or parts.password:
        message = f"'{url[:200]}' is no plain address of a web page."
        raise ToolError(message)
    loop = asyncio.get_running_loop()
    name = asked.raw_host.decode()
    found = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    addresses = [str(one[4][0]) for one in found]
    if not all(may_reach(address, port) for address in addresses):
        message = (
            f"{parts.hostname} (port {port}) lies in a private network, or is no place of web "
            "pages: tools may not look there."
        )
        raise ToolError(message)
    return asked.copy_with(host=addresses[0]), asked


async def _told_as(url: str, asking: Awaitable[Fetched | str]) -> Fetched | str:
    """Tell what the network raises in words.

    Raises:
        ToolError: it raised something.
    """
    host = url[:200]
    try:
        return await asking
    except socket.gaierror as exc:
        message = f"{host} cannot be found: there is no network, or no such host."
        raise ToolError(message) from exc
    except httpx.TimeoutException as exc:
        message = f"{host} did not answer within {_SECONDS:g} seconds."
        raise ToolError(message) from exc
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as exc:
        said = " ".join(str(exc).split())[:160] or type(exc).__name__
        message = f"{host} cannot be read: {said}"
        raise ToolError(message) from exc
