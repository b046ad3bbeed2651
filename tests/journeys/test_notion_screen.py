"""An edit in Notion, as the webhook brings it and as somebody in the chat sees it."""

from __future__ import annotations

import hashlib
import hmac
import json
import time

import httpx
import pytest
from playwright.sync_api import expect

from tests.conftest import ADMIN
from tests.doubles.llm import Reply
from tests.journeys.browsing import NEEDS_BROWSER, SIZES, finished, send

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def served(notion, serve):
    """A product that would not read the table again for an hour."""
    with serve(**notion.settings, ORCHESTRA_PERSONA_TTL_SECONDS="3600") as product:
        yield product


@pytest.fixture
def http(served, shared_model):
    shared_model.reset()
    with httpx.Client(base_url=served.url, timeout=20) as client:
        yield client


@NEEDS_BROWSER[0]
@NEEDS_BROWSER[1]
@pytest.mark.parametrize("size", SIZES)
def test_an_edit_is_seen_in_an_open_conversation(http, served, notion, shared_model, browser, size):
    page_id = notion.page_ids["sophia"]
    notion.edit(page_id, Backstory="Sophia counts whales.", Formality=0.9)
    http.post("/api/v1/personas/reload", headers=ADMIN).raise_for_status()
    shared_model.always(Reply(quotes=r"Sophia counts \w+"))
    context = browser.new_context(viewport=SIZES[size], reduced_motion="reduce")
    page = context.new_page()
    page.goto(served.url)
    page.wait_for_selector("#chat-input")
    send(page, "@sophia Is a sample of forty answers enough?")
    finished(page)
    expect(page.locator(".ai-message").last).to_contain_text("Sophia counts whales")
    notion.edit(page_id, Backstory="Sophia counts stars.", Formality=0.4)
    http.post("/api/v1/personas/reload", headers=ADMIN).raise_for_status()
    send(page, "@sophia And a sample of fifty answers?")
    expect(page.get_by_text("Sophia was updated: formality 0.9 to 0.4, backstory")).to_be_visible()
    expect(page.locator(".ai-message").last).to_contain_text("Sophia counts stars")
    notion.set_icon(page_id, "🦄")
    http.post("/api/v1/personas/reload", headers=ADMIN).raise_for_status()
    drawn = http.get("/avatars/Sophia")
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert "🦄" in drawn.text
    notion.set_icon(page_id, "🔬")
    http.post("/api/v1/personas/reload", headers=ADMIN).raise_for_status()
    assert "<text" not in http.get("/avatars/Sophia").text
    context.close()


WEBHOOK_KEY = "secret_from_notion"


def deliver(http, event, key=WEBHOOK_KEY, signature=None):
    body = json.dumps(event).encode()
    signed = "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Notion-Signature": signature or signed}
    return http.post("/api/v1/notion/webhook", content=body, headers=headers)


def event(number):
    return {"id": f"event-{number}", "type": "page.properties_updated", "attempt_number": 1}


def told(http, shared_model):
    """What the model is told about Sophia, after an answer of hers."""
    ask = {"message": "Is a sample of forty answers enough?", "persona": "sophia"}
    http.post("/api/v1/chat", json=ask).raise_for_status()
    return shared_model.last_turns[0][1]


def test_a_webhook_brings_an_edit_at_once_and_a_burst_is_one_reading(
    http, served, notion, shared_model
):
    assert deliver(http, event(0)).status_code == 401  # no token yet
    shaken = http.post("/api/v1/notion/webhook", json={"verification_token": WEBHOOK_KEY})
    assert shaken.json() == {"verified": True}
    assert (served.data_dir / "notion-webhook.token").read_text() == WEBHOOK_KEY
    again = http.post("/api/v1/notion/webhook", json={"verification_token": "of somebody else"})
    assert again.status_code == 401
    assert deliver(http, event(0), key="guessed").status_code == 401
    assert deliver(http, event(0), signature=b"sha256=\xe9").status_code == 401
    assert http.post("/api/v1/notion/webhook", json=event(0)).status_code == 401
    assert http.post("/api/v1/notion/webhook", content=b"[]").status_code == 400

    told(http, shared_model)
    listings = notion.asked["POST data_sources"]
    notion.edit(notion.page_ids["sophia"], Backstory="Sophia counts planets.")
    for number in range(20):
        assert deliver(http, event(number)).json()["new"]
        assert not deliver(http, event(number)).json()["new"]
    until = time.monotonic() + 20
    while "counts planets" not in told(http, shared_model):
        assert time.monotonic() < until
    assert notion.asked["POST data_sources"] == listings + 1

    elsewhere = {"entity": {"id": "another page"}, "data": {"parent": {"id": "another table"}}}
    assert deliver(http, {**event(100), **elsewhere}).json() == {"new": True, "ours": False}
    in_ours = {"data": {"parent": {"id": notion.database_id, "type": "database"}}}
    assert deliver(http, {**event(101), **in_ours}).json() == {"new": True, "ours": True}
