"""The subject of a message: three signals, mixed in equal parts, over written examples.

Each signal catches what the others miss: a linear view of the embedding (meaning), a linear view
of words and letters (wording, typos), and the nearest examples (the odd case). Both linear views
are ridge regressions on the class indicators, solved in closed form: fitting a thousand examples
takes a second, so examples can change without a training step anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import yaml

from orchestra.errors import SettingsError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = npt.NDArray[np.floating]

RIDGE = 1.0
TEMPERATURE = 0.12
NEIGHBOURS = 15
NEIGHBOUR_TEMPERATURE = 0.08
SHARPNESS = 2.0
"""Exponent that makes the mix's confidence match how often it is right.

Source: leave-one-out over personas_seed/domains.yaml (1,031 examples, November 2026): with 2.0
the expected calibration error is .03, with 1.0 it is .22. `python -m benchmarks.routing` prints it.
"""


class SubjectExamples:
    """Example messages per domain, in the order of the file."""

    def __init__(self, by_domain: Mapping[str, Sequence[str]]) -> None:
        self.domains = tuple(by_domain)
        self.texts = [text for texts in by_domain.values() for text in texts]
        self.labels = np.array(
            [index for index, texts in enumerate(by_domain.values()) for _ in texts], dtype=np.intp
        )


def read_examples(path: Path) -> SubjectExamples:
    """Read domains.yaml: one list of example messages per domain.

    Raises:
        SettingsError: the file is missing or not of that shape.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as exc:
        message = f"{path} cannot be read: {exc}"
        raise SettingsError(message) from exc
    if not isinstance(content, dict) or len(content) < 2:  # noqa: PLR2004  # nothing to tell apart
        message = f"{path} must map two or more domains to lists of example messages."
        raise SettingsError(message)
    for domain, texts in content.items():
        if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
            message = f"{path}: domain '{domain}' must be a list of example messages."
            raise SettingsError(message)
    return SubjectExamples(content)


class Wording:
    """Texts as weighted words, pairs of words, and runs of two to five letters."""

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415  # a second to import

        self._views = (
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2),
        )

    def fit(self, texts: Sequence[str]) -> csr_matrix:
        """Learn the weights of words and runs; returns the features of the texts, sparse (n, f)."""
        from scipy.sparse import hstack  # noqa: PLC0415  # likewise

        features = hstack([view.fit_transform(texts) for view in self._views], format="csr")
        self._analyzers = [view.build_analyzer() for view in self._views]
        self._starts = (0, len(self._views[0].vocabulary_))
        return features

    def features(self, text: str) -> tuple[npt.NDArray[np.intp], Floats]:
        """The features of one text: columns (k,) and their values (k,).

        As the vectorizers' own `transform`, without its checks and matrices: a tenth of the time.
        """
        columns, values = [], []
        for view, analyze, start in zip(self._views, self._analyzers, self._starts, strict=True):
            counts: Counter[int] = Counter()
            for run in analyze(text):
                column = view.vocabulary_.get(run)
                if column is not None:
                    counts[column] += 1
            found = np.fromiter(counts.keys(), dtype=np.intp, count=len(counts))
            times = np.fromiter(counts.values(), dtype=float, count=len(counts))
            weights = (1 + np.log(times)) * view.idf_[found]
            columns.append(found + start)
            values.append(weights / (np.linalg.norm(weights) or 1.0))
        return np.concatenate(columns), np.concatenate(values)


class SubjectClassifier:
    """Tells which domain a message belongs to, how surely, and which example it resembles."""

    def __init__(self, examples: SubjectExamples, vectors: Floats) -> None:
        """Fit.

        Args:
            examples: What to learn from.
            vectors: Their embeddings, (n, d) unit rows in the same order.
        """
        self.domains = examples.domains
        self._examples = examples
        self._vectors = vectors
        indicators = np.eye(len(self.domains))[examples.labels]
        self._prior = indicators.mean(axis=0)
        targets = indicators - self._prior
        self._by_meaning = vectors.T @ _ridge(vectors @ vectors.T, targets)
        self._wording = Wording()
        features = self._wording.fit(examples.texts)
        self._by_wording = np.asarray(
            features.T @ _ridge((features @ features.T).toarray(), targets)
        )

    def classify(self, text: str, vector: Floats) -> Floats:
        """Return one probability per domain, shape (domains,), summing to 1."""
        meaning = _softmax(vector @ self._by_meaning, TEMPERATURE)
        columns, values = self._wording.features(text)
        wording = _softmax(values @ self._by_wording[columns], TEMPERATURE)
        mixed = (meaning + wording + self._vote(vector)) / 3
        sharpened: Floats = mixed**SHARPNESS
        normalised: Floats = sharpened / sharpened.sum()
        return normalised

    def nearest(self, vector: Floats, domain: str) -> str:
        """Return the domain's example that lies closest to the message."""
        own = np.flatnonzero(self._examples.labels == self.domains.index(domain))
        return self._examples.texts[int(own[np.argmax(self._vectors[own] @ vector)])]

    def _vote(self, vector: Floats) -> Floats:
        similarity = self._vectors @ vector
        nearest = np.argsort(-similarity)[:NEIGHBOURS]
        weights = np.exp((similarity[nearest] - similarity[nearest[0]]) / NEIGHBOUR_TEMPERATURE)
        votes = np.bincount(
            self._examples.labels[nearest], weights=weights, minlength=len(self.domains)
        )
        shares: Floats = votes / votes.sum()
        return shares


def _ridge(kernel: Floats, targets: Floats) -> Floats:
    solution: Floats = np.linalg.solve(kernel + RIDGE * np.eye(len(kernel)), targets)
    return solution


def _softmax(scores: Floats, temperature: float) -> Floats:
    exponents = np.exp((scores - scores.max(axis=-1, keepdims=True)) / temperature)
    normalised: Floats = exponents / exponents.sum(axis=-1, keepdims=True)
    return normalised
