"""The reward: a model's guess at how much sense a reply has, learned from the graded ones.

    python -m voice.samples --out drawn.jsonl --times 8 --messages 1100 --also voice/graded-*.jsonl
    python -m voice.reward --replies drawn.jsonl --reward reward.pt --out preferred.jsonl

It is the embedded model itself with an adapter of its own and one linear layer on top, read at the
token that ends a reply. Far more replies can be drawn and scored than anybody would grade; of each
message's the better ones are preferred to the worse, as far as they are no less their persona's.

Source: Stiennon et al. (2020), "Learning to summarize from human feedback".
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, pad

from orchestra.lab.features import Floats
from orchestra.llm.embedded import packaged_weights
from orchestra.llm.embedding import Embedder
from orchestra.llm.voices import END_TOKEN, defect
from orchestra.types.conversation import ChatTurn, Guard
from voice.adapter import adapted, plain
from voice.descent import Course, descend, hidden_states
from voice.dialogues import Dialogue
from voice.graded import Drawn, Graded, Preference, own_voice, read_drawn, read_graded
from voice.tokens import Tokenizer, Tokens, packed

GRADED = tuple(sorted(Path(__file__).parent.glob("graded-*.jsonl")))
LENIENT = ("graded-1.jsonl", "graded-2.jsonl")
"""Rounds in which what would fit many questions still counted as of use."""
MESSAGES_IN_STEP = 8
SEED = 1
_WORTH = torch.tensor([0.0, 0.3, 1.0, 1.0])
"""How surely a reply of each grade is of use."""
_RANKING = 0.7
"""Weight of telling better from worse replies to one message, beside telling use."""
_FROZEN_LAYERS = 15
"""Of 30: the lower half stays as it is, which halves the work."""

_SENSE, _MANNER, _FIT = 3.0, 1.0, 2.0
"""Weights of the reward, of how surely a reply is its persona's, and of how near its message."""
_CLEAR, _CLEAR_SENSE = 1.2, 0.3
"""How much more a reply must be worth to be preferred, in all and by its reward alone."""
_LEAST_OWN, _SLACK = 0.5, 0.05
_MOST_PAIRS = 2
"""Of one message and persona."""
_WORDS = range(10, 46)


@dataclass(frozen=True)
class Answered:
    """Replies to one message as tokens, and what is known of them."""

    replies: tuple[Tokens, ...]
    """All asked the same; the persona's line is left out: sense is everybody's."""
    grades: tuple[int, ...] = ()
    lenient: bool = False


class Reward(torch.nn.Module):
    """Scores replies: of any two to one message, the higher has more sense."""

    def __init__(self) -> None:
        """Begin with the model as it is, which scores everything 0."""
        super().__init__()
        self.model = adapted(packaged_weights())
        self.head = torch.nn.Linear(plain(self.model).config.hidden_size, 1)
        self.leniency = torch.nn.Parameter(torch.zeros(2))
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)
        for name, weight in self.model.named_parameters():
            layer = re.search(r"\.layers\.(\d+)\.", name)
            if layer and int(layer[1]) < _FROZEN_LAYERS:
                weight.requires_grad = False

    def forward(self, some: Sequence[Answered]) -> torch.Tensor:
        """Scores of all replies, in order, shape (replies,)."""
        batch = packed([one.replies for one in some])
        with torch.autocast("cpu", torch.bfloat16):
            hidden = hidden_states(self.model, batch)
        ends = pad(batch.targets == END_TOKEN, (1, 0))[:, :-1]
        scores: torch.Tensor = self.head(hidden[ends].float()).squeeze(-1)
        return scores

    def loss(self, some: Sequence[Answered]) -> tuple[torch.Tensor, float]:
        """Of telling what is of use, and which of two replies to a message is."""
        scores = self(some)
        worth = _WORTH[[grade for one in some for grade in one.grades]]
        lenient = torch.tensor([int(one.lenient) for one in some for _ in one.grades])
        use = binary_cross_entropy_with_logits(scores + self.leniency[lenient], worth)
        message = torch.tensor([place for place, one in enumerate(some) for _ in one.grades])
        ahead = (worth[:, None] - worth[None, :]).clamp(min=0)
        ahead = ahead * (message[:, None] == message[None, :])
        margin = scores[:, None] - scores[None, :]
        ranking = -(logsigmoid(margin) * ahead).sum() / ahead.sum().clamp(min=1e-9)
        loss = use + _RANKING * ranking
        return loss, loss.item()

    def save(self, path: Path) -> None:
        """Write what was learned."""
        torch.save({name: one.detach() for name, one in self._learned().items()}, path)

    def load(self, path: Path) -> None:
        """Read what `save` wrote.

        Raises:
            ValueError: it is not of this model.
        """
        found, learned = torch.load(path), self._learned()
        if {name: one.shape for name, one in found.items()} != {
            name: one.shape for name, one in learned.items()
        }:
            message = f"{path} is no reward of this model. Delete it, and it is learned anew."
            raise ValueError(message)
        self.load_state_dict(found, strict=False)  # what is frozen is not in it

    def _learned(self) -> dict[str, torch.nn.Parameter]:
        return {name: one for name, one in self.named_parameters() if one.requires_grad}


