"""Preferences: the model comes to say the better of two replies rather than the worse.

Source: Rafailov et al. (2023), "Direct Preference Optimization". Both replies of a pair were the
model's own, drawn as it was then; with replies of somebody else as the better ones it learned the
turns of the voices without their sense (orchestra/llm/adapter/CARD.md).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from peft import PeftModel
from torch.nn.functional import logsigmoid, pad

from voice.descent import Course, descend, nats
from voice.tokens import Batch, Tokens, packed

SHARPNESS = 0.1
"""Beta of the source: how far the model may go from where it began."""
LIKELIHOOD = 0.1
"""Weight of the better reply's own loss, which keeps it likely."""
PAIRS_IN_ROW = 2
EPOCHS = 2
SEED = 3


@dataclass(frozen=True)
class Choice:
    """A pair of replies as tokens."""

    persona_id: str
    better: Tokens
    worse: Tokens


def prefer(
    model: PeftModel,
    choices: Sequence[Choice],
    epochs: int = EPOCHS,
    pairs_in_row: int = PAIRS_IN_ROW,
) -> list[torch.Tensor]:
    """Find the way to a model that prefers the better replies, telling how it goes.

    Args:
        model: The adapted model; it stays where it is.
        choices: The pairs.
        epochs: How often each is gone through.
        pairs_in_row: Of each persona, for one step.

    Returns:
        What would change in each trained weight; `go` takes the model a part of this way.
    """
    before = _likelihoods_before(model, choices)
    weights = _trained(model)
    began = [weight.detach().clone() for weight in weights]
    steps = [
        rows for epoch in range(epochs) for rows in _steps(choices, SEED + epoch, pairs_in_row)
    ]

    def loss_of(rows: Sequence[Sequence[Choice]]) -> tuple[torch.Tensor, float]:
        now, lengths = likelihoods(model, _batch(rows))
        gained = now - torch.cat([before[choice] for row in rows for choice in row])
        margin = gained[0::2] - gained[1::2]
        of_better = (now / lengths)[0::2]
        loss = -logsigmoid(SHARPNESS * margin).mean() - LIKELIHOOD * of_better.mean()
        return loss, (margin > 0).float().mean().item()

    course = Course(len(steps), peak_rate=1e-4, warm_up_steps=8, last_rate=0.1, decay=0)
    descend(model, course, steps, loss_of, "of pairs preferred rightly")
    way = [weight.detach() - start for weight, start in zip(weights, began, strict=True)]
    go(model, way, -1)
    return way


@torch.no_grad()
def go(model: PeftModel, way: Sequence[torch.Tensor], share: float) -> None:
    """Take a model a part of a way.

    Source: Ilharco et al. (2023), "Editing Models with Task Arithmetic".

    Args:
        model: The adapted model.
        way: As `prefer` returns it; it may have begun elsewhere.
        share: How far of it; negative: back.
    """
    for weight, change in zip(_trained(model), way, strict=True):
        weight.add_(change, alpha=share)


def _trained(model: PeftModel) -> list[torch.nn.Parameter]:
    return [one for one in model.parameters() if one.requires_grad]


def _steps(choices: Sequence[Choice], seed: int, pairs_in_row: int) -> Iterator[list[list[Choice]]]:
    """Rows for one step each, of every persona one; everything at most once."""
    numbers = random.Random(seed)  # noqa: S311  # to be the same each time
    whose = sorted({one.persona_id for one in choices})
    own = [[one for one in choices if one.persona_id == persona_id] for persona_id in whose]
    for deck in own:
        numbers.shuffle(deck)
    for start in range(0, min(map(len, own)), pairs_in_row):
        yield [deck[start : start + pairs_in_row] for deck in own]


def _batch(rows: Sequence[Sequence[Choice]]) -> Batch:
    return packed([[tokens for one in row for tokens in (one.better, one.worse)] for row in rows])


@torch.no_grad()
def _likelihoods_before(model: PeftModel, choices: Sequence[Choice]) -> dict[Choice, torch.Tensor]:
    """Of each pair's replies, shape (2,)."""
    found: dict[Choice, torch.Tensor] = {}
    for start in range(0, len(choices), PAIRS_IN_ROW):
        some = choices[start : start + PAIRS_IN_ROW]
        before, _ = likelihoods(model, _batch([[one] for one in some]))
        found.update(zip(some, before.view(-1, 2), strict=True))
    return found


def likelihoods(model: PeftModel, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Log likelihood and number of tokens of each reply in a batch, in order."""
    taught = batch.targets >= 0
    begins = taught & ~pad(taught[:, :-1], (1, 0))
    whose = begins.flatten().cumsum(0).view_as(taught)[taught] - 1
    lengths = torch.bincount(whose)
    return torch.zeros(len(lengths)).index_add(0, whose, -nats(model, batch)), lengths
