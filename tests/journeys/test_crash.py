"""Pulling the plug, and what is there afterwards."""

from __future__ import annotations

import asyncio
import json
import sqlite3

import httpx

from tests.conftest import Product, seed_cache
from tests.doubles.llm import Reply


def start(model, data_dir):
    product = Product(data_dir, {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "test-key"})
    product.wait_until_ready()
    return product


async def chat(url, text, user="anna"):
    """Ask; returns the task once the answer was acknowledged, None when the plug came first."""
    async with httpx.AsyncClient(timeout=20) as client:
        try:
            body = {"message": text, "user": user}
            async with client.stream("POST", f"{url}/api/v1/chat", json=body) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("data: ") and "timings_ms" in json.loads(line[6:]):
                        return text
        except httpx.TransportError:
            return None
    return None


def test_after_kill_9_nothing_acknowledged_is_lost_and_nothing_half_written_shows(
    model, example_vectors, tmp_path
):
    data_dir = tmp_path / "data"
    seed_cache(example_vectors, data_dir)
    model.always(Reply("An answer of several words to be kept.", pause_seconds=0.02))
    product = start(model, data_dir)

    async def pull_the_plug():
        asked = [
            asyncio.create_task(chat(product.url, f"Which words sell tea to customer number {n}?"))
            for n in range(40)
        ]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 10:
            done, waiting = await asyncio.wait(asked, timeout=0.05)
            if not waiting:
                break
        product.kill()
        return [text for text in await asyncio.gather(*asked) if text]

    acknowledged = asyncio.run(pull_the_plug())
    assert acknowledged
    with sqlite3.connect(data_dir / "orchestra.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    product = start(model, data_dir)
    kept = httpx.get(f"{product.url}/api/v1/memories", params={"user": "anna"}).json()
    assert set(acknowledged) <= {one["task"] for one in kept}
    assert {one["decision"] for one in kept} == {"An answer of several words to be kept."}
    found = httpx.get(
        f"{product.url}/api/v1/memories", params={"user": "anna", "q": acknowledged[0]}, timeout=20
    )
    assert acknowledged[0] in {one["task"] for one in found.json()}
    product.stop()


def test_a_broken_persona_file_stops_the_start_with_one_line(model, tmp_path):
    folder = tmp_path / "personas"
    folder.mkdir()
    (folder / "mira.md").write_text("---\nname: Mira\ntraits: {openness: 7}\n---\n")
    import subprocess
    import sys

    from tests.conftest import clean_env

    done = subprocess.run(
        [sys.executable, "-m", "orchestra", "ask", "hello there"],
        env={
            **clean_env(),
            "ORCHESTRA_DATA_DIR": str(tmp_path / "data"),
            "ORCHESTRA_PERSONAS_DIR": str(folder),
            "OPENAI_BASE_URL": model.base_url,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "mira.md: role" in done.stderr
    assert "Traceback" not in done.stderr
