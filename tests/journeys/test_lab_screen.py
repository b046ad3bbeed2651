"""Compare and the blind test on the chat screen, in a real browser."""

from __future__ import annotations

import sqlite3

import httpx
import pytest
from playwright.sync_api import expect

from tests.doubles.everybody import saying
from tests.doubles.llm import Reply
from tests.journeys.browsing import NEEDS_BROWSER, ONCE, SIZES, opened, pick, reload, send

pytestmark = [*NEEDS_BROWSER, pytest.mark.timeout(120)]

SAID = {
    "Cherry": "Decide first, then act on it.",
    "Karen": "Ooh, call them today!",
    "Sophia": "It may depend on the figures.",
}


@pytest.fixture(params=SIZES)
def page(request, browser, product):
    with opened(browser, product.url, request.param) as page:
        yield page


def test_everybody_answers_side_by_side_and_a_vote_stays(page, shared_model):
    shared_model.choose(saying(SAID))
    pick(page, "Compare")
    send(page, "Should we open a second shop?")
    columns = page.locator(".orchestra-columns article")
    for place, (name, said) in enumerate(sorted(SAID.items())):
        expect(columns.nth(place)).to_contain_text(name)
        expect(columns.nth(place)).to_contain_text(said)
        expect(columns.nth(place)).to_contain_text("formality")
    columns.nth(1).get_by_role("button", name="Best").press("Enter")
    expect(page.get_by_text("You voted: Karen.")).to_be_focused()
    expect(columns.nth(2).get_by_role("button", name="Best")).to_be_disabled()
    reload(page)
    expect(page.get_by_text("You voted: Karen.")).to_be_visible()
    expect(page.locator(".orchestra-columns article").nth(2)).to_contain_text(SAID["Sophia"])


@ONCE
def test_one_that_fails_says_so_and_one_can_be_asked_twice(page, shared_model):
    shared_model.choose(saying(SAID, failing="Sophia"))
    pick(page, "Compare")
    send(page, "Should we open a second shop?")
    columns = page.locator(".orchestra-columns article")
    expect(columns.nth(2).get_by_role("alert")).to_contain_text("400")
    expect(columns.nth(2).get_by_role("button", name="Best")).to_be_disabled()
    columns.nth(1).get_by_role("button", name="Karen twice").click()
    again = page.locator(".orchestra-columns").nth(1).locator("article")
    expect(again).to_have_count(2)
    expect(again.nth(1)).to_contain_text("Karen, once more")
    expect(again.nth(1)).to_contain_text(SAID["Karen"])


@ONCE
def test_a_comparison_that_is_stopped_says_so(page, shared_model):
    words = " ".join(f"word{number}" for number in range(200))
    shared_model.always(Reply(words, pause_seconds=0.3))
    pick(page, "Compare")
    send(page, "Should we open a second shop?")
    expect(page.locator(".orchestra-columns article").first).to_contain_text("word1")
    page.locator("#stop-button").click()
    expect(page.locator(".orchestra-columns [role=alert]")).to_have_count(3)
    expect(page.locator(".orchestra-columns [role=alert]").first).to_contain_text("(stopped)")
    expect(page.get_by_role("button", name="A tie")).to_be_hidden()


@ONCE
def test_a_comparison_that_cannot_be_kept_stays_on_the_page_with_the_reason(
    page, product, shared_model
):
    shared_model.choose(saying(SAID))
    database = sqlite3.connect(product.data_dir / "orchestra.db", timeout=15, isolation_level=None)
    database.execute("ALTER TABLE lab_comparisons RENAME TO taken_away")
    try:
        pick(page, "Compare")
        send(page, "Should we open a second shop?")
        expect(page.get_by_text("no such table")).to_be_visible()
        reload(page)
        columns = page.locator(".orchestra-columns article")
        for place, said in enumerate(SAID[name] for name in sorted(SAID)):
            expect(columns.nth(place)).to_contain_text(said)
        expect(page.get_by_role("button", name="A tie")).to_be_hidden()
    finally:
        database.execute("ALTER TABLE taken_away RENAME TO lab_comparisons")
        database.close()


@ONCE
def test_what_was_guessed_in_another_tab_gives_way_to_the_next(page, product, shared_model):
    shared_model.choose(saying(SAID))
    pick(page, "Blind test")
    with page.expect_response("**/lab/blind") as given:
        send(page, "Begin")
    trial = given.value.json()
    expect(page.get_by_text(trial["question"])).to_be_visible()
    address = f"{product.url}/api/v1/lab/blind/{trial['id']}/guess"
    assert httpx.post(address, json={"persona": "karen"}).is_success
    names = page.get_by_role("group", name="Who wrote this?")
    names.get_by_role("button", name="Sophia").click()
    expect(page.get_by_text("was guessed before")).to_be_visible()
    expect(page.get_by_text(trial["question"])).to_be_hidden()
    names.get_by_role("button", name="Sophia").click()
    expect(page.get_by_role("button", name="Next")).to_be_visible()


def test_the_page_learns_who_wrote_it_after_the_guess_alone(page, product, shared_model):
    shared_model.choose(saying(SAID))
    heard = []
    page.on("response", lambda one: "/lab/blind" in one.url and heard.append((one.url, one.text())))
    before = httpx.get(f"{product.url}/api/v1/lab/blind/score").json()["guesses"]
    pick(page, "Blind test")
    send(page, "Begin")
    shown = page.locator(".orchestra-blind blockquote")
    expect(shown).to_be_visible()
    text = shown.inner_text()
    assert text in SAID.values()
    assert not [url for url, said in heard if "truth" in said or url.endswith("/guess")]
    writer = next(name for name, said in SAID.items() if said == text)
    page.get_by_role("group", name="Who wrote this?").get_by_role("button", name=writer).click()
    expect(page.get_by_text(f"Right: {writer}.")).to_be_visible()
    expect(page.get_by_role("button", name="Next")).to_be_focused()
    expect(page.locator(".orchestra-blind summary")).to_contain_text(f"of {before + 1} right")
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"Right: {writer}.")).to_be_hidden()
    expect(page.locator(".orchestra-blind > div[tabindex]")).to_be_focused()
    expect(shown).to_be_visible()