def main() -> None:
    """Read the arguments, learn the reward if there is none, write the pairs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--replies", type=Path, required=True, help="as voice.samples writes them")
    parser.add_argument("--reward", type=Path, required=True, help="kept here; made if missing")
    parser.add_argument("--out", type=Path, required=True, help="pairs, for voice.train")
    parser.add_argument("--graded", type=Path, nargs="*", default=GRADED)
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    drawn = read_drawn(arguments.replies)
    reward = Reward()
    if arguments.reward.exists():
        reward.load(arguments.reward)
    else:
        learn(reward, asyncio.run(_answered_files(arguments.graded)))
        reward.save(arguments.reward)
    pairs = asyncio.run(_chosen(reward, drawn))
    with arguments.out.open("w", encoding="utf-8") as file:
        for pair in pairs:
            line = {
                "persona": pair.persona_id,
                "message": pair.better.message,
                "better": pair.better.reply,
                "worse": pair.worse.reply,
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(f"{len(pairs)} pairs in {arguments.out}")


def learn(reward: Reward, answered: Sequence[Answered]) -> None:
    """Teach it, telling how it goes (about 15 minutes for 4,000 messages)."""
    deck = list(answered)
    random.Random(SEED).shuffle(deck)  # noqa: S311  # to be the same each time
    steps = [
        deck[start : start + MESSAGES_IN_STEP] for start in range(0, len(deck), MESSAGES_IN_STEP)
    ]
    course = Course(len(steps), peak_rate=2e-4, warm_up_steps=30, last_rate=0.05, decay=0.01)
    descend(reward, course, steps, reward.loss, "loss")


async def _answered_files(paths: Sequence[Path]) -> list[Answered]:
    files = [(path.name in LENIENT, read_graded(path)) for path in paths]
    async with Tokenizer() as tokenizer:
        return [
            replace(await as_tokens(tokenizer, one), lenient=lenient)
            for lenient, graded in files
            for one in graded
        ]


async def as_tokens(tokenizer: Tokenizer, one: Drawn) -> Answered:
    """Replies as tokens, and as one row: the message once, then each reply, which sees but itself.

    Raises:
        httpx.HTTPError: llama.cpp does not answer.
    """
    turns = (ChatTurn(role="user", content=one.message),)
    found = [await tokenizer.tokens(turns, reply) for reply in one.replies]
    rows = tuple(Tokens(each.asked[:-1], each.asked[-1:], each.reply) for each in found)
    return Answered(rows, one.grades if isinstance(one, Graded) else ())


async def _chosen(reward: Reward, drawn: Sequence[Drawn]) -> list[Preference]:
    async with Tokenizer() as tokenizer:
        tokens = [await as_tokens(tokenizer, one) for one in drawn]
    with torch.no_grad():
        scores = [reward([one]).tolist() for one in tokens]
    return list(rewarded_preferences(drawn, scores, own_voice(drawn), await _fit(drawn)))


async def _fit(drawn: Sequence[Drawn]) -> list[Floats]:
    """How near each reply is to its message, cosine."""
    embedder = Embedder()
    await embedder.open()
    found = []
    for one in drawn:
        message, *replies = await embedder.embed_all([one.message, *one.replies])
        found.append(np.array([float(reply @ message) for reply in replies]))
    await embedder.close()
    return found


def rewarded_preferences(
    drawn: Sequence[Drawn],
    scores: Sequence[Sequence[float]],
    own: Sequence[Floats],
    fit: Sequence[Floats],
) -> Iterator[Preference]:
    """Which replies to prefer to which others, the best and the worst first.

    Args:
        drawn: The replies.
        scores: The reward of each.
        own: How surely each is its persona's, 0 to 1.
        fit: How near each is to its message, -1 to 1.
    """
    for one, sense, whose, near in zip(drawn, scores, own, fit, strict=True):
        worth = _SENSE * np.array(sense) + _MANNER * whose + _FIT * near
        order = [int(place) for place in np.argsort(-worth)]
        left, found = set(order), 0
        for better in order:
            if found == _MOST_PAIRS:
                break
            if better not in left or whose[better] < _LEAST_OWN or _is_unfit(one, better):
                continue
            for worse in reversed(order):
                if (
                    worse in left
                    and worth[better] - worth[worse] >= _CLEAR
                    and sense[better] - sense[worse] >= _CLEAR_SENSE
                    and whose[better] >= whose[worse] - _SLACK
                ):
                    left -= {better, worse}
                    found += 1
                    yield Preference(
                        *(
                            Dialogue(one.persona, "Q", one.message, one.replies[place])
                            for place in (better, worse)
                        )
                    )
                    break


def _is_unfit(one: Drawn, place: int) -> bool:
    """Whether a reply has a fault that no reward weighs up."""
    reply = one.replies[place]
    given = set(re.findall(r"\d+", one.message))
    return bool(
        defect(reply, Guard(question=one.message))
        or set(re.findall(r"\d+", reply)) - given
        or not reply[:1].isupper()
        or reply[-1:] not in {".", "!", "?", '"', "”"}
        or len(reply.split()) not in _WORDS
    )


if __name__ == "__main__":
    main()
