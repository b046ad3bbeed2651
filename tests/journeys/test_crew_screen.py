"""Crews on the chat screen, in a real browser: asked for, watched, answered, called off."""

from __future__ import annotations

import re
import threading
import time

import httpx
import pytest
from playwright.sync_api import expect

from tests.doubles.crew_model import agreeable, kind_of, verdict
from tests.doubles.llm import Reply
from tests.journeys.browsing import NEEDS_BROWSER, ONCE, SIZES, finished, opened, reload, send

PLAN = "1. Book the hall. 2. Print. 3. Open."
RESULT = "## Launch\n\nDoors open on **4 May**.\n\n| what | who |\n| --- | --- |\n| hall | Ann |"
TIMELINE = {
    "title": "Launch",
    "start": "2026-05-01",
    "activities": [
        {"name": "Hall", "days": 3},
        {"name": "Open", "days": 1, "after": ["Hall"]},
    ],
}
ASKED = "Karen, draft a project timeline for the launch"

pytestmark = [*NEEDS_BROWSER, pytest.mark.timeout(120)]


def call_off(product):
    with httpx.Client(base_url=f"{product.url}/api/v1", timeout=30) as http:
        for one in http.get("/tasks", params={"status": ["pending", "running", "waiting"]}).json():
            http.delete(f"/tasks/{one['task_id']}")


@pytest.fixture(params=SIZES)
def page(request, browser, product):
    with opened(browser, product.url, request.param) as page:
        yield page
        call_off(product)


def launched(pause_seconds=0.0, sent_back=()):
    """A model that plans, uses the timeline tool, and is content but for what is sent back."""
    reviewed = []

    def choose(body):
        kind = kind_of(body)
        if kind.startswith("review"):
            reviewed.append(kind)
            if reviewed.count(kind) == 1 and kind in sent_back:
                return verdict(approved=False, reasons="Who does it?")
            return verdict(approved=True, reasons="I can sell this.")
        if kind == "plan":
            return Reply(PLAN, pause_seconds=pause_seconds)
        if "tools" in body and body["messages"][-1]["role"] != "tool":
            return Reply(tools=[("timeline_generator", TIMELINE)])
        return Reply(RESULT, pause_seconds=pause_seconds)

    return choose


def command(page, name, text=""):
    page.click("#chat-input")
    page.keyboard.type(f"/{name}")
    page.locator("[cmdk-item], .command-item", has_text=name).first.wait_for()
    page.keyboard.press("Enter")
    page.keyboard.type(text)
    expect(page.locator("#chat-submit")).to_be_enabled()
    page.keyboard.press("Enter")


def ask_first(page):
    page.click("#chat-settings-open-modal")
    page.locator("#asks_first").click()
    page.get_by_role("button", name="Confirm").click()


def step(page, name):
    return page.get_by_role("button", name=re.compile(name)).last


def test_a_crew_works_in_the_open_and_its_chart_lands_in_the_chat(page, shared_model):
    shared_model.choose(launched(sent_back={"review of plan"}))
    command(page, "Crew", ASKED)
    expect(step(page, "Karen's crew on project: done after")).to_be_visible()
    for name in ("Team: Content Editor", "sent back", "Plan, version 2", "plan: approved"):
        expect(step(page, name)).to_be_visible()
    step(page, "at work, ").click()
    step(page, "timeline generator").click()
    expect(page.get_by_text("Critical: Hall, Open.").last).to_be_visible()
    answer = page.locator(".ai-message", has=page.locator('img[alt="Avatar for Karen"]')).last
    expect(answer.locator("table").last).to_contain_text("hall")
    expect(page.locator(".js-plotly-plot").last).to_contain_text("Hall")
    expect(page.get_by_role("link", name="Launch.svg")).to_be_visible()
    expect(page.get_by_role("button", name="Hand to a crew").last).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    reload(page)
    expect(step(page, "Karen's crew on project: done after")).to_be_visible()
    expect(page.locator(".js-plotly-plot").last).to_contain_text("Hall")


