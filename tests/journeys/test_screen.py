"""The chat screen in a real browser, at both widths."""

from __future__ import annotations

import re
import shutil

import httpx
import pytest
from playwright.sync_api import expect

from orchestra.settings import ROOT
from tests.doubles.llm import Reply
from tests.journeys.browsing import NEEDS_BROWSER, ONCE, SIZES, finished, opened, reload, send

COLD_CALL = "How do I get past the gatekeeper when cold calling?"

pytestmark = NEEDS_BROWSER


@pytest.fixture(params=SIZES)
def page(request, browser, product):
    # All tests are the one local person: what an earlier one taught or decided must not matter.
    httpx.delete(f"{product.url}/api/v1/memories", timeout=30)
    with opened(browser, product.url, request.param) as page:
        yield page


def test_the_welcome_shows_the_three_personas_and_nobody_elses_brand(page):
    starters = page.locator("#starters > button")
    expect(starters).to_have_count(6)
    for name in ("Cherry", "Sophia", "Karen"):
        expect(starters.filter(has_text=name).first).to_be_visible()
    assert "chainlit" not in page.inner_text("body").lower()
    assert page.title() == "Orchestra"
    width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0


def test_an_answer_carries_name_avatar_route_and_recall(page):
    send(page, COLD_CALL)
    finished(page)
    answer = page.locator(".ai-message", has=page.locator('img[alt="Avatar for Karen"]')).last
    expect(answer).to_contain_text("Start with the customer. Then decide.")
    # Asked of the page as it is, not of an element: the page may still be replacing it.
    page.wait_for_function(
        """label => {
            const karen = '.ai-message:has(img[alt="Avatar for Karen"])'
            const message = [...document.querySelectorAll(karen)].pop()
            if (!message) return false
            return getComputedStyle(message.querySelector('.message-content'), '::before').content
                === label && message.querySelector('img').naturalWidth > 0
        }""",
        arg='"Karen · Sales and Marketing Orchestrator"',
    )
    page.get_by_role("button", name=re.compile("Karen on sales")).last.click()
    expect(
        page.get_by_text(re.compile("closest to: 'getting past the gatekeeper'")).last
    ).to_be_visible()
    expect(
        page.get_by_role("button", name=re.compile("remembered on this|Recalled")).last
    ).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@ONCE
def test_words_arrive_one_after_another_and_stop_stops(page, shared_model):
    words = " ".join(f"word{number}" for number in range(200))
    shared_model.always(Reply(words, pause_seconds=0.1))
    send(page, COLD_CALL)
    expect(page.locator(".ai-message").last).to_contain_text("word5")
    assert "word199" not in page.inner_text("body")
    page.click("#stop-button")
    expect(page.get_by_text(re.compile(r"\(stopped\)"))).to_be_visible()
    assert shared_model.aborted.wait(5)
    said = re.findall(r"word\d+", page.inner_text("body"))
    assert 5 <= len(said) < 200
    assert "Task manually stopped" not in page.inner_text("body")


@ONCE
def test_stopping_before_the_first_word_says_so(page, shared_model):
    shared_model.always(Reply(hang_after=0))
    send(page, COLD_CALL)
    expect(page.get_by_role("button", name=re.compile("Karen on sales")).last).to_be_visible()
    page.click("#stop-button")
    expect(page.get_by_text("(stopped)")).to_be_visible()


def test_a_reload_and_the_history_bring_the_thread_back_in_full(page):
    question = f"{COLD_CALL} {page.viewport_size['width']}"
    send(page, question)
    finished(page)
    reload(page)
    expect(page.locator('[data-step-type="user_message"]').last).to_contain_text(question)
    expect(page.locator(".ai-message").last).to_contain_text(
        "Start with the customer. Then decide."
    )
    expect(page.get_by_role("button", name=re.compile("Karen on sales")).last).to_be_visible()
    expect(page.get_by_role("button", name="Ask Sophia instead")).to_be_visible()
    if page.viewport_size["width"] < 1000:  # the same from the history
        page.goto(page.url.split("/thread")[0])
        page.wait_for_selector("#starters")
        page.click("#sidebar-trigger-button")
        page.locator("a[href^='/thread/']").first.click()
        expect(page.locator('[data-step-type="user_message"]').last).to_contain_text(question)
    send(page, "make it shorter")
    expect(page.get_by_role("button", name=re.compile("Karen on")).nth(1)).to_be_visible()


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (Reply(status=401), "Check OPENAI_API_KEY"),
        (Reply("the first word, and then nothing", hang_after=3), "the first word"),
    ],
    ids=["failed", "under way"],
)
def test_a_reload_shows_a_first_message_that_was_not_answered(page, shared_model, reply, shown):
    question = f"{COLD_CALL} {reply.status} {page.viewport_size['width']}"
    shared_model.always(reply)
    send(page, question)
    expect(page.locator("#root")).to_contain_text(shown)
    reload(page)
    expect(page.locator('[data-step-type="user_message"]').last).to_contain_text(question)
    expect(page.locator("#root")).to_contain_text(shown)


