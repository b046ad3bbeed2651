"""Alive, ready, and in figures."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from orchestra import metrics
from orchestra.api.caller import House, IsStranger
from orchestra.errors import OrchestraError

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def alive() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "alive"}


@router.get("/readyz")
async def ready(house: House, stranger: IsStranger, response: Response) -> dict[str, Any]:
    """Whether messages can be answered at full speed; 503 until then. Each part tells its state.

    Where people sign in, somebody who has not learns no more than which parts work.
    """
    parts = await house.status()
    # Stale personas are served on purpose, and answers need no crews: they show here, and do not
    # stop the traffic.
    is_ready = all(part.ok for part in parts if part.part not in {"personas", "tasks"})
    response.status_code = 200 if is_ready else 503
    if stranger:
        return {"ready": is_ready, "parts": {part.part: {"ok": part.ok} for part in parts}}
    return {
        "ready": is_ready,
        "parts": {part.part: asdict(part) for part in parts},
        "personas": asdict(house.roster.status()),
    }


@router.get("/metrics", response_class=Response)
async def figures(house: House) -> Response:
    """All figures, for Prometheus."""
    personas = house.roster.status()
    metrics.persona_age.set(personas.age_seconds)
    metrics.persona_reloads.set(personas.reloads)
    metrics.persona_failures.set(personas.failures)
    metrics.thumbs.clear()
    metrics.tasks.clear()
    with contextlib.suppress(OrchestraError):  # which `readyz` tells
        for persona in (await house.conversation.personas()).members:
            thumbs = await house.statistics.of(persona)
            metrics.thumbs.labels(persona.id, "up").set(thumbs.thumbs_up)
            metrics.thumbs.labels(persona.id, "down").set(thumbs.thumbs_down)
        for status, number in (await house.runs.counts()).items():
            metrics.tasks.labels(status).set(number)
    return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
