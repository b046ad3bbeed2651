"""The packaged embedding model, as it is run here, against sentence-transformers' own way."""

import asyncio
import logging

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from orchestra.errors import SettingsError
from orchestra.llm import encoder, made_once
from orchestra.llm.embedding import Embedder, packaged_folder

TEXTS = [
    "Why?",
    "How do I get past the gatekeeper when cold calling?",
    "naïve café über straße 価格 🙂",
    "We decided to open the second shop in spring. " * 12,
    *(
        f"What did we decide about order {number}, " + "please " * (number % 9)
        for number in range(40)
    ),
]


@pytest.mark.timeout(120)
async def test_vectors_are_those_of_the_model_alone_and_in_a_crowd():
    expected = SentenceTransformer(str(packaged_folder()), device="cpu").encode(
        TEXTS, normalize_embeddings=True, batch_size=1, show_progress_bar=False
    )
    embedder = Embedder()
    await embedder.open()
    crowd = np.array(await asyncio.gather(*(embedder.embed(text) for text in TEXTS)))
    alone = np.array([(await embedder.embed_all([text]))[0] for text in TEXTS])
    together = await embedder.embed_all(TEXTS)
    assert (await embedder.embed_all([])).shape == (0, embedder.width)
    await embedder.close()
    for found in (crowd, alone, together):
        assert found.shape == (len(TEXTS), embedder.width)
        assert (found * expected).sum(axis=1).min() > 0.999


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(made_once, "user_cache_path", lambda _name: tmp_path / "cache")
    return tmp_path / "cache"


def loaded_anew(path):
    """What a process that has just begun would load."""
    return encoder.encoder.__wrapped__(str(path))


@pytest.mark.timeout(120)
def test_the_recorded_graph_is_kept_and_made_anew_when_it_is_broken(cache, caplog):
    vectors = loaded_anew(packaged_folder())(TEXTS[:3])
    (kept,) = cache.glob("*.pt")
    made_at = kept.stat().st_mtime_ns
    assert np.array_equal(loaded_anew(packaged_folder())(TEXTS[:3]), vectors)
    assert kept.stat().st_mtime_ns == made_at
    kept.write_bytes(kept.read_bytes()[:-5000])
    with caplog.at_level(logging.WARNING):
        assert (loaded_anew(packaged_folder())(TEXTS[:3]) * vectors).sum(axis=1).min() > 0.999
    assert "made anew next time" in caplog.text
    assert not kept.exists()


@pytest.mark.timeout(120)
def test_a_cache_that_cannot_be_written_leaves_the_graph_in_memory(cache, caplog):
    cache.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        found = loaded_anew(packaged_folder())
    assert isinstance(found, encoder._Recorded)
    assert "slower without it" in caplog.text


@pytest.mark.timeout(120)
def test_a_model_that_cannot_be_recorded_runs_as_the_library_loads_it(cache, monkeypatch):
    def refused(*_arguments):
        message = "this graph depends on its input"
        raise RuntimeError(message)

    expected = loaded_anew(packaged_folder())(TEXTS)
    (kept,) = cache.glob("*.pt")
    kept.unlink()
    monkeypatch.setattr(encoder, "_graph_of", refused)
    found = loaded_anew(packaged_folder())
    assert isinstance(found, encoder._AsLoaded)
    assert (found(TEXTS) * expected).sum(axis=1).min() > 0.999


def test_a_folder_without_a_model_is_an_error_that_names_the_setting(cache, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="ORCHESTRA_EMBEDDING_MODEL: no model"):
        loaded_anew(tmp_path / "empty")
