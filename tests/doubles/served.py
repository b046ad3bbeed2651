"""An application on a free loopback port, in a thread of its own."""

from __future__ import annotations

import threading
from typing import Self

import uvicorn
from starlette.applications import Starlette


class Served:
    """A context manager; the address is known inside."""

    def __init__(self, app: Starlette) -> None:
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self.released = threading.Event()
        """Set at the end: whoever hangs on purpose lets go."""

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(5)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
