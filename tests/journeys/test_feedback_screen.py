"""What people think of answers, and what follows from it, in a real browser."""

from __future__ import annotations

import json
import subprocess
import sys

import httpx
import pytest
from playwright.sync_api import expect

from tests.conftest import clean_env
from tests.doubles.llm import Reply
from tests.journeys.browsing import NEEDS_BROWSER, finished, opened, send

pytestmark = [*NEEDS_BROWSER, pytest.mark.timeout(180)]

QUESTION = "Which discount would win the walrus fair's customers back?"


@pytest.fixture
def page(browser, product):
    with opened(browser, product.url) as page:
        yield page


def ask(page, question=QUESTION):
    before = page.locator("[data-step-type='assistant_message']").count()
    send(page, question)
    expect(page.locator("[data-step-type='assistant_message']")).to_have_count(before + 1)
    finished(page)


def memory_of(product, question=QUESTION):
    memories = httpx.get(f"{product.url}/api/v1/memories", timeout=10).json()
    return next(one for one in memories if one["task"] == question)


def test_a_decision_with_a_thumb_down_is_not_recalled_again(page, product, shared_model):
    shared_model.always(Reply("Half price for every walrus."))
    ask(page)
    page.locator(".negative-feedback-off").last.click()
    page.locator("textarea").last.fill("Too dear!")
    with page.expect_response("**/feedback") as kept:
        page.get_by_role("button", name="Send").click()
    expect(page.locator(".negative-feedback-on")).to_be_visible()
    assert memory_of(product)["rejected"] is True
    shared_model.always(Reply("A free ride on the walrus."))
    ask(page, f"{QUESTION} Once more, please.")
    expect(page.get_by_role("button", name="Nothing remembered on this").last).to_be_visible()
    assert "Half price" not in str(shared_model.asked[-1]["messages"][-1])
    taken = {"feedbackId": kept.value.json()["feedbackId"]}
    assert httpx.request("DELETE", f"{product.url}/feedback", json=taken, timeout=10).is_success
    assert memory_of(product)["rejected"] is False
    ask(page, f"{QUESTION} And again, please.")
    assert "Half price" in str(shared_model.asked[-1]["messages"][-1])


def test_an_answer_that_comes_with_a_note_can_be_rated(page, shared_model):
    shared_model.always(Reply("Half price for every", ends_with="length"))
    ask(page, "Which discount would win the heron fair's customers back?")
    expect(page.get_by_text("reached its limit of length")).to_be_visible()
    page.locator(".negative-feedback-off").last.click()
    with page.expect_response("**/feedback"):
        page.get_by_role("button", name="Send").click()
    expect(page.locator(".negative-feedback-on")).to_be_visible()


def test_the_lab_tells_what_people_liked(page, product, shared_model):
    shared_model.always(Reply("Ask the otters first."))
    ask(page, "How do I sell a raft to an otter?")
    page.locator(".positive-feedback-off").last.click()
    page.locator("textarea").last.fill("Made me laugh.")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".positive-feedback-on")).to_be_visible()
    done = subprocess.run(
        [sys.executable, "-m", "orchestra", "lab", "feedback", "--json"],
        env={**clean_env(), "ORCHESTRA_DATA_DIR": str(product.data_dir)},
        cwd=product.data_dir,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = json.loads(done.stdout)
    (comment,) = [one for one in found["comments"] if one["comment"] == "Made me laugh."]
    assert comment["persona_id"] == "karen"
    assert comment["up"] is True
    assert comment["answer"] == "Ask the otters first."
    liked = {(one["persona_id"], one["domain"]): one for one in found["likings"]}
    assert liked["karen", comment["domain"]]["up"] >= 1
