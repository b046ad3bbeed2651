"""Tasks over HTTP: submitted, followed, called off; what is wrong is said at once."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from tests.doubles.crew_model import agreeable, verdict
from tests.doubles.llm import Reply

PLAN = {"description": "Plan the fair", "domain": "project", "complexity": "low"}


@pytest.fixture
def http(product, shared_model):
    shared_model.reset()
    shared_model.choose(agreeable)
    with httpx.Client(base_url=f"{product.url}/api/v1", timeout=60) as client:
        yield client


def followed(http, task_id, **headers):
    """The events of a task until its stream ends: number, name and data of each."""
    found = []
    with http.stream("GET", f"/tasks/{task_id}/events", headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        event = {}
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            if name:
                event[name] = value
            elif event:
                found.append((int(event.get("id", 0)), event["event"], json.loads(event["data"])))
                event = {}
    return found


def test_a_task_is_submitted_followed_and_read(http):
    answer = http.post("/tasks", json=PLAN)
    assert answer.status_code == 202
    task = answer.json()
    assert answer.headers["location"] == f"/api/v1/tasks/{task['task_id']}"
    assert (task["status"], task["orchestrator"], task["user"]) == ("pending", "karen", "local")
    events = followed(http, task["task_id"])
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    names = [name for _, name, _ in events if name != "step_delta"]
    assert names == [
        *("task_started", "team_formed"),
        *("step_started", "step_finished", "planned"),
        *("step_started", "step_finished", "reviewed"),
        *("step_started", "step_finished", "worked"),
        *("step_started", "step_finished", "reviewed"),
        "task_completed",
    ]
    done = http.get(f"/tasks/{task['task_id']}").json()
    assert (done["status"], done["result"]) == ("completed", "The work of Project Planner.")
    assert done["plan_review"]["verdict"]["approved"]
    assert done["final_review"]["verdict"]["approved"]
    assert [one["title"] for one in done["steps"]] == [
        "Plan",
        "Karen reviews the plan",
        "Project Planner at work",
        "Karen reviews the result",
    ]
    assert done["usage"]["completion_tokens"] > 0


def test_a_stream_goes_on_behind_the_last_event_that_was_seen(http):
    task_id = http.post("/tasks", json=PLAN).json()["task_id"]
    whole = followed(http, task_id)
    assert followed(http, task_id, **{"Last-Event-ID": "6"}) == whole[6:]
    assert http.get(f"/tasks/{task_id}/events", headers={"Last-Event-ID": "x"}).status_code == 422


def test_the_same_key_is_the_same_task(http):
    key = {"Idempotency-Key": "fair"}
    first = http.post("/tasks", json=PLAN, headers=key).json()
    assert http.post("/tasks", json=PLAN, headers=key).json()["task_id"] == first["task_id"]
    assert http.post("/tasks", json=PLAN).json()["task_id"] != first["task_id"]


def test_a_batch_is_taken_whole(http):
    batch = [{**PLAN, "description": f"Plan fair {number}", "user": "zoe"} for number in range(3)]
    answer = http.post("/tasks", json=batch)
    assert answer.status_code == 202
    ids = [one["task_id"] for one in answer.json()]
    for task_id in ids:
        followed(http, task_id)
    listed = http.get("/tasks", params={"user": "zoe", "status": "completed"}).json()
    assert {one["task_id"] for one in listed} == set(ids)


def test_a_batch_with_something_wrong_is_not_taken_at_all(http):
    batch = [PLAN, {**PLAN, "domain": "astrology"}, PLAN, {**PLAN, "description": " "}]
    before = http.get("/tasks").json()
    answer = http.post("/tasks", json=[{**one, "user": "yan"} for one in batch])
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    wrong = {one["index"]: one["field"] for one in answer.json()["errors"]}
    assert wrong == {1: "domain", 3: "description"}
    assert "Nothing was taken" in answer.json()["detail"]
    assert http.get("/tasks", params={"user": "yan"}).json() == []
    assert len(http.get("/tasks").json()) == len(before)


@pytest.mark.parametrize(
    ("wrong", "field", "told"),
    [
        ({"domain": "astrology"}, "domain", "Known: general, sales"),
        ({"complexity": "huge"}, "complexity", "Known: low, medium, high"),
        ({"description": ""}, "description", "is empty"),
        ({"description": "x" * 100_000}, "description", "at most 20,000"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_field(http, wrong, field, told):
    answer = http.post("/tasks", json={**PLAN, **wrong})
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert told in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", [[], {}, {**PLAN, "colour": "red"}, [{**PLAN, "user": "a"}, {**PLAN, "user": "b"}]]
)
def test_what_is_no_task_is_refused(http, body):
    assert http.post("/tasks", json=body).status_code == 422


def test_nobody_knows_a_task_that_is_not_there(http):
    for answer in (http.get("/tasks/x"), http.delete("/tasks/x"), http.get("/tasks/x/events")):
        assert answer.status_code == 404
        assert "no task 'x'" in answer.json()["detail"]
    assert http.post("/tasks", json={**PLAN, "persona": "zoe"}).status_code == 404


def test_a_page_leads_to_the_next(http):
    batch = [{**PLAN, "description": f"Plan fair {number}", "user": "pat"} for number in range(5)]
    for one in http.post("/tasks", json=batch).json():
        followed(http, one["task_id"])
    first = http.get("/tasks", params={"user": "pat", "limit": 3})
    second = http.get(first.links["next"]["url"])
    told = [one["description"] for one in (*first.json(), *second.json())]
    assert sorted(told) == [f"Plan fair {number}" for number in range(5)]
    assert "next" not in second.links
    assert http.get("/tasks", params={"cursor": "x"}).status_code == 422


def test_cancel_aborts_the_model_within_a_second(http, shared_model):
    shared_model.choose(lambda _: Reply("never to the end", hang_after=1))
    task_id = http.post("/tasks", json=PLAN).json()["task_id"]
    until = time.monotonic() + 20
    while http.get(f"/tasks/{task_id}").json()["status"] == "pending":
        assert time.monotonic() < until
    with http.stream("GET", f"/tasks/{task_id}/events") as stream:
        for line in stream.iter_lines():
            if line == "event: step_delta":
                break
    assert http.delete(f"/tasks/{task_id}").json()["status"] == "cancelled"
    assert shared_model.aborted.wait(5)
    assert followed(http, task_id)[-1][1] == "task_cancelled"


def test_a_quiet_stream_shows_that_it_lives(http, shared_model):
    shared_model.choose(lambda _: Reply("never", hang_after=0))
    task_id = http.post("/tasks", json=PLAN).json()["task_id"]
    with http.stream("GET", f"/tasks/{task_id}/events") as stream:
        lines = stream.iter_lines()
        while next(lines) != "event: heartbeat":
            pass
        assert next(lines) == "data: {}"
    http.delete(f"/tasks/{task_id}")


def test_a_file_that_a_tool_made_can_be_fetched(http, shared_model):
    draft = {"to": ["ann@example.org"], "subject": "The fair", "body": "Come!"}
    shared_model.enqueue(
        Reply("1. do"),
        verdict(approved=True),
        Reply(tools=[("email_generator", draft)]),
        Reply("Drafted."),
    )
    task_id = http.post("/tasks", json={**PLAN, "domain": "sales"}).json()["task_id"]
    assert "artifact_made" in [name for _, name, _ in followed(http, task_id)]
    (made,) = http.get(f"/tasks/{task_id}").json()["artifacts"]
    assert (made["name"], made["content_type"]) == ("The fair.eml", "message/rfc822")
    file = http.get(f"/tasks/{task_id}/artifacts/{made['name']}")
    assert file.headers["content-type"].startswith("message/rfc822")
    assert file.headers["content-disposition"] == "attachment; filename*=UTF-8''The%20fair.eml"
    assert len(file.content) == made["size"]
    assert b"Subject: The fair" in file.content
    assert http.get(f"/tasks/{task_id}/artifacts/other").status_code == 404


def test_a_plan_is_answered_before_the_work_starts(http):
    task_id = http.post("/tasks", json={**PLAN, "asks_first": True}).json()["task_id"]
    while (task := http.get(f"/tasks/{task_id}").json())["status"] != "waiting":
        assert task["status"] in {"pending", "running"}
    assert task["question"] == {"id": "plan", "about": "plan", "text": "The plan."}
    said = {"question_id": "plan", "approved": True, "text": "Only cakes."}
    assert http.post(f"/tasks/{task_id}/answer", json=said).json()["status"] == "pending"
    assert followed(http, task_id)[-1][1] == "task_completed"
    assert http.get(f"/tasks/{task_id}").json()["plan"] == "Only cakes."
    again = http.post(f"/tasks/{task_id}/answer", json=said)
    assert (again.status_code, "no question 'plan'" in again.json()["detail"]) == (409, True)
    assert http.post("/tasks/none/answer", json=said).status_code == 404


def test_files_are_attached_to_a_conversation_for_its_crews(http):
    files = "/conversations/c%201/files"
    csv = {"content-type": "text/csv"}
    answer = http.put(f"{files}/sales.csv", content=b"a,b\n1,2\n", headers=csv)
    shown = {"name": "sales.csv", "content_type": "text/csv", "size": 8}
    assert (answer.status_code, answer.json()) == (201, shown)
    assert http.get(files).json() == [shown]
    task = http.post("/tasks", json={**PLAN, "conversation": "c 1"}).json()
    assert task["files"] == ["sales.csv"]
    assert http.delete(f"{files}/sales.csv").status_code == 204
    assert http.delete(f"{files}/sales.csv").status_code == 404
    assert http.put(f"{files}/large", content=bytes(20_000_001)).status_code == 422
    assert http.put(f"{files}/larger", content=bytes(21_000_000)).status_code == 413
    assert http.post("/tasks", content=bytes(2_000_000)).status_code == 413


def test_what_tasks_take_is_counted(http, product):
    def figure(name):
        text = httpx.get(f"{product.url}/metrics", timeout=10).text
        return next((float(line.split()[-1]) for line in text.splitlines() if name in line), 0.0)

    names = (
        'orchestra_task_seconds_count{status="completed"}',
        'orchestra_task_step_seconds_count{kind="review",ok="true"}',
        "orchestra_task_model_calls_sum",
        'orchestra_tasks{status="completed"}',
    )
    unfinished = {"status": ["pending", "running"]}
    while http.get("/tasks", params=unfinished).json():  # of the tests before
        pass
    before = [figure(name) for name in names]
    tokens = figure('orchestra_task_tokens_sum{kind="completion"}')
    followed(http, http.post("/tasks", json=PLAN).json()["task_id"])
    after = [figure(name) for name in names]
    assert [now - then for then, now in zip(before, after, strict=True)] == [1, 2, 4, 1]
    assert figure('orchestra_task_tokens_sum{kind="completion"}') > tokens
