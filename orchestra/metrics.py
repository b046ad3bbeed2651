"""What is counted, for Prometheus. The journeys count; the HTTP door shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from orchestra.errors import OrchestraError

registry = CollectorRegistry()

_SECONDS = (0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60)

answers = Counter(
    "orchestra_answers_total", "Answers given.", ["persona", "domain"], registry=registry
)
failures = Counter(
    "orchestra_failures_total", "Turns that failed, by kind of error.", ["kind"], registry=registry
)
before_model = Histogram(
    "orchestra_before_model_seconds",
    "Route and recall, before the model is asked.",
    buckets=_SECONDS,
    registry=registry,
)
first_token = Histogram(
    "orchestra_first_token_seconds",
    "From the message to the first word of the answer.",
    buckets=_SECONDS,
    registry=registry,
)
tokens = Counter(
    "orchestra_tokens_total",
    "Tokens, as the model server counts them.",
    ["kind"],
    registry=registry,
)
persona_age = Gauge(
    "orchestra_personas_age_seconds", "Age of the personas in use.", registry=registry
)
persona_reloads = Gauge(
    "orchestra_personas_reloads", "Successful reads of the persona store.", registry=registry
)
persona_failures = Gauge(
    "orchestra_personas_failures", "Failed reads of the persona store.", registry=registry
)

persona_reads = Counter(
    "orchestra_personas_reads_total",
    "Turns that asked for the personas: from memory, or from the store because there were none.",
    ["from"],
    registry=registry,
)
thumbs = Gauge(
    "orchestra_thumbs", "Thumbs on answers, up and down.", ["persona", "thumb"], registry=registry
)

tasks = Gauge("orchestra_tasks", "Tasks of crews that are kept.", ["status"], registry=registry)
task_seconds = Histogram(
    "orchestra_task_seconds",
    "From the beginning of the work on a task to its end.",
    ["status"],
    buckets=(1, 3, 10, 30, 60, 120, 300, 600, 1800, 3600),
    registry=registry,
)
task_step_seconds = Histogram(
    "orchestra_task_step_seconds",
    "How long a step of a crew took: plan, review, agent or tool.",
    ["kind", "ok"],
    buckets=(*_SECONDS, 120, 300),
    registry=registry,
)
task_model_calls = Histogram(
    "orchestra_task_model_calls",
    "Requests to the model for one task.",
    buckets=(1, 2, 4, 6, 8, 12, 16, 24, 32, 48),
    registry=registry,
)
task_tokens = Histogram(
    "orchestra_task_tokens",
    "Tokens of one task, as the model server counts them.",
    ["kind"],
    buckets=(100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000),
    registry=registry,
)


def answers_of(persona_id: str) -> int:
    """How many answers a persona gave since the process started."""
    (metric,) = answers.collect()
    return int(
        sum(
            one.value
            for one in metric.samples
            if one.name.endswith("_total") and one.labels["persona"] == persona_id
        )
    )


@contextmanager
def counted_failures() -> Iterator[None]:
    """Count what is raised on purpose, by kind, and let it pass.

    Raises:
        OrchestraError: what was counted.
    """
    try:
        yield
    except OrchestraError as exc:
        failures.labels(type(exc).__name__).inc()
        raise


def exposition() -> bytes:
    """All figures in Prometheus' text format."""
    return generate_latest(registry)
