"""Fixtures: a scripted model server, houses opened on it, and a running product."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path

import httpx
import pytest

from orchestra.assembly import open_orchestra
from orchestra.house import Orchestra
from orchestra.settings import ROOT, Settings
from tests.doubles.llm import ModelServer

OpenHouse = Callable[..., AbstractAsyncContextManager[Orchestra]]
Serve = Callable[..., AbstractContextManager["Product"]]
ADMIN_TOKEN = "an-admin-token-for-tests"
ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the developer's own reaches a test."""
    for name in list(os.environ):
        if name.startswith(("ORCHESTRA_", "OPENAI_", "OAUTH_", "NOTION_")):
            monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    monkeypatch.setenv("ORCHESTRA_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """An OpenAI-compatible server on loopback that does what the test says."""
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="session")
def example_vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the router's example vectors, made once."""
    folder = tmp_path_factory.mktemp("examples")
    settings = Settings(data_dir=folder, openai_base_url="http://127.0.0.1:1")

    async def make() -> None:
        async with open_orchestra(settings) as house:
            await house.warm()

    asyncio.run(make())
    return folder


def seed_cache(source: Path, data_dir: Path) -> None:
    """Give a fresh data folder the router's example vectors."""
    data_dir.mkdir(parents=True, exist_ok=True)
    for path in source.glob("examples-*.npy"):
        shutil.copy(path, data_dir)


@pytest.fixture
def open_house(model: ModelServer, example_vectors: Path, tmp_path: Path) -> OpenHouse:
    """Open the house on the scripted model; the same data folder each time within a test."""

    @asynccontextmanager
    async def opened(**overrides: object) -> AsyncIterator[Orchestra]:
        data_dir = tmp_path / "data"
        seed_cache(example_vectors, data_dir)
        values = {
            "data_dir": data_dir,
            "openai_base_url": model.base_url,
            "openai_api_key": "test-key",
            "model": "scripted",
            "model_timeout_seconds": 2,
        }
        async with open_orchestra(Settings(**(values | overrides))) as house:
            await house.warm()
            yield house

    return opened


@pytest.fixture
async def house(open_house: OpenHouse) -> AsyncIterator[Orchestra]:
    """The house, opened on the scripted model."""
    async with open_house() as opened:
        yield opened


class Product:
    """`orchestra serve` as a process of its own, or `chainlit run app.py`."""

    def __init__(
        self, data_dir: Path, environment: dict[str, str], *, by_chainlit: bool = False
    ) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (data_dir / "server.log").open("w+", encoding="utf-8")
        command = [sys.executable, "-m", "orchestra", "serve"]
        if by_chainlit:
            command = [sys.executable, "-m", "chainlit", "run", str(ROOT / "app.py"), "--headless"]
        self._process = subprocess.Popen(
            [*command, "--port", str(self.port)],
            env={**clean_env(), "ORCHESTRA_DATA_DIR": str(data_dir), **environment},
            cwd=ROOT if by_chainlit else data_dir,
            stdout=self._log,
            stderr=self._log,
        )

    def wait_until_ready(self, seconds: float = 50) -> None:
        """Return when messages can be answered."""
        with httpx.Client(transport=httpx.HTTPTransport(retries=0)) as client:
            waiting = int(seconds / 0.2)
            for _ in range(waiting):
                assert self._process.poll() is None, self.log()
                with contextlib.suppress(httpx.TransportError):
                    if client.get(f"{self.url}/readyz").status_code == 200:
                        return
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.2)
        raise AssertionError(self.log())

    def log(self) -> str:
        """What the server logged."""
        return (self.data_dir / "server.log").read_text(encoding="utf-8")

    def kill(self) -> None:
        """Kill -9."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def stop(self) -> int:
        """Ask it to stop; returns its exit code."""
        self._process.terminate()
        code = self._process.wait(20)
        self._log.close()
        return code


def clean_env() -> dict[str, str]:
    """The environment of a product under test: the developer's, without any setting."""
    ours = ("ORCHESTRA_", "OPENAI_", "OAUTH_", "NOTION_", "CHAINLIT_", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONPATH": str(ROOT)}


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def shared_model() -> Iterator[ModelServer]:
    """The scripted model of the shared product; reset it before use."""
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="session")
def serve(
    shared_model: ModelServer, example_vectors: Path, tmp_path_factory: pytest.TempPathFactory
) -> Serve:
    """Run a product of its own on the shared scripted model, for the length of a `with`."""

    @contextmanager
    def serving(
        data_dir: Path | None = None, *, by_chainlit: bool = False, **environment: str
    ) -> Iterator[Product]:
        shared_model.reset()
        folder = data_dir or tmp_path_factory.mktemp("product")
        seed_cache(example_vectors, folder)
        values = {
            "OPENAI_BASE_URL": shared_model.base_url,
            "OPENAI_API_KEY": "test-key",
            "ORCHESTRA_ADMIN_TOKEN": ADMIN_TOKEN,
        }
        running = Product(folder, {**values, **environment}, by_chainlit=by_chainlit)
        running.wait_until_ready()
        yield running
        running.stop()

    return serving


@pytest.fixture(scope="session")
def shared_product(serve: Serve) -> Iterator[Product]:
    """One running product for all tests that only talk to it."""
    with serve(ORCHESTRA_MODEL="scripted", ORCHESTRA_MODEL_TIMEOUT_SECONDS="3") as running:
        yield running


@pytest.fixture
def product(shared_product: Product, shared_model: ModelServer) -> Product:
    """The running product, with its scripted model back at its default reply."""
    shared_model.reset()
    return shared_product
