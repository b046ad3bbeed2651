"""Tools that look at the web: real requests on loopback, and what may never be asked."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from orchestra.crews.tools import research
from orchestra.crews.tools.tool import Bench
from orchestra.crews.tools.web import fetched, is_public
from orchestra.errors import ToolError
from tests.conftest import free_port
from tests.doubles.served import Served

ARTICLE = "<html><body><article><h1>Fair</h1><p>The fair opens on 4 May in hall 3.</p></article>"


class Site(Served):
    def __init__(self):
        routes = {
            "/page": lambda _: HTMLResponse(ARTICLE),
            "/away": lambda _: RedirectResponse("/page"),
            "/inside": lambda _: RedirectResponse("http://10.0.0.1/secret"),
            "/round": lambda _: RedirectResponse("/round"),
            "/gone": lambda _: Response(status_code=404),
            "/large": lambda _: Response(bytes(10_000_001), media_type="text/plain"),
            "/host": lambda request: Response(f"You asked {request.headers['host']} for it."),
        }
        super().__init__(Starlette(routes=[Route(path, do) for path, do in routes.items()]))


@pytest.fixture(scope="module")
def site():
    with Site() as server:
        yield server.url


def loopback(address, _port):
    return address in {"127.0.0.1", "::1"}


def bench(**more):
    return Bench("t", "anna", "Look it up", None, **more)


async def test_a_page_is_read_and_kept(site):
    asked = research.Address(url=f"{site}/away")
    outcome = await research.read_page(asked, bench(may_reach=loopback))
    assert "The fair opens on 4 May in hall 3." in outcome.text
    (kept,) = outcome.files
    assert kept.content.decode().startswith(f"{site}/page\n\n")
    found = await research.read_page(
        research.Address(url=f"{site}/page", find="HALL 3"), bench(may_reach=loopback)
    )
    assert "4 May in hall 3" in found.text


async def test_the_host_is_asked_by_its_name(site):
    port = site.rpartition(":")[2]
    page = await fetched(f"http://localhost:{port}/host", loopback)
    assert page.content.decode() == f"You asked localhost:{port} for it."


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("{site}/page", "private network"),
        ("http://localhost/", "private network"),
        ("http://10.1.2.3/", "private network"),
        ("http://169.254.169.254/latest/meta-data", "private network"),
        ("http://[::1]/", "private network"),
        ("http://[::ffff:127.0.0.1]/", "private network"),
        ("http://2130706433/", "private network"),
        ("http://0x7f.1/", "private network"),
        ("file:///etc/passwd", "no address of a web page"),
        ("ftp://example.org/", "no address of a web page"),
        ("http://user:secret@example.org/", "no plain address"),
        ("http://", "no plain address"),
        ("http://a:99999999/", "no address of a web page"),
    ],
)
async def test_nothing_private_is_ever_asked(site, url, told):
    with pytest.raises(ToolError) as caught:
        await research.read_page(research.Address(url=url.format(site=site)), bench())
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/inside", "private network"),
        ("/round", "without end"),
        ("/gone", "HTTP 404"),
        ("/large", "larger than 10,000,000 bytes"),
    ],
)
async def test_what_goes_wrong_on_the_way_is_told(site, path, told):
    with pytest.raises(ToolError, match=told):
        await fetched(f"{site}{path}", loopback)


async def test_nobody_there_is_told():
    with pytest.raises(ToolError, match="cannot be read"):
        await fetched(f"http://127.0.0.1:{free_port()}/", loopback)
    with pytest.raises(ToolError, match="there is no network, or no such host"):
        await fetched("http://nobody.invalid/", loopback)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("192.168.0.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104  # an address, not a door
        ("fe80::1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_who_is_public(address, public):
    assert is_public(address, 443) is public
    assert is_public(address, 80) is public
    assert not is_public(address, 5432)  # whoever it is


async def test_without_a_network_a_search_says_so(monkeypatch):
    monkeypatch.setenv("DDGS_PROXY", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ToolError, match="there is no network, or the search engines do not answer"):
        await research.search(research.Search(query="trade fairs"), bench())