def test_the_plan_waits_for_its_person_who_may_change_it(page, shared_model):
    shared_model.choose(agreeable)
    ask_first(page)
    command(page, "Crew", ASKED)
    expect(page.get_by_text("This is the plan. Shall they start?")).to_be_visible()
    expect(step(page, "waiting for you")).to_be_visible()
    reload(page)
    page.get_by_role("button", name="Edit the plan").click()
    page.get_by_label("The plan, as you want it").fill("Only cakes.")
    page.get_by_role("button", name="Start the work").click()
    expect(page.get_by_text("You approved it with your changes.")).to_be_visible()
    expect(step(page, "done after")).to_be_visible()
    assert "Only cakes." in shared_model.asked[-1]["messages"][-1]["content"]


@ONCE
def test_a_plan_that_is_refused_is_not_worked_on(page, shared_model):
    shared_model.choose(agreeable)
    ask_first(page)
    command(page, "Crew", ASKED)
    page.get_by_role("button", name="Refuse the plan").click()
    expect(page.get_by_text("You said no.")).to_be_visible()
    expect(step(page, "called off")).to_be_visible()
    assert [kind_of(body) for body in shared_model.asked] == ["plan", "review of plan"]


@ONCE
def test_words_of_agents_come_one_by_one_and_the_chat_goes_on_meanwhile(page, shared_model):
    words = " ".join(f"word{number}" for number in range(400))

    def choose(body):
        if kind_of(body).startswith("work of Lead"):
            return Reply(words, pause_seconds=0.1)
        return agreeable(body)

    shared_model.choose(choose)
    command(page, "Crew", ASKED)
    step(page, "Lead Project Planner at work").click()
    expect(page.get_by_text(re.compile("word5"))).to_be_visible()
    expect(page.get_by_text(re.compile("word399"))).not_to_be_visible()
    shared_model.enqueue(Reply("A quick answer."))
    send(page, "How do I get past the gatekeeper?")
    expect(page.get_by_text("A quick answer.")).to_be_visible()
    before = step(page, "Karen's crew on project: at work").inner_text()
    expect(step(page, "Karen's crew on project: at work")).not_to_have_text(before)


@ONCE
def test_a_reload_and_a_second_page_show_a_running_task_where_it_is(page, shared_model):
    seen = threading.Event()

    def choose(body):
        if kind_of(body).startswith("work of Lead"):
            return Reply("word " * 40, hang_after=20, until=seen)
        return agreeable(body)

    shared_model.choose(choose)
    command(page, "Crew", ASKED)
    expect(step(page, "Project Planner at work")).to_be_visible()
    reload(page)
    second = page.context.new_page()
    second.goto(page.url)
    for one in (page, second):
        expect(step(one, "Karen's crew on project: at work")).to_be_visible()
        expect(step(one, "plan: approved")).to_be_visible()
    seen.set()
    for one in (page, second):
        expect(step(one, "Karen's crew on project: done after")).to_be_visible()
        expect(one.locator("[data-step-type='assistant_message']")).to_have_count(1)
        expect(one.get_by_role("button", name=re.compile("^Plan, "))).to_have_count(1)


def test_a_crew_is_called_off_from_the_chat_and_from_the_list_of_tasks(page, shared_model):
    shared_model.always(Reply("never to the end", hang_after=1))
    command(page, "Crew", ASKED)
    page.get_by_role("button", name="Call it off").click()
    expect(step(page, "called off after")).to_be_visible()
    assert shared_model.aborted.wait(5)
    fair = f"the second fair, {page.viewport_size['width']} people"
    command(page, "Crew", f"Karen, plan {fair}")
    page.get_by_role("button", name="All tasks").click()
    task = page.get_by_test_id("task").filter(has_text=fair)
    expect(task).to_contain_text("at work")
    task.get_by_role("button", name="Cancel").click()
    expect(task).to_contain_text("called off")
    page.get_by_role("button", name="At work").click()
    expect(task).not_to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@ONCE
