"""Dialogues as the token numbers that llama.cpp itself makes of them.

Several dialogues of one persona share a row: its system line once, then each dialogue, which sees
that line and itself. A third of the work is saved, and nothing is trained that is not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx
import torch

from orchestra.llm.embedded import EmbeddedServer
from orchestra.types.conversation import ChatTurn

_USER = "<|im_start|>user"
_END = "<|im_end|>"
_UNTAUGHT = -100
"""Where nothing is to be predicted; the number that torch's cross entropy leaves out."""


@dataclass(frozen=True)
class Tokens:
    """One dialogue."""

    system: tuple[int, ...]
    """Its persona's line, the same for all dialogues of that persona."""
    asked: tuple[int, ...]
    """All else that the model is given."""
    reply: tuple[int, ...]
    """With the token that ends it."""


Spoken = tuple[str, Tokens]
"""Whose a dialogue is, and the dialogue."""


@dataclass(frozen=True)
class Batch:
    """Rows of dialogues, each row one persona's."""

    tokens: torch.Tensor
    """Shape (rows, n) int64."""
    positions: torch.Tensor
    """Where each token stands in its dialogue, shape (rows, n) int64."""
    sees: torch.Tensor
    """Which tokens each may look at, shape (rows, 1, n, n) bool."""
    targets: torch.Tensor
    """Which token is to follow, or that none is to be predicted, shape (rows, n) int64."""


class Tokenizer:
    """The embedded model's chat template and vocabulary, asked of llama.cpp on loopback."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, ...]] = {}

    async def __aenter__(self) -> Self:
        self._server = EmbeddedServer()
        address = await self._server.open()
        self._wire = httpx.AsyncClient(
            base_url=address.base_url.removesuffix("/v1"),
            headers={"authorization": f"Bearer {address.api_key}"},
            timeout=60,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._wire.aclose()
        await self._server.close()

    async def tokens(self, turns: Sequence[ChatTurn], reply: str) -> Tokens:
        """What the model reads and should write.

        Raises:
            httpx.HTTPError: llama.cpp does not answer.
        """
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        text = (await self._ask("/apply-template", {"messages": messages}))["prompt"]
        system, user, rest = text.partition(_USER)
        return Tokens(
            await self._numbers(system),
            await self._numbers(user + rest),
            await self._numbers(reply + _END),
        )

    async def _numbers(self, text: str) -> tuple[int, ...]:
        if text not in self._known:
            found = await self._ask("/tokenize", {"content": text, "parse_special": True})
            self._known[text] = tuple(found["tokens"])
        return self._known[text]

    async def _ask(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        response = await self._wire.post(path, json=body)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer


def packed(rows: Sequence[Sequence[Tokens]]) -> Batch:
    """Lay dialogues into rows.

    Args:
        rows: The dialogues of each row, all of them one persona's.
    """
    laid = [_Row(row) for row in rows]
    length = max(len(row.tokens) for row in laid)
    tokens, positions, parts, targets = (
        torch.tensor([row.padded(name, length, fill) for row in laid])
        for name, fill in (("tokens", 0), ("positions", 0), ("parts", -1), ("targets", _UNTAUGHT))
    )
    same = parts[:, :, None] == parts[:, None, :]
    system = (parts == 0)[:, None, :]
    earlier = torch.ones(length, length, dtype=torch.bool).tril()
    return Batch(tokens, positions, ((same | system) & earlier)[:, None], targets)


class _Row:
    """One row as it is laid: the system line is part 0, each dialogue a part of its own."""

    def __init__(self, row: Sequence[Tokens]) -> None:
        system = row[0].system
        self.tokens = list(system)
        self.positions = list(range(len(system)))
        self.parts = [0] * len(system)
        self.targets = [_UNTAUGHT] * len(system)
        for part, one in enumerate(row, 1):
            said = [*one.asked, *one.reply]
            start = len(one.asked) - 1
            following = [*one.reply, _UNTAUGHT]
            self.tokens += said
            self.positions += range(len(system), len(system) + len(said))
            self.parts += [part] * len(said)
            self.targets += [_UNTAUGHT] * start + following

    def padded(self, name: str, length: int, fill: int) -> list[int]:
        values: list[int] = getattr(self, name)
        return values + [fill] * (length - len(values))
