"""Trains the embedded model's voices: `python -m voice.train --out FILE.gguf`.

Source: Hu et al. (2021), "LoRA: Low-Rank Adaptation of Large Language Models"; rate, rank and the
one line of instruction as measured for these voices (CARD.md).
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy

from orchestra.llm.embedded import packaged_weights
from orchestra.personas.files import PersonaFiles
from voice.adapter import adapted, plain, write_adapter
from voice.dialogues import Dialogue, asked, read_dialogues
from voice.tokens import Batch, Spoken, Tokenizer, packed

HERE = Path(__file__).parent
PEAK_RATE = 6e-4
WARM_UP_STEPS = 10
LAST_RATE = 0.05
"""Of the peak: where the cosine ends."""
DIALOGUES_IN_ROW = 4
"""Three rows, one per persona, make a step."""
HELD_OUT = 0.04
"""Of the conversations: to see when more training only learns them by heart."""
SEED = 7


def main() -> None:
    """Read the arguments, train, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="where the adapter is written")
    parser.add_argument("--dialogues", type=Path, default=HERE / "dialogues.txt")
    parser.add_argument("--epochs", type=float, default=1.0, help="times through the dialogues")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(SEED)
    taught, held_out = asyncio.run(_tokens(read_dialogues(arguments.dialogues)))
    print(f"{len(taught)} dialogues, {len(held_out)} held out")
    model = adapted(packaged_weights())
    train(model, taught, held_out, arguments.epochs)
    write_adapter(model, arguments.out)
    print(f"held out after: {_mean_loss(model, held_out):.3f}; {arguments.out}")


def parted(dialogues: Sequence[Dialogue]) -> tuple[list[Dialogue], list[Dialogue]]:
    """What is taught, and what is held out: whole conversations, of all personas."""
    openings = sorted({one.opening for one in dialogues})
    numbers = random.Random(SEED)  # noqa: S311  # to be the same each time
    apart = set(numbers.sample(openings, round(HELD_OUT * len(openings))))
    taught = [one for one in dialogues if one.opening not in apart]
    return taught, [one for one in dialogues if one.opening in apart]


async def _tokens(dialogues: Sequence[Dialogue]) -> tuple[list[Spoken], list[Spoken]]:
    """What is taught, and what is held out."""
    personas = await PersonaFiles(HERE.parent / "personas_seed").load()
    async with Tokenizer() as tokenizer:
        taught, held_out = [
            [
                (one.persona_id, await tokenizer.tokens(asked(one, personas), one.reply))
                for one in part
            ]
            for part in parted(dialogues)
        ]
    return taught, held_out


def train(
    model: PeftModel,
    taught: Sequence[Spoken],
    held_out: Sequence[Spoken],
    epochs: float,
) -> None:
    """Train an adapter on dialogues, telling how it goes.

    Args:
        model: The adapted model.
        taught: What is learned.
        held_out: To look at only.
        epochs: How often each is gone through.
    """
    parameters = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(parameters, PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    steps = math.ceil(epochs * len(taught) / (3 * DIALOGUES_IN_ROW))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    print(f"{steps} steps; held out before: {_mean_loss(model, held_out):.3f} nats per token")
    started, smoothed = time.perf_counter(), 0.0
    for step, batch in zip(range(1, steps + 1), _batches(taught), strict=False):
        model.train()
        loss = _loss(model, batch)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        smoothed += (loss.item() - smoothed) / min(step, 20)
        if step % 20 == 0 or step == steps:
            seconds = time.perf_counter() - started
            print(f"step {step} of {steps}: {smoothed:.3f}, {seconds:.0f} s", flush=True)


def _rate(step: int, steps: int) -> float:
    """Share of the peak rate: up in a line, down in a cosine."""
    falling = 0.5 * (1 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / WARM_UP_STEPS) * (LAST_RATE + (1 - LAST_RATE) * falling)


def _batches(dialogues: Sequence[Spoken]) -> Iterator[Batch]:
    """Batches without end: every persona in each, everything once before anything comes again."""
    numbers = random.Random(SEED)  # noqa: S311  # to be the same each time
    whose = sorted({persona_id for persona_id, _ in dialogues})
    own = {one: [tokens for who, tokens in dialogues if who == one] for one in whose}
    while True:
        for deck in own.values():
            numbers.shuffle(deck)
        for start in range(0, min(map(len, own.values())), DIALOGUES_IN_ROW):
            yield packed([deck[start : start + DIALOGUES_IN_ROW] for deck in own.values()])


def _loss(model: PeftModel, batch: Batch) -> torch.Tensor:
    """Mean nats per token of the replies."""
    inner = plain(model)
    hidden = inner.model(
        input_ids=batch.tokens, attention_mask=batch.sees, position_ids=batch.positions
    ).last_hidden_state
    wanted = batch.targets >= 0
    return cross_entropy(inner.lm_head(hidden[wanted]), batch.targets[wanted])


@torch.no_grad()
def _mean_loss(model: PeftModel, dialogues: Sequence[Spoken]) -> float:
    model.eval()
    losses = [_loss(model, packed([[tokens]])).item() for _, tokens in dialogues]
    return sum(losses) / max(1, len(losses))


if __name__ == "__main__":
    main()
