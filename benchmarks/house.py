"""The opened house in this process, on a data folder that is thrown away."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestra.assembly import open_orchestra
from orchestra.house import Orchestra
from orchestra.settings import read_settings

_MESSAGES = Path(__file__).with_name("routing.jsonl")
_MORE_THAN_MEASURED = 100_000
_NO_MODEL = "http://127.0.0.1:9/v1"


@asynccontextmanager
async def opened(*, embedded_model: bool = False) -> AsyncIterator[Orchestra]:
    """Open everything and wait until it is warm; without the embedded model, no model is there."""
    with TemporaryDirectory() as folder:
        settings = read_settings(
            data_dir=Path(folder),
            database_url=None,
            chroma_url=None,
            embedding_model="",
            memory_limit=_MORE_THAN_MEASURED,
            openai_api_key=None,
            openai_base_url=None if embedded_model else _NO_MODEL,
        )
        async with open_orchestra(settings) as orchestra:
            await orchestra.warm()
            yield orchestra


def messages() -> list[dict[str, str]]:
    """The test file: `text`, `domain`, `persona`; none of it was taken from the examples."""
    return [json.loads(line) for line in _MESSAGES.read_text(encoding="utf-8").splitlines()]
