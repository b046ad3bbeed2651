"""Agents that use tools: what the model asks for is done, shown, and given back to it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from orchestra.crews.files import Artifacts
from orchestra.prompts.crew import SMALL
from orchestra.types.task import Answer, File, Request
from orchestra.types.task_events import TaskAsked
from tests.doubles.crew_model import agreeable, verdict
from tests.doubles.llm import Reply
from tests.doubles.notion import filled_notion

PLAN = {"title": "Fair", "start": "2026-05-01"}
ACTIVITIES = [
    {"name": "Book the hall", "days": 3},
    {"name": "Print", "days": 2},
    {"name": "Open", "days": 1, "after": ["Book the hall", "Print"]},
]


async def worked(house, domain="project", description="Plan the fair", **more):
    request = Request(description=description, domain=domain, complexity="low", **more)
    (task,) = await house.runs.submit([await house.intake.task(request)])
    async for _ in house.runs.watch(task.task_id):
        pass
    return await house.runs.get(task.task_id)


def planned(model, *work):
    model.choose(agreeable)
    model.enqueue(Reply("1. do"), verdict(approved=True), *work)


async def test_a_tool_that_the_model_asks_for_is_used_and_answers_it(house, model):
    timeline = ("timeline_generator", {**PLAN, "activities": ACTIVITIES})
    planned(model, Reply(tools=[timeline]), Reply("Open on 4 May."))
    task = await worked(house)
    assert (task.status, task.result) == ("completed", "Open on 4 May.")
    _, _, agent, tool, _ = task.steps
    assert (agent.kind, tool.kind, tool.status) == ("agent", "tool", "done")
    assert (tool.parent_id, tool.who) == (agent.id, "timeline_generator")
    assert "Critical: Book the hall, Open." in tool.output
    offered = {one["function"]["name"] for one in model.asked[2]["tools"]}
    assert {"timeline_generator", "resource_allocator", "task_tracker"} <= offered
    assert "crm" not in offered
    said = model.asked[3]["messages"][-1]
    assert (said["role"], said["tool_call_id"]) == ("tool", "call_0")
    assert "Critical: Book the hall, Open." in said["content"]


async def test_files_that_tools_make_are_kept_with_the_task(house, model):
    timeline = ("timeline_generator", {**PLAN, "activities": ACTIVITIES})
    planned(model, Reply(tools=[timeline]), Reply("Done."))
    task = await worked(house)
    assert [(made.name, made.content_type) for made in task.artifacts] == [
        ("Fair.plotly.json", "application/json;profile=plotly"),
        ("Fair.svg", "image/svg+xml"),
    ]
    chart, picture = [
        (await Artifacts(house.database).get(task.task_id, made.name)).content
        for made in task.artifacts
    ]
    assert len(chart) == task.artifacts[0].size
    assert json.loads(chart)["data"]
    assert picture.decode().count("<rect") == len(ACTIVITIES)


async def test_arguments_that_the_model_made_up_are_told_back_and_shown(house, model):
    wrong = {**PLAN, "colour": "red", "activities": [{"name": "Print", "days": "soon"}]}
    planned(
        model,
        Reply(tools=[("timeline_generator", wrong)]),
        Reply(tools=[("timeline_generator", {**PLAN, "activities": ACTIVITIES})]),
        Reply("Done."),
    )
    task = await worked(house)
    assert task.status == "completed"
    failed, done = [one for one in task.steps if one.kind == "tool"]
    assert (failed.status, done.status) == ("failed", "done")
    assert "activities.0.days" in failed.output
    assert "colour" in failed.output
    assert failed.output in model.asked[3]["messages"][-1]["content"]


async def test_a_tool_that_is_not_there_and_json_that_is_none_end_nothing(house, model):
    planned(
        model,
        Reply(tools=[("launch_rocket", {})]),
        Reply(tools=[("task_tracker", "{not json")]),
        Reply("Done without."),
    )
    task = await worked(house)
    assert (task.status, task.result) == ("completed", "Done without.")


async def test_a_model_that_asks_for_tools_for_ever_has_to_hand_in(house, model):
    model.choose(
        lambda body: (
            Reply(tools=[("task_tracker", {"action": "list"})])
            if body.get("tools")
            else agreeable(body)
        )
    )
    task = await worked(house)
    assert task.status in {"completed", "failed"}
    assert len([one for one in task.steps if one.kind == "tool"]) < 40


def used(tool, /, **arguments):
    return Reply(tools=[(tool, arguments)])


async def test_customers_and_things_to_do_are_kept_for_their_person(house, model):
    planned(
        model,
        used("crm", action="add_contact", name="Ann Baker", company="Bread"),
        used("crm", action="add_deal", name="Ovens", contact="Ann Baker", amount=1200),
        used("crm", action="add_note", contact="Ann Baker", text="Likes rye."),
        Reply("Noted."),
    )
    await worked(house, "sales", user_id="anna")
    planned(model, used("crm", action="find", name="baker"), Reply("Found."))
    found = (await worked(house, "sales", user_id="anna")).steps[3].output
    assert all(one in found for one in ("Bread", "Ovens", "Likes rye."))
    planned(model, used("crm", action="find"), Reply("Nobody."))
    assert "is known" in (await worked(house, "sales", user_id="ben")).steps[3].output


async def test_what_has_to_be_done_is_noted_and_ticked_off(house, model):
    planned(
        model,
        used("task_tracker", action="add", title="Book the hall", owner="Ann", due="2026-05-01"),
        used("task_tracker", action="done", title="Book the hall"),
        used("task_tracker", action="done", title="Fly"),
        Reply("Noted."),
    )
    tools = [one for one in (await worked(house)).steps if one.kind == "tool"]
    assert [one.status for one in tools] == ["done", "done", "failed"]
    assert "| Book the hall | Ann | 2026-05-01 | done |" in tools[1].output
    assert "nothing called 'Fly'" in tools[2].output


async def test_a_tool_that_hangs_is_given_up_and_told(house, model, monkeypatch):
    async def hang(*_):
        await asyncio.sleep(60)

    toolbox = house.runs._worker._workflow._agents._toolbox
    monkeypatch.setattr(toolbox, "_seconds", 0.2)
    tool = toolbox._tools["task_tracker"]
    monkeypatch.setitem(toolbox._tools, "task_tracker", replace(tool, use=hang))
    planned(model, used("task_tracker", action="list"), Reply("Without."))
    task = await worked(house)
    assert "longer than 0.2 seconds and was given up" in task.steps[3].output
    assert task.result == "Without."


async def test_tools_that_fit_come_first_where_the_model_cannot_ask_for_them(house, model):
    house.runs._worker._workflow._agents._room = SMALL
    planned(model, Reply("Done."))
    task = await worked(house)
    tools = [one for one in task.steps if one.kind == "tool"]
    assert [one.who for one in tools] == ["task_tracker"]
    asked = model.asked[2]
    assert "tools" not in asked
    told = asked["messages"][-1]["content"]
    assert "task tracker found:\n<work>\nNothing is to be done.\n</work>" in told


@pytest.fixture
def notion():
    with filled_notion() as server:
        yield server


def connected(notion):
    key = {"notion_api_key": notion.token, "notion_base_url": notion.url}
    return {**key, "persona_store": "files"}


def page_below(notion, **more):
    new = {"parent": notion.parent_page_id, "title": "The fair", "text": "# Dates\n\n4 May"}
    return ("notion_writer", {**new, **more})


async def test_pages_in_notion_are_found_and_read(open_house, model, notion):
    page = notion.page_ids["karen"]
    planned(
        model,
        Reply(tools=[("notion_reader", {"query": "karen"})]),
        Reply(tools=[("notion_reader", {"page": page})]),
        Reply("Read."),
    )
    async with open_house(**connected(notion)) as house:
        task = await worked(house)
    listed, read = [one.output for one in task.steps if one.kind == "tool"]
    assert listed == f"- Karen: {page}"
    assert "an important deadline" in read


async def test_a_page_is_made_in_notion_where_the_caller_allows_it(open_house, model, notion):
    planned(model, Reply(tools=[page_below(notion)]), Reply("Written."))
    async with open_house(**connected(notion)) as house:
        task = await worked(house, writing="yes")
    (made,) = [key for key, row in notion.rows.items() if row["parent"]["type"] == "page_id"]
    assert [one["type"] for one in notion.pages[made]] == ["heading_1", "paragraph"]
    assert task.steps[3].output.startswith("Made 'The fair': https://")


async def test_nothing_is_written_where_nobody_allowed_it(open_house, model, notion):
    planned(model, Reply(tools=[page_below(notion)]), Reply("As a text then."))
    before = len(notion.rows)
    async with open_house(**connected(notion)) as house:
        task = await worked(house)
    assert "may be changed for this task" in task.steps[3].output
    assert (len(notion.rows), task.result) == (before, "As a text then.")


@pytest.mark.parametrize("approved", [True, False])
async def test_the_person_is_asked_before_anything_is_written(open_house, model, notion, approved):
    planned(model, Reply(tools=[page_below(notion)]), Reply("Done."))
    before = len(notion.rows)
    async with open_house(**connected(notion)) as house:
        request = Request(description="x", domain="project", complexity="low", writing="ask")
        (task,) = await house.runs.submit([await house.intake.task(request)])
        async for _, event in house.runs.watch(task.task_id):
            if isinstance(event, TaskAsked):
                assert event.question.text.startswith("May I make the page 'The fair' in Notion")
                assert len(notion.rows) == before
                said = Answer(question_id=event.question.id, approved=approved)
                now = await house.runs.answer(task.task_id, None, said)
                assert now.status == "running"
        over = await house.runs.get(task.task_id)
    assert (over.status, over.question) == ("completed", None)
    assert len(notion.rows) == before + approved
    assert ("said no" in over.steps[3].output) is not approved


async def test_nobody_is_waited_for_without_end(open_house, model, notion, monkeypatch):
    planned(model, Reply(tools=[page_below(notion)]), Reply("Without."))
    async with open_house(**connected(notion)) as house:
        monkeypatch.setattr(house.runs._worker._workflow._agents._toolbox, "_patience_seconds", 0.5)
        task = await worked(house, writing="ask")
    assert "Nobody answered in 0.5 seconds" in task.steps[3].output
    assert (task.status, task.question) == ("completed", None)


async def test_without_a_connection_notion_says_what_to_set(house, model):
    planned(model, Reply(tools=[("notion_reader", {"query": "fair"})]), Reply("Without."))
    task = await worked(house)
    assert "whoever runs this sets NOTION_API_KEY" in task.steps[3].output


async def test_a_refusal_of_notion_is_told_to_the_agent(open_house, model, notion):
    planned(model, Reply(tools=[page_below(notion, parent="0" * 32)]), Reply("Without."))
    async with open_house(**connected(notion)) as house:
        task = await worked(house, writing="yes")
    assert "HTTP 404" in task.steps[3].output
    assert task.steps[3].status == "failed"


async def test_what_was_decided_before_is_found_again_in_a_new_text(house, model):
    decided = "Every stand gets a bell that visitors ring before they speak."
    planned(model, Reply(decided))
    await worked(house, domain="content")
    model.reset()
    copied = f"We begin. {decided.replace('ring', 'shake')}"
    planned(model, Reply(tools=[("plagiarism_detector", {"text": copied})]), Reply("Mine."))
    task = await worked(house, domain="content")
    assert "memory: Plan the fair" in task.steps[3].output


async def test_what_is_not_said_anew_about_a_customer_stays(house, model):
    first = {"action": "add_contact", "name": "Ann", "company": "Acme", "email": "a@example.org"}
    again = {"action": "add_contact", "name": "Ann", "phone": "1"}
    planned(model, Reply(tools=[("crm", first)]), Reply(tools=[("crm", again)]), Reply("Noted."))
    task = await worked(house, domain="sales")
    assert "| Ann | Acme | a@example.org | 1 |" in task.steps[-2].output


async def test_two_results_of_one_name_are_two_files(house, model):
    await house.attachments.put("local", "c", File("query result.csv", "text/csv", b"a\n1\n"))
    query = ("data_processor", {"file": "query result.csv", "sql": "SELECT a + 1 AS a FROM data"})
    planned(model, Reply(tools=[query]), Reply(tools=[query]), Reply("Done."))
    task = await worked(house, domain="data", conversation_id="c")
    assert [one.name for one in task.artifacts] == ["query result 2.csv", "query result 3.csv"]
    assert all("| 2 |" in one.output for one in task.steps if one.kind == "tool")


async def test_a_person_has_one_question_at_a_time(open_house, model, notion):
    pages = [page_below(notion, title=title) for title in ("One", "Two")]
    planned(model, Reply(tools=pages), Reply("Done."))
    asked = []
    async with open_house(**connected(notion)) as house:
        request = Request(description="x", domain="project", complexity="low", writing="ask")
        (task,) = await house.runs.submit([await house.intake.task(request)])
        async for _, event in house.runs.watch(task.task_id):
            if isinstance(event, TaskAsked):
                asked.append(event.question.id)
                now = await house.runs.get(task.task_id)
                assert now.question.id == event.question.id
                said = Answer(question_id=event.question.id, approved=True)
                await house.runs.answer(task.task_id, None, said)
        over = await house.runs.get(task.task_id)
    assert len(asked) == 2
    tools = [one.output for one in over.steps if one.kind == "tool"]
    assert [said[:5] for said in tools] == ["Made "] * 2
