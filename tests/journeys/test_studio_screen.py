"""Authors shape personas on the page, in a real browser."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import expect

from tests.doubles.llm import Reply
from tests.journeys.browsing import NEEDS_BROWSER, SIZES, finished, send

pytestmark = [*NEEDS_BROWSER, pytest.mark.timeout(120)]

QUESTION = "How do I sell a lighthouse?"
LIKED = "Sell the view, love, and throw in the lamp!"
POLISHED = "Sell the view, love, and the lamp comes free!"


@pytest.fixture(scope="module")
def served(serve):
    with serve(ORCHESTRA_PERSONA_STORE="sql", ORCHESTRA_MODEL="scripted") as product:
        yield product


@pytest.fixture
def http(served):
    with httpx.Client(base_url=served.url, timeout=20) as client:
        yield client


@pytest.fixture(params=SIZES)
def page(request, browser, served, shared_model):
    shared_model.reset()
    context = browser.new_context(viewport=SIZES[request.param], reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(served.url)
    expect(page.locator(".mode-picker-wrapper").first).to_be_visible()
    yield page
    context.close()


def test_a_liked_answer_becomes_an_example_that_the_next_answer_knows(page, http, shared_model):
    question = f"{QUESTION} {page.viewport_size['width']}"
    shared_model.always(Reply(LIKED))
    send(page, question)
    finished(page)
    page.get_by_role("button", name="Teach this").click()
    expect(page.get_by_label("Somebody asks")).to_have_value(question)
    expect(page.get_by_label("Karen answers")).to_have_value(LIKED)
    page.get_by_label("Karen answers").fill(POLISHED)
    page.get_by_role("button", name="Teach Karen").click()
    expect(page.get_by_role("status").filter(has_text="Karen has learned it")).to_be_visible()
    example = {"message": question, "reply": POLISHED}
    assert http.get("/api/v1/personas/karen").json()["examples"][-1] == example
    newest = http.get("/api/v1/personas/karen/versions").json()[0]
    assert newest["note"] == f"learned: {question}"
    assert newest["author"] == "local"
    http.post("/api/v1/chat", json={"message": "And a boat?", "persona": "karen"})
    assert ("assistant", POLISHED) in shared_model.last_turns
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_what_cannot_be_taught_says_why_and_changes_nothing(page, http):
    send(page, QUESTION)
    finished(page)
    before = http.get("/api/v1/personas/karen").headers["ETag"]
    page.get_by_role("button", name="Teach this").click()
    expect(page.get_by_role("button", name="Teach Karen")).to_be_enabled()
    page.get_by_label("Karen answers").fill("  ")
    expect(page.get_by_role("button", name="Teach Karen")).to_be_disabled()
    for address, body, status in (
        ("karen", {"message": "Why?", "reply": ""}, 422),
        ("nobody", {"message": "Why?", "reply": "Because."}, 404),
    ):
        answer = http.post(f"/api/v1/studio/personas/{address}/examples", json=body)
        assert answer.status_code == status
    assert http.get("/api/v1/studio/answers/no-such").status_code == 404
    assert http.get("/api/v1/personas/karen").headers["ETag"] == before