@ONCE
def test_handing_over_asks_the_other_persona_and_teaches_the_router(page, shared_model):
    question = {
        1440: "Which words open a cold call to a dentist?",
        390: "Who should own the tasks of the office move in May?",
    }[page.viewport_size["width"]]
    send(page, question)
    finished(page)
    shared_model.enqueue(Reply("The evidence is thin."))
    page.get_by_role("button", name="Ask Sophia instead").last.click()
    sophia = page.locator(".ai-message", has=page.locator('img[alt="Avatar for Sophia"]'))
    expect(sophia.last).to_contain_text("The evidence is thin.")
    page.goto(page.url.split("/thread")[0])
    page.wait_for_selector("#starters")
    send(page, question)
    expect(sophia.last).to_contain_text("Start with the customer.")


def test_the_picker_chooses_who_answers(page):
    page.click("#mode-picker-trigger-who")
    page.locator("#mode-picker-popover-who [cmdk-item]").filter(has_text="Cherry").click()
    send(page, COLD_CALL)
    expect(page.locator('.ai-message img[alt="Avatar for Cherry"]').last).to_be_visible()


def test_the_memory_panel_lists_searches_and_forgets(page):
    subject = {1440: "zeppelin", 390: "submarine"}[page.viewport_size["width"]]
    send(page, f"How do I sell a {subject} to a museum?")
    finished(page)
    shutil.rmtree(ROOT / ".files", ignore_errors=True)  # as another server here does at its end
    page.get_by_role("button", name="Memory").last.click()
    panel = page.get_by_role("region", name="Memory")
    entry = panel.get_by_test_id("memory").filter(has_text=subject)
    expect(entry).to_have_count(1)
    panel.get_by_label("Search memories").fill(f"selling a {subject}")
    expect(entry).to_have_count(1)
    entry.get_by_role("button", name=re.compile("^Forget")).click()
    expect(entry).to_have_count(0)


def test_a_recalled_decision_is_shown_and_can_be_forgotten_on_the_spot(page, shared_model):
    animal = {1440: "giraffe", 390: "pelican"}[page.viewport_size["width"]]
    send(page, f"How do I sell a {animal} to a zoo?")
    finished(page)
    shared_model.enqueue(Reply("Bring a good lunch and ask about the weather."))
    # Every telling word is in the decision, so it is found before its vector is there.
    send(page, f"A {animal} to a zoo, how do I sell it?")
    expect(page.locator('.ai-message img[alt^="Avatar for"]')).to_have_count(2)
    step = page.get_by_role("button", name=re.compile("Recalled")).last
    expect(step).to_be_visible()
    step.click()
    entry = page.get_by_test_id("recalled").filter(has_text=animal).first
    expect(entry).to_be_visible()
    entry.get_by_role("button", name=re.compile("^Forget")).click()
    expect(page.get_by_text("Forgotten.").first).to_be_visible()


@ONCE
def test_an_error_is_shown_as_an_error_with_what_to_do(page, shared_model):
    shared_model.always(Reply(status=401))
    send(page, COLD_CALL)
    expect(page.get_by_text(re.compile("Check OPENAI_API_KEY"))).to_be_visible()
    shared_model.reset()
    send(page, COLD_CALL)
    expect(page.locator(".ai-message").last).to_contain_text("Then decide.")


@ONCE
def test_markup_in_messages_and_answers_stays_text(page, shared_model):
    shared_model.always(Reply("<img src=x onerror=alert(1)> ![t](http://evil.test/t.png) done"))
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append(dialog.message))
    send(page, "<b>bold</b> ![x](http://evil.test/q.png) what now?")
    expect(page.locator(".ai-message").last).to_contain_text("done")
    expect(page.locator('[data-step-type="user_message"]').last).to_contain_text("<b>bold</b>")
    assert page.locator("img[src='x']").count() == 0
    reached = [url for url in asked if "evil.test/q" in url or url == "1"]
    assert reached == []


def test_the_keyboard_alone_is_enough(page):
    page.focus("#chat-input")
    page.keyboard.type("Karen, what do I write to the caterer?")  # handed over, it is taught
    page.keyboard.press("Enter")
    finished(page)
    expect(page.get_by_role("button", name="Ask Cherry instead").last).to_be_enabled()
    page.get_by_role("button", name="Ask Cherry instead").last.focus()
    page.keyboard.press("Enter")
    expect(page.locator('.ai-message img[alt="Avatar for Cherry"]').last).to_be_visible()
