"""Where Notion says that something changed; what changed is read from the table itself."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, HTTPException, Request

from orchestra.api.caller import House

router = APIRouter(tags=["personas"])


@router.post("/api/v1/notion/webhook")
async def knock(request: Request, house: House) -> dict[str, bool]:
    """Take a delivery of the connection's webhook; the personas are read again in a moment.

    Raises:
        HTTPException: personas do not live in Notion, or it is no delivery of its.
    """
    webhook = house.webhook
    if webhook is None:
        detail = "Personas do not live in Notion here: set NOTION_API_KEY."
        raise HTTPException(HTTPStatus.NOT_FOUND, detail)
    body = await request.body()
    event = _event(body)
    signature = request.headers.get("x-notion-signature")
    if signature is None and isinstance(event.get("verification_token"), str):
        webhook.shake_hands(event["verification_token"])
        return {"verified": True}
    webhook.check(body, signature)
    is_new = webhook.is_new(str(event.get("id") or ""))
    is_ours = webhook.is_ours(event)
    if is_new and is_ours:
        house.roster.reload_soon()
    return {"new": is_new, "ours": is_ours}


def _event(body: bytes) -> dict[str, Any]:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "The body is not a JSON object.")
    return event
