"""A sentence-transformers model as one recorded graph: a third less time, and no lock held.

An unrecorded pass takes Python's lock back after each of its five hundred operations, which with
many people at once is waiting for most of the time. The graph is kept on the machine, with its
tokenizer: reading it takes two seconds, where importing the library and its model takes ten.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
import warnings
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from orchestra.errors import SettingsError
from orchestra.llm.made_once import made_once

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

log = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float32]
"""(n, d) float32, every row of length 1: the dot product is the cosine."""

Encoder: TypeAlias = Callable[[list[str]], Vectors]
"""Texts to their vectors, in one pass."""

_FORMAT = "1"
"""To be raised when this module records another graph of the same model."""
_ABOUT = "about.json"
_TRIALS = 4
_WORTH_IT = 0.9
"""Half precision is taken if it needs less than this share of full precision's time."""
_SAME = 0.999
"""Least cosine between a recorded vector and the model's own."""
_EXAMPLES = [
    "How do I get past the gatekeeper when cold calling?",
    "Why?",
    "We open the second shop in spring, once the first one pays and the lease is signed.",
    "Outliers in the sales report",
]


@cache
def encoder(path: str) -> Encoder:
    """The model in that folder or of that name, loaded once in a process, which keeps it.

    Args:
        path: A folder, whose graph is kept, or a sentence-transformers name.

    Raises:
        SettingsError: there is none.
    """
    import torch  # noqa: PLC0415  # seconds to import: only when a model is opened

    # Two threads on two shared cores are five to ten times slower than one.
    torch.set_num_threads(1)
    kept = _kept(Path(path))
    if kept is not None:
        try:
            return _Recorded(kept)
        except (OSError, ValueError, LookupError, RuntimeError) as exc:
            log.warning("%s is of no use, and is made anew next time: %s", kept, exc)
            kept.unlink(missing_ok=True)
    model = _model(path)
    try:
        return _Recorded(io.BytesIO(_recorded(model)))
    except (ValueError, LookupError, RuntimeError) as exc:
        log.info("The embedding model runs slower: %s", exc)
        return _AsLoaded(model)