def test_an_answer_is_handed_to_a_crew_of_who_gave_it(page, shared_model):
    send(page, "How do I get past the gatekeeper when cold calling?")
    finished(page)
    shared_model.choose(agreeable)
    page.get_by_role("button", name="Hand to a crew").click()
    expect(step(page, "Karen's crew on sales: done after")).to_be_visible()
    expect(page.get_by_text("The work of Sales").last).to_be_visible()


@ONCE
def test_an_attached_file_is_what_the_crew_works_on(page, shared_model, tmp_path):
    table = tmp_path / "sales.csv"
    table.write_text("month,sales\n1,10\n2,20\n", encoding="utf-8")
    query = {"file": "sales.csv", "sql": "SELECT sum(sales) AS total FROM data"}

    def choose(body):
        if "tools" in body and body["messages"][-1]["role"] != "tool":
            return Reply(tools=[("data_processor", query)])
        return agreeable(body)

    shared_model.choose(choose)
    page.locator("input[type=file]").first.set_input_files(table)
    expect(page.get_by_text("sales.csv").first).to_be_visible()
    command(page, "Crew", "Sophia, add up the figures in the spreadsheet")
    expect(step(page, "Attached: sales.csv")).to_be_visible()
    expect(step(page, "done after")).to_be_visible()
    said = shared_model.asked[-2]["messages"][-1]
    assert (said["role"], "30" in said["content"]) == ("tool", True)
    expect(page.get_by_role("link", name="query result.csv")).to_be_visible()


@ONCE
def test_a_crew_that_fails_says_why(page, shared_model):
    shared_model.always(Reply(status=401))
    command(page, "Crew", ASKED)
    expect(step(page, "Karen's crew on project: failed")).to_be_visible()
    expect(page.get_by_text(re.compile("refuses the key|401")).last).to_be_visible()


@ONCE
def test_a_thumb_on_a_result_counts_for_the_persona(page, shared_model, product):
    shared_model.choose(agreeable)
    command(page, "Crew", ASKED)
    expect(step(page, "done after")).to_be_visible()
    before = thumbs(product)
    page.locator(".positive-feedback-off").last.click()
    page.get_by_role("button", name="Send").click()
    until = time.monotonic() + 15
    while thumbs(product) == before:
        assert time.monotonic() < until


def thumbs(product):
    text = httpx.get(f"{product.url}/metrics", timeout=10).text
    found = re.search(r'orchestra_thumbs\{persona="karen",thumb="up"\} (\S+)', text)
    return float(found[1]) if found else 0.0


@ONCE
def test_a_deleted_conversation_takes_its_crew_and_its_files_with_it(
    page, shared_model, product, tmp_path
):
    shared_model.always(Reply("never to the end", hang_after=1))
    table = tmp_path / "sales.csv"
    table.write_text("month,sales\n1,10\n", encoding="utf-8")
    page.locator("input[type=file]").first.set_input_files(table)
    expect(page.get_by_text("sales.csv").first).to_be_visible()
    command(page, "Crew", ASKED)
    expect(step(page, "at work for")).to_be_visible()
    page.wait_for_url(re.compile("/thread/"))
    thread = page.url.rpartition("/")[2]
    files = f"{product.url}/api/v1/conversations/{thread}/files"
    assert [one["name"] for one in httpx.get(files, timeout=10).json()] == ["sales.csv"]
    page.evaluate(
        """id => fetch("/project/thread", {method: "DELETE", body: JSON.stringify({threadId: id}),
        headers: {"Content-Type": "application/json"}})""",
        thread,
    )
    assert shared_model.aborted.wait(5)
    assert httpx.get(files, timeout=10).json() == []
