"""How often the right persona answers, how fast that is known, and how honest the confidence is."""

from __future__ import annotations

import asyncio

import numpy as np

from benchmarks.house import messages, opened
from benchmarks.table import Row, show
from orchestra.evaluation import RoutingFigures, measure_routing
from orchestra.llm.embedding import Embedder
from orchestra.routing.subjects import (
    NEIGHBOUR_TEMPERATURE,
    NEIGHBOURS,
    RIDGE,
    SHARPNESS,
    TEMPERATURE,
    Floats,
    SubjectExamples,
    Wording,
    _softmax,
    read_examples,
)

_BINS = 10
_WORST = 5


async def main() -> None:
    """Print the table."""
    async with opened() as orchestra:
        figures = await measure_routing(orchestra.conversation, messages())
        examples = read_examples(orchestra.settings.personas_dir / "domains.yaml")
        mixed = await _left_out(examples, orchestra.embedder)
    worst = [Row(f"confused: {pair}", str(count)) for count, pair in _worst_pairs(figures)]
    latency = figures.latency_ms
    show(
        f"Routing: {figures.messages} messages, {len(examples.texts)} examples",
        [
            Row("right persona", f"{figures.persona_accuracy:.1%}", ">= 95 %"),
            Row("right domain", f"{figures.domain_accuracy:.1%}", ">= 88 %"),
            Row("latency with embedding", f"p50 {latency.p50} ms, p95 {latency.p95} ms"),
            *worst,
            *_calibration(mixed, examples, SHARPNESS),
            *_calibration(mixed, examples, 1.0),
        ],
    )


def _worst_pairs(figures: RoutingFigures) -> list[tuple[int, str]]:
    wrong = [
        (count, f"{expected}, found {found}")
        for expected, row in figures.confusion.items()
        for found, count in row.items()
        if expected != found
    ]
    return sorted(wrong, reverse=True)[:_WORST]


def _calibration(mixed: Floats, examples: SubjectExamples, sharpness: float) -> list[Row]:
    sharpened = mixed**sharpness
    probabilities = sharpened / sharpened.sum(axis=1, keepdims=True)
    right = probabilities.argmax(axis=1) == examples.labels
    error = _expected_calibration_error(probabilities.max(axis=1), right)
    name = f"each example left out, sharpness {sharpness:g}"
    return [
        Row(f"{name}: right domain", f"{right.mean():.1%}"),
        Row(f"{name}: calibration error", f"{error:.3f}"),
    ]


def _expected_calibration_error(confidence: Floats, right: Floats) -> float:
    """Mean distance of confidence and share right over ten equal bins, weighted by their size.

    Source: Naeini, Cooper, Hauskrecht (2015), "Obtaining Well Calibrated Probabilities Using
    Bayesian Binning".
    """
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [
        (bins == one).mean() * abs(confidence[bins == one].mean() - right[bins == one].mean())
        for one in np.unique(bins)
    ]
    return float(sum(gaps))


async def _left_out(examples: SubjectExamples, embedder: Embedder) -> Floats:
    """The mix before sharpening, (n, domains), each example judged by all the others."""
    vectors = await embedder.embed_all(examples.texts)
    features = Wording().fit(examples.texts)
    indicators = np.eye(len(examples.domains))[examples.labels]
    similarity = vectors @ vectors.T
    wording = _ridge_left_out((features @ features.T).toarray(), indicators)
    meaning, vote = _ridge_left_out(similarity, indicators), _vote_left_out(similarity, indicators)
    mixed: Floats = (meaning + wording + vote) / 3
    return mixed


def _ridge_left_out(kernel: Floats, indicators: Floats) -> Floats:
    """What ridge regression says of each row when fitted without it, in closed form.

    Source: Allen (1974), "The Relationship between Variable Selection and Data Augmentation": with
    A = (K + RIDGE I)^-1 the residual of a row left out is (A y)_i / A_ii.
    """
    targets = indicators - indicators.mean(axis=0)
    inverse = np.linalg.inv(kernel + RIDGE * np.eye(len(kernel)))
    return _softmax(targets - (inverse @ targets) / np.diag(inverse)[:, None], TEMPERATURE)


def _vote_left_out(similarity: Floats, indicators: Floats) -> Floats:
    others = similarity.copy()
    np.fill_diagonal(others, -np.inf)
    nearest = np.argsort(-others, axis=1)[:, :NEIGHBOURS]
    close = np.take_along_axis(others, nearest, axis=1)
    weights = np.exp((close - close[:, :1]) / NEIGHBOUR_TEMPERATURE)
    votes = np.einsum("nk,nkd->nd", weights, indicators[nearest])
    shares: Floats = votes / votes.sum(axis=1, keepdims=True)
    return shares


if __name__ == "__main__":
    asyncio.run(main())
