"""What a browser may not do over Chainlit's socket."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import httpx
import pytest
import socketio


@asynccontextmanager
async def connected(url, session_id, origin=None):
    async with httpx.AsyncClient(base_url=url) as http:
        cookies = (await http.post("/auth/header")).cookies
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    if origin:
        headers["Origin"] = origin
    auth = {"clientType": "webapp", "sessionId": session_id, "userEnv": "{}", "threadId": ""}
    async with aiohttp.ClientSession() as session:
        client = socketio.AsyncClient(reconnection=False, http_session=session)
        started = asyncio.Event()
        client.on("task_end", handler=lambda *_: started.set())
        await client.connect(
            url,
            headers=headers,
            socketio_path="/ws/socket.io",
            transports=["websocket"],
            auth=auth,
        )

        async def round_trip():
            """Return when the server has worked off what was sent before."""
            started.clear()
            await client.emit("connection_successful")
            await asyncio.wait_for(started.wait(), 15)

        await round_trip()
        yield client, round_trip
        await client.disconnect()


async def test_a_session_named_like_a_path_deletes_nothing(product, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious.txt").write_text("still here")
    async with connected(product.url, str(victim)) as (client, round_trip):
        await client.emit("clear_session")
        await round_trip()
    async with connected(product.url, "another-session") as (_, round_trip):
        await round_trip()  # by now the first one is cleared
    assert (victim / "precious.txt").read_text() == "still here"


async def test_a_page_of_another_site_gets_no_socket(product):
    with pytest.raises(socketio.exceptions.ConnectionError):
        async with connected(product.url, "session", origin="http://evil.test"):
            pass
