"""Gradient descent as both stages of the training have it, and what a reply costs the model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy

from voice.adapter import plain
from voice.tokens import Batch

_TOLD_EVERY = 20

Item = TypeVar("Item")


@dataclass(frozen=True)
class Course:
    """How fast a stage goes, and for how long."""

    steps: int
    peak_rate: float
    warm_up_steps: int
    last_rate: float
    """Of the peak: where the cosine ends."""
    decay: float
    """Of the weights, as AdamW has it."""

    def share(self, step: int) -> float:
        """Of the peak rate, at a step counted from 0: up in a line, down in a cosine."""
        falling = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        risen = min(1.0, (step + 1) / self.warm_up_steps)
        return risen * (self.last_rate + (1 - self.last_rate) * falling)


def descend(
    model: torch.nn.Module,
    course: Course,
    items: Iterable[Item],
    loss_of: Callable[[Item], tuple[torch.Tensor, float]],
    figure: str,
) -> None:
    """Take the course's steps, telling how it goes.

    Args:
        model: What is trained, as far as it asks for gradients; it has no dropout.
        course: How.
        items: What each step is taken on; as many as there are steps, or more.
        loss_of: The loss on one, and a figure for people.
        figure: What that figure is.
    """
    parameters = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, course.peak_rate, betas=(0.9, 0.98), weight_decay=course.decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, course.share)
    started, smoothed = time.perf_counter(), 0.0
    for step, item in zip(range(1, course.steps + 1), items, strict=False):
        loss, told = loss_of(item)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        smoothed += (told - smoothed) / min(step, _TOLD_EVERY)
        if step % _TOLD_EVERY == 0 or step == course.steps:
            seconds = time.perf_counter() - started
            print(
                f"step {step} of {course.steps}: {smoothed:.3f} {figure}, {seconds:.0f} s",
                flush=True,
            )


def nats(model: PeftModel, batch: Batch) -> torch.Tensor:
    """What each token of the replies costs the model, in the batch's order, shape (tokens,)."""
    taught = batch.targets >= 0
    logits = plain(model).lm_head(hidden_states(model, batch)[taught])
    return cross_entropy(logits, batch.targets[taught], reduction="none")


def hidden_states(model: PeftModel, batch: Batch) -> torch.Tensor:
    """What the model makes of each token, before it guesses the next, shape (rows, n, width)."""
    states: torch.Tensor = (
        plain(model)
        .model(input_ids=batch.tokens, attention_mask=batch.sees, position_ids=batch.positions)
        .last_hidden_state
    )
    return states