def sha256_of(path: Path) -> str:
    """The fingerprint of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _AsLoaded:
    """Texts to unit vectors by the model itself."""

    def __init__(self, model: SentenceTransformer) -> None:
        self._model = model
        self._prompt = model.prompts.get(model.default_prompt_name or "") or ""

    def __call__(self, texts: list[str]) -> Vectors:
        import torch  # noqa: PLC0415  # as in `encoder`

        features = self._model.preprocess([self._prompt + text for text in texts])
        with torch.inference_mode():
            return _unit(self._model(features)["sentence_embedding"])


class _Recorded:
    """The same by a graph and its tokenizer, which know nothing of the library."""

    def __init__(self, file: Path | io.BytesIO) -> None:
        """Read and try it.

        Raises:
            ValueError: it does not give the model's own vectors.
        """
        import torch  # noqa: PLC0415  # as in `encoder`
        from tokenizers import Tokenizer  # noqa: PLC0415  # likewise

        extra: dict[str, Any] = {_ABOUT: ""}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # see `_recorded`
            self._graph = torch.jit.load(file, _extra_files=extra)  # type: ignore[no-untyped-call]  # theirs
        about = json.loads(extra[_ABOUT])
        self._tokenizer = Tokenizer.from_str(about["tokenizer"])
        self._inputs: list[str] = about["inputs"]
        self._prompt: str = about["prompt"]
        self._check(np.array(about["expected"]))

    def __call__(self, texts: list[str]) -> Vectors:
        import torch  # noqa: PLC0415  # as in `encoder`

        read = self._tokenizer.encode_batch([self._prompt + text for text in texts])
        features = {
            "input_ids": [one.ids for one in read],
            "attention_mask": [one.attention_mask for one in read],
            "token_type_ids": [one.type_ids for one in read],
        }
        with torch.inference_mode():
            return _unit(self._graph(*(torch.tensor(features[name]) for name in self._inputs)))

    def _check(self, expected: npt.NDArray[np.float64]) -> None:
        # All at once and one by one: a graph that had fixed a length or a batch would show here.
        found = [self(_EXAMPLES), np.concatenate([self([text]) for text in _EXAMPLES])]
        worst = min(float((part * expected).sum(axis=1).min()) for part in found)
        if not worst >= _SAME:  # nor if it is not a number
            message = f"its graph gives other vectors (cosine {worst:.4f})"
            raise ValueError(message)


def _kept(folder: Path) -> Path | None:
    """The graph of the model in that folder, made if it is not there; None if it cannot be."""
    if not folder.is_dir():
        return None
    return made_once(
        f"embedding-{_fingerprint(folder)}.pt",
        lambda target: _write(target, _recorded(_model(str(folder)))),
    )


def _write(target: Path, content: bytes) -> None:
    """Write a graph that was read back and gives the right vectors.

    Raises:
        ValueError: it does not.
    """
    _Recorded(io.BytesIO(content))
    target.write_bytes(content)


def _fingerprint(folder: Path) -> str:
    """Of everything that decides what is recorded: the model, the libraries, the processor."""
    import torch  # noqa: PLC0415  # as in `encoder`

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    parts = [f"{path.relative_to(folder)} {sha256_of(path)}" for path in files]
    libraries = [version(name) for name in ("torch", "sentence-transformers", "tokenizers")]
    processor = torch.backends.cpu.get_cpu_capability()
    content = "\n".join([*parts, *libraries, processor, _FORMAT])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


@cache
def _model(path: str) -> SentenceTransformer:
    """The model as the library loads it.

    Raises:
        SettingsError: there is none.
    """
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  # ten seconds

    for name in ("sentence_transformers", "transformers"):  # tracing touches what they deprecate
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        return SentenceTransformer(path, device="cpu")
    except (OSError, ValueError) as exc:
        message = f"ORCHESTRA_EMBEDDING_MODEL: no model can be loaded from '{path}': {exc}"
        raise SettingsError(message) from exc


def _recorded(model: SentenceTransformer) -> bytes:
    """The model's graph with its tokenizer, in half precision where that is faster.

    Raises:
        ValueError: it cannot be recorded, with the reason.
    """
    import torch  # noqa: PLC0415  # as in `encoder`

    plain = _AsLoaded(model)
    full = _seconds_per_text(plain)
    expected = plain(_EXAMPLES)
    model.bfloat16()
    if _seconds_per_text(plain) > _WORTH_IT * full:
        model.float()
    try:
        features = model.preprocess(_EXAMPLES[:2])
        inputs = [name for name, value in features.items() if torch.is_tensor(value)]
        about = {
            "tokenizer": model.tokenizer.backend_tokenizer.to_str(),
            "inputs": inputs,
            "prompt": model.prompts.get(model.default_prompt_name or "") or "",
            "expected": expected.tolist(),
        }
        file = io.BytesIO()
        with torch.inference_mode(), warnings.catch_warnings():
            # Deprecated in favour of torch.compile, which needs a C++ compiler on the machine.
            warnings.simplefilter("ignore")
            graph = _graph_of(model, {name: features[name] for name in inputs})
            torch.jit.save(graph, file, _extra_files={_ABOUT: json.dumps(about)})
    except Exception as exc:  # whatever torch says of it, there is the plain way
        message = f"it cannot be recorded: {exc}"
        raise ValueError(message) from exc
    return file.getvalue()


def _graph_of(model: SentenceTransformer, features: dict[str, Tensor]) -> Any:  # noqa: ANN401  # theirs
    """The model with tensors, not a dict, on both sides."""
    import torch  # noqa: PLC0415  # as in `encoder`

    class Graph(torch.nn.Module):
        """What is recorded."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Tensor) -> Tensor:
            """The vectors."""
            vectors: Tensor = self.model(dict(zip(features, tensors, strict=True)))[
                "sentence_embedding"
            ]
            return vectors

    traced = torch.jit.trace(  # type: ignore[no-untyped-call]  # theirs
        Graph().eval(), tuple(features.values()), check_trace=False, strict=False
    )
    return torch.jit.freeze(traced)


def _unit(vectors: Tensor) -> Vectors:
    found = vectors.float().numpy()
    unit: Vectors = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


def _seconds_per_text(encode: Encoder) -> float:
    times = []
    for _ in range(_TRIALS):
        started = time.perf_counter()
        encode(_EXAMPLES[:1])
        times.append(time.perf_counter() - started)
    return min(times)
