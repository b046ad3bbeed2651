"""The voices' adapter, worked into the weights once, instead of beside them at every token.

The merged weights are kept in Q8_0, the format that llama.cpp reads fastest without losing
anything that matters: the replies' log-probabilities move by .09 on average where the way a
number is rounded moves them by .07 (no adapter at all: .75). A prompt is read in half the time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from orchestra.llm.made_once import made_once

if TYPE_CHECKING:
    import gguf

_FORMAT = "1"
"""To be raised when this module makes another file of the same weights."""

Floats = npt.NDArray[np.float32]


def merged_weights(base: Path, adapter: Path, scale: float) -> Path | None:
    """The merged weights in the user's cache folder, made if they are not there (8 seconds).

    Returns:
        Where they are; None if they cannot be made or kept, which is logged.
    """
    digest = hashlib.sha256(adapter.read_bytes())
    digest.update(f"{base.name} {base.stat().st_size} {scale} {_FORMAT}".encode())
    name = f"voices-{digest.hexdigest()[:16]}.gguf"
    return made_once(name, lambda target: _merge(base, adapter, scale, target))


def _merge(base: Path, adapter: Path, scale: float, target: Path) -> None:
    """Write base + scale * adapter, tensor by tensor.

    Raises:
        ValueError: the adapter belongs to other weights.
    """
    import gguf  # noqa: PLC0415  # half a second, once in a machine's life

    reader = gguf.GGUFReader(base)
    names, delta = _deltas(gguf.GGUFReader(adapter), scale)
    missing = names - {tensor.name for tensor in reader.tensors}
    if missing:
        message = f"the adapter does not fit these weights: {sorted(missing)[:3]}"
        raise ValueError(message)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    _copy_metadata(reader, writer)
    _write_directory(reader, writer, names)
    for tensor in reader.tensors:
        data = tensor.data
        if tensor.name in names:
            weights = gguf.dequantize(data, tensor.tensor_type).astype(np.float32)
            data = gguf.quantize(weights + delta(tensor.name), gguf.GGMLQuantizationType.Q8_0)
        writer.write_tensor_data(np.ascontiguousarray(data))
    writer.close()


def _write_directory(
    reader: gguf.GGUFReader, writer: gguf.GGUFWriter, changed: Collection[str]
) -> None:
    """Say what tensors will follow, so that two of them are never in memory.

    Args:
        reader: The weights.
        writer: Where they go.
        changed: Names of the tensors that become Q8_0; the others stay as they are.
    """
    import gguf  # noqa: PLC0415  # as in `_merge`

    to, f32, f16 = (gguf.GGMLQuantizationType[kind] for kind in ("Q8_0", "F32", "F16"))
    for tensor in reader.tensors:
        kind = to if tensor.name in changed else tensor.tensor_type
        shape = [int(length) for length in reversed(tensor.shape)]
        if kind in {f32, f16}:
            plain = np.dtype(np.float32 if kind == f32 else np.float16)
            size = int(np.prod(shape)) * plain.itemsize
            writer.add_tensor_info(tensor.name, shape, plain, size)
        else:
            packed = gguf.quant_shape_to_byte_shape(shape, kind)
            size = int(np.prod(packed))
            writer.add_tensor_info(tensor.name, packed, np.dtype(np.uint8), size, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()


def _deltas(reader: gguf.GGUFReader, scale: float) -> tuple[set[str], Callable[[str], Floats]]:
    """The tensors that the adapter changes, and by how much: scale * alpha / rank * B @ A."""
    import gguf  # noqa: PLC0415  # as in `_merge`

    alpha = float(reader.fields["adapter.lora.alpha"].contents())
    pairs: dict[str, dict[str, Any]] = {}
    for tensor in reader.tensors:
        name, _, half = tensor.name.rpartition(".lora_")
        pairs.setdefault(name, {})[half] = tensor

    def delta(name: str) -> Floats:
        halves = (pairs[name][half] for half in "ab")
        a, b = (gguf.dequantize(one.data, one.tensor_type).astype(np.float32) for one in halves)
        change: Floats = (scale * alpha / a.shape[0]) * (b @ a)
        return change

    return set(pairs), delta


def _copy_metadata(reader: gguf.GGUFReader, writer: gguf.GGUFWriter) -> None:
    import gguf  # noqa: PLC0415  # as in `_merge`

    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key in {"general.architecture", "general.file_type"}:
            continue  # the writer sets these itself
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), kind, inner)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
