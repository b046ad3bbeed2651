"""The lab and the round table by API, over the real wire."""

from __future__ import annotations

import csv
import json

import httpx
import pytest

from tests.doubles.everybody import saying
from tests.doubles.llm import Reply

pytestmark = pytest.mark.timeout(120)

SAID = {"Cherry": "Decide first.", "Karen": "Call them!", "Sophia": "It may depend."}


@pytest.fixture
def http(product):
    with httpx.Client(base_url=f"{product.url}/api/v1", timeout=30) as client:
        yield client


def events_of(http, path, **body):
    found, kind = [], ""
    with http.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((kind, json.loads(line.removeprefix("data: "))))
    return found


def test_answers_are_compared_and_voted_on_once(http, shared_model):
    shared_model.choose(saying(SAID, failing="Sophia"))
    events = events_of(http, "/lab/compare", message="Shall we?")
    kinds = [kind for kind, _ in events]
    assert kinds[0] == kinds[-1] == "comparison"
    assert set(kinds[1:-1]) == {"columntext", "columnover"}
    last = events[-1][1]
    replies = {one["key"]: one["reply"] for one in last["columns"]}
    assert replies == {"cherry": "Decide first.", "karen": "Call them!", "sophia": ""}
    address = f"/lab/comparisons/{last['id']}"
    assert http.post(f"{address}/vote", json={"best": "sophia"}).status_code == 404
    assert http.post(f"{address}/vote", json={"best": "karen"}).status_code == 204
    again = http.post(f"{address}/vote", json={"best": "cherry"})
    assert again.status_code == 409
    assert "the first vote counts" in again.json()["detail"]
    assert http.get(address).json()["vote"] == "karen"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"message": ""}, 422, "message"),
        ({"message": "  "}, 422, "1 to 2,000 characters"),
        ({"message": "Shall we?", "personas": ["nobody"]}, 404, "nobody"),
    ],
)
def test_what_cannot_be_compared_is_a_problem_and_no_stream(http, body, status, said):
    answer = http.post("/lab/compare", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.text


def test_guesses_are_taken_once_and_exported(http, shared_model):
    shared_model.always(Reply("I would look at the figures."))
    tester = {"user": "a tester"}
    trial = http.post("/lab/blind", params=tester).json()
    assert http.post("/lab/blind", params=tester).json() == trial
    address = f"/lab/blind/{trial['id']}/guess"
    guessed = http.post(address, params=tester, json={"persona": "karen"})
    assert guessed.json()["truth"] in {"cherry", "karen", "sophia"}
    assert http.post(address, params=tester, json={"persona": "karen"}).status_code == 409
    stale = http.post("/lab/blind/no-such/guess", params=tester, json={"persona": "karen"})
    assert stale.status_code == 404
    rows = list(csv.DictReader(http.get("/lab/blind/export", params=tester).text.splitlines()))
    assert [(row["question"], row["guess"]) for row in rows] == [(trial["question"], "karen")]


def test_a_round_table_streams_its_seats(http, shared_model):
    shared_model.choose(saying(SAID, failing="Sophia"))
    events = events_of(http, "/roundtable", message="Should we sell our pottery online?")
    seats = [(data["persona_id"], data["task"]) for kind, data in events if kind == "seat"]
    assert seats == [("karen", "opens"), ("sophia", "answers"), ("cherry", "decides")]
    assert [data["persona_id"] for kind, data in events if kind == "seatempty"] == ["sophia"]
    assert events[-1][0] == "answered"
    assert events[-1][1]["answer"] == "Decide first."
    assert http.post("/roundtable", json={"message": ""}).status_code == 422
