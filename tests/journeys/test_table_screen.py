"""Personas among themselves on the chat screen, in a real browser."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import expect

from tests.doubles.everybody import saying, speaker_of
from tests.doubles.llm import Reply
from tests.journeys.browsing import NEEDS_BROWSER, ONCE, SIZES, finished, opened, pick, reload, send

pytestmark = [*NEEDS_BROWSER, pytest.mark.timeout(120)]

SAID = {
    "Karen": "Yes, buyers ask me for it.",
    "Sophia": "Half of them might.",
    "Cherry": "We open one shelf. Karen owns the shelf, Sophia the count.",
}


@pytest.fixture(params=SIZES)
def page(request, browser, product):
    with opened(browser, product.url, request.param) as page:
        yield page


def spoken(page):
    return page.locator("[data-step-type='assistant_message']")


def test_everybody_speaks_in_turn_and_it_stays_after_a_reload(page, shared_model):
    shared_model.choose(saying(SAID))
    pick(page, "Round table")
    send(page, "Should we sell our pottery online?")
    finished(page)
    for _ in range(2):
        expect(spoken(page)).to_have_count(4)
        for place, name in enumerate(["Karen", "Sophia", "Karen", "Cherry"]):
            expect(spoken(page).nth(place)).to_contain_text(SAID[name])
            expect(spoken(page).nth(place).get_by_alt_text(f"Avatar for {name}")).to_be_visible()
        for step in (
            "Karen opens the round table",
            "Sophia speaks, having heard that",
            "Karen replies",
            "Cherry decides",
        ):
            expect(page.get_by_role("button", name=step)).to_be_visible()
        expect(page.get_by_role("button", name="Ask Karen instead")).to_have_count(1)
        for place in range(4):
            expect(spoken(page).nth(place).locator(".positive-feedback-off")).to_be_visible()
        reload(page)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_the_picker_shows_everybodys_picture(page):
    page.locator(".mode-picker-wrapper button").first.click()
    pictures = page.locator("[id^='mode-picker-popover-'] img")
    expect(pictures).to_have_count(3)
    for picture in pictures.all():
        assert picture.evaluate("async (one) => { await one.decode(); return one.naturalWidth }")


@ONCE
def test_what_each_one_said_can_be_rejected(page, product, shared_model):
    said = {**SAID, "Sophia": "Half of the herons might."}
    shared_model.choose(saying(said))
    pick(page, "Round table")
    send(page, "Should we sell our herons online?")
    finished(page)
    expect(page.get_by_role("button", name="Teach this")).to_have_count(4)
    spoken(page).nth(1).locator(".negative-feedback-off").click()
    with page.expect_response("**/feedback"):
        page.get_by_role("button", name="Send").click()
    expect(spoken(page).nth(1).locator(".negative-feedback-on")).to_be_visible()
    memories = httpx.get(f"{product.url}/api/v1/memories", timeout=10).json()
    asked = [one for one in memories if "herons" in one["task"]]
    assert [one["decision"] for one in asked if one["rejected"]] == [said["Sophia"]]


@ONCE
def test_one_that_fails_says_so_and_the_others_finish(page, shared_model):
    shared_model.choose(saying(SAID, failing="Sophia"))
    pick(page, "Round table")
    send(page, "Should we sell our pottery online?")
    finished(page)
    expect(page.get_by_text("Sophia cannot answer, and the others go on.")).to_be_visible()
    expect(spoken(page).filter(has_text=SAID["Cherry"])).to_be_visible()


@ONCE
def test_one_that_breaks_off_keeps_its_words_marked_after_a_reload(page, shared_model):
    def choose(body):
        if speaker_of(body) == "Sophia":
            return Reply("Half of them or more", cut_after=3)
        return saying(SAID)(body)

    shared_model.choose(choose)
    pick(page, "Round table")
    send(page, "Should we sell our pottery online?")
    finished(page)
    for _ in range(2):
        expect(spoken(page).filter(has_text="Half of them … (broke off)")).to_have_count(1)
        expect(page.get_by_text("Sophia cannot answer, and the others go on.")).to_be_visible()
        reload(page)


@ONCE
def test_a_colleague_is_asked_inside_an_answer(page, shared_model):
    def choose(body):
        if speaker_of(body) == "Sophia":
            return Reply("Some: three surveys.")
        if "You are in the middle of your answer" in body["messages"][-1]["content"]:
            return Reply("So test it with one shelf.")
        return Reply("Yes, loudly.\n@Sophia is there evidence?\n")

    shared_model.choose(choose)
    pick(page, "Karen")
    send(page, "Should we sell our pottery online?")
    finished(page)
    answer = spoken(page).last
    expect(answer.locator("blockquote")).to_contain_text("Sophia: Some: three surveys.")
    expect(answer).to_contain_text("So test it with one shelf.")
