"""An edit in Notion, as somebody in the chat sees it."""

from __future__ import annotations

import time

import httpx
import pytest
from playwright.sync_api import expect

from tests.doubles.llm import Reply
from tests.doubles.notion import filled_notion
from tests.journeys.browsing import NEEDS_BROWSER, SIZES, finished, send

ADMIN = {"Authorization": "Bearer an-admin-token-for-tests"}
pytestmark = [*NEEDS_BROWSER, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def notion():
    with filled_notion() as server:
        yield server


@pytest.fixture(scope="module")
def served(notion, serve):
    with serve(**notion.settings, ORCHESTRA_PERSONA_TTL_SECONDS="1") as product:
        yield product


@pytest.fixture
def http(served):
    with httpx.Client(base_url=served.url, timeout=20) as client:
        yield client


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
    until = time.monotonic() + 30
    while http.get("/api/v1/personas/sophia").json()["traits"]["formality"] != 0.4:
        assert time.monotonic() < until
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
