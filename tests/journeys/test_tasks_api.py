"""Tasks over HTTP: submitted, followed, called off; what is wrong is said at once."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from tests.doubles.crew_model import agreeable
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
