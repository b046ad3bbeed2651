"""Trains the embedded model's voices: `python -m voice.train --out FILE.gguf`.

First the voices, on dialogues, then sense, on graded replies (`preferring`), round by round.

Source: Hu et al. (2021), "LoRA: Low-Rank Adaptation of Large Language Models"; rate, rank and the
one line of instruction as measured for these voices (CARD.md).
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel

from orchestra.llm.embedded import packaged_weights
from voice.adapter import adapted, write_adapter
from voice.descent import Course, descend, nats
from voice.dialogues import DIALOGUES, Dialogue, asked, read_dialogues, shipped_personas
from voice.graded import (
    Preference,
    faithful_preferences,
    preferences,
    read_graded,
    read_preferences,
)
from voice.preferring import EPOCHS, PAIRS_IN_ROW, Choice, go, prefer
from voice.tokens import Batch, Spoken, Tokenizer, Tokens, packed

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Round:
    """Replies to learn from, drawn from the voices as the rounds before had made them."""

    graded: tuple[Path, ...] = ()
    preferred: tuple[Path, ...] = ()
    """Pairs that the reward has chosen."""
    onward: float = 1.0
    """How far of its way the voices went from which the next round was drawn."""
    kept: float = 1.0
    """How far of its way they go in the end."""
    faithful: bool = False
    """Whether a reply of more sense is preferred only where it is no less its persona's."""
    settled: bool = False
    """Whether it was drawn from the voices as the rounds before are kept."""
    epochs: int = EPOCHS
    pairs_in_row: int = PAIRS_IN_ROW

    @property
    def name(self) -> str:
        """Its files."""
        return ", ".join(path.name for path in (*self.graded, *self.preferred))

    def pairs(self, dialogues: Sequence[Dialogue]) -> list[Preference]:
        """What is preferred to what.

        Raises:
            ValueError: a line of a file is none.
        """
        files = [read_graded(path) for path in self.graded]
        if self.faithful:
            found = [pair for graded in files for pair in faithful_preferences(graded)]
        else:
            found = [pair for graded in files for pair in preferences(graded, dialogues)]
        return found + [pair for path in self.preferred for pair in read_preferences(path)]


ROUNDS = (
    Round((FOLDER / "graded-1.jsonl",)),
    Round((FOLDER / "graded-2.jsonl",), onward=0.5, kept=0.5),
    Round((FOLDER / "graded-3.jsonl",), onward=0.35, kept=0.5),
    Round((FOLDER / "graded-4.jsonl", FOLDER / "graded-3.jsonl"), kept=0.75, faithful=True),
    Round(
        preferred=(FOLDER / "preferred-5.jsonl",),
        kept=0.4,
        settled=True,
        epochs=1,
        pairs_in_row=4,
    ),
)
"""What the shipped voices learned from. Going on to the ends, the second and the third made the
personas more alike, and at that of the second they did not always find the end of a reply; the
fourth sets them apart again (CARD.md). All of the fifth, they have most sense and least voice."""
DIALOGUES_IN_ROW = 4
"""Three rows, one per persona, make a step."""
HELD_OUT = 0.04
"""Of the conversations: to see when more training only learns them by heart."""
SEED = 7


def main() -> None:
    """Read the arguments, train, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="where the adapter is written")
    parser.add_argument("--dialogues", type=Path, default=DIALOGUES)
    parser.add_argument(
        "--graded", type=Path, nargs="*", help="other rounds, a file each, in order"
    )
    parser.add_argument("--epochs", type=float, default=1.0, help="times through the dialogues")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(SEED)
    dialogues = read_dialogues(arguments.dialogues)
    others = arguments.graded
    rounds = ROUNDS if others is None else tuple(Round((path,)) for path in others)
    pairs = [one.pairs(dialogues) for one in rounds]
    for one, found in zip(rounds, pairs, strict=True):
        if not found:
            parser.error(f"{one.name}: no reply in it is clearly better than another")
    taught, held_out, choices = asyncio.run(_tokens(dialogues, pairs))
    print(f"{len(taught)} dialogues, {len(held_out)} held out")
    model = adapted(packaged_weights())
    train(model, taught, held_out, arguments.epochs)
    print(f"held out after: {_mean_loss(model, held_out):.3f}")
    _learn_sense(model, rounds, choices)
    write_adapter(model, arguments.out)
    print(arguments.out)


def _learn_sense(
    model: PeftModel, rounds: Sequence[Round], choices: Sequence[Sequence[Choice]]
) -> None:
    """Round by round."""
    gone: list[tuple[Round, list[torch.Tensor]]] = []
    for one, these in zip(rounds, choices, strict=True):
        print(f"{one.name}: {len(these)} pairs")
        if one.settled:
            settle(model, gone)
            gone = []
        way = prefer(model, these, one.epochs, one.pairs_in_row)
        go(model, way, one.onward)
        gone.append((one, way))
    settle(model, gone)


def settle(model: PeftModel, gone: Sequence[tuple[Round, Sequence[torch.Tensor]]]) -> None:
    """Take a model from where further rounds were drawn to where it stays.

    Args:
        model: The adapted model.
        gone: The rounds, and the way of each.
    """
    for one, way in gone:
        go(model, way, one.kept - one.onward)


def parted(dialogues: Sequence[Dialogue]) -> tuple[list[Dialogue], list[Dialogue]]:
    """What is taught, and what is held out: whole conversations, of all personas."""
    openings = sorted({one.opening for one in dialogues})
    numbers = random.Random(SEED)  # noqa: S311  # to be the same each time
    apart = set(numbers.sample(openings, round(HELD_OUT * len(openings))))
    taught = [one for one in dialogues if one.opening not in apart]
    return taught, [one for one in dialogues if one.opening in apart]


async def _tokens(
    dialogues: Sequence[Dialogue], rounds: Sequence[Sequence[Preference]]
) -> tuple[list[Spoken], list[Spoken], list[list[Choice]]]:
    """What is taught, what is held out, and the pairs of each round."""
    personas = await shipped_personas()
    async with Tokenizer() as tokenizer:

        async def tokens(one: Dialogue) -> Tokens:
            return await tokenizer.tokens(asked(one, personas), one.reply)

        taught, held_out = [
            [(one.persona_id, await tokens(one)) for one in part] for part in parted(dialogues)
        ]
        choices = [
            [
                Choice(one.persona_id, await tokens(one.better), await tokens(one.worse))
                for one in pairs
            ]
            for pairs in rounds
        ]
    return taught, held_out, choices


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
    steps = math.ceil(epochs * len(taught) / (3 * DIALOGUES_IN_ROW))
    print(f"{steps} steps; held out before: {_mean_loss(model, held_out):.3f} nats per token")

    def loss_of(batch: Batch) -> tuple[torch.Tensor, float]:
        loss = nats(model, batch).mean()
        return loss, loss.item()

    course = Course(steps, peak_rate=6e-4, warm_up_steps=10, last_rate=0.05, decay=0.01)
    descend(model, course, _batches(taught), loss_of, "nats per token")


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


@torch.no_grad()
def _mean_loss(model: PeftModel, dialogues: Sequence[Spoken]) -> float:
    losses = [nats(model, packed([[tokens]])).mean().item() for _, tokens in dialogues]
    return sum(losses) / max(1, len(losses))


if __name__ == "__main__":
    main()
