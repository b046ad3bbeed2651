"""Personas changed over HTTP in the live store, as programs and administrators do."""

from __future__ import annotations

import json
import threading

import httpx
import pytest

from tests.conftest import ADMIN

WHICHEVER = {**ADMIN, "If-Match": "*"}
ASK = {"message": "Is a sample of forty answers enough?", "persona": "sophia"}


@pytest.fixture(scope="module")
def served(serve):
    with serve(ORCHESTRA_PERSONA_STORE="sql", ORCHESTRA_ADMIN_CHANGES_PER_MINUTE="1000") as product:
        yield product


@pytest.fixture
def http(served):
    with httpx.Client(base_url=served.url, timeout=20) as client:
        yield client
        for one in ("cherry", "karen", "sophia"):
            client.post(f"/api/v1/personas/{one}/rollback", json={"version": 1}, headers=WHICHEVER)


def read(http, persona_id="sophia"):
    answer = http.get(f"/api/v1/personas/{persona_id}")
    return answer.json(), {**ADMIN, "If-Match": answer.headers["ETag"]}


def test_a_change_is_what_the_next_answer_uses(http, shared_model):
    persona, headers = read(http)
    persona["backstory"] = "Sophia counts whales."
    persona["traits"]["formality"] = 0.4
    put = http.put(
        "/api/v1/personas/sophia", json=persona, headers={**headers, "From": "anna@acme"}
    )
    assert put.status_code == 200
    assert put.json()["traits"]["formality"] == 0.4
    assert put.headers["ETag"] == f'"{put.json()["revision"]}"' != headers["If-Match"]
    http.post("/api/v1/chat", json=ASK).raise_for_status()
    assert "counts whales" in shared_model.last_turns[0][1]
    newest = http.get("/api/v1/personas/sophia/versions").json()[0]
    assert newest["author"] == "anna@acme"
    assert newest["changes"] == ["formality 0.9 to 0.4", "backstory"]
    assert newest["source"] == "SQLite table personas"


def test_a_lost_update_is_refused_and_says_what_is_there(http):
    persona, headers = read(http)
    one = http.put("/api/v1/personas/sophia", json={**persona, "role": "A"}, headers=headers)
    two = http.put("/api/v1/personas/sophia", json={**persona, "role": "B"}, headers=headers)
    assert (one.status_code, two.status_code) == (200, 412)
    assert one.json()["revision"] in two.json()["detail"]
    assert two.headers["content-type"] == "application/problem+json"
    assert read(http)[0]["role"] == "A"


def test_somebody_new_comes_answers_and_goes(http):
    persona, _ = read(http)
    new = {**persona, "id": "zoe", "name": "Zoë", "role": "Poet", "domains": ["poetry"]}
    new["avatar"] = ""
    made = http.post("/api/v1/personas", json=new, headers=ADMIN)
    assert made.status_code == 201
    assert made.headers["Location"] == "/api/v1/personas/zoe"
    assert http.post("/api/v1/personas", json=new, headers=ADMIN).status_code == 409
    asked = http.post("/api/v1/chat", json={"message": "Write four lines.", "persona": "zoe"})
    assert '"persona_name":"Zoë"' in asked.text.replace('": "', '":"')
    gone = http.delete("/api/v1/personas/zoe", headers=WHICHEVER)
    assert (gone.status_code, gone.content) == (204, b"")
    assert http.get("/api/v1/personas/zoe").status_code == 404
    back = http.post("/api/v1/personas/zoe/rollback", json={"version": 1}, headers=WHICHEVER)
    assert back.json()["name"] == "Zoë"
    assert http.delete("/api/v1/personas/zoe", headers=WHICHEVER).status_code == 204
    changes = [one["changes"] for one in http.get("/api/v1/personas/zoe/versions").json()]
    assert changes == [["removed"], ["first seen"], ["removed"], ["first seen"]]


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"traits": {"humor": 2}}, "traits.", ""),
        ({"role": ""}, "role", "must not be empty"),
        ({"backstory": None}, "backstory", ""),
        ({"colour": "red"}, "colour", "not a known field"),
        ({"domains": ["sales"]}, "domains", "already belongs to Karen"),
        ({"accent": "red"}, "accent", ""),
        ({"template": "x" * 20_001}, "template", "too long"),
    ],
)
def test_what_breaks_a_rule_names_the_field_and_changes_nothing(http, change, field, said):
    persona, headers = read(http)
    answer = http.put("/api/v1/personas/sophia", json={**persona, **change}, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["field"].startswith(field)
    assert said in answer.json()["detail"]
    assert read(http)[0] == persona


def test_who_may_not_or_does_not_say_what_is_told_how(http):
    persona, headers = read(http)
    path = "/api/v1/personas/sophia"
    del headers["Authorization"]
    assert http.put(path, json=persona, headers=headers).status_code == 401
    without = http.put(path, json=persona, headers=ADMIN)
    assert without.status_code == 428
    assert "If-Match" in without.json()["detail"]
    assert http.put("/api/v1/personas/nobody", json=persona, headers=WHICHEVER).status_code == 422
    nobody = {**persona, "id": "nobody", "domains": []}
    missing = http.put("/api/v1/personas/nobody", json=nobody, headers=WHICHEVER)
    assert missing.status_code == 404
    assert "Known: cherry, karen, sophia" in missing.json()["detail"]
    assert http.delete("/api/v1/personas/nobody", headers=WHICHEVER).status_code == 404
    wrong = http.post(f"{path}/rollback", json={"version": 99}, headers=WHICHEVER)
    assert wrong.status_code == 404
    assert http.post(f"{path}/rollback", json={}, headers=WHICHEVER).status_code == 422
    assert http.get("/api/v1/personas/nobody/versions").status_code == 404
    assert http.get("/api/v1/personas/nobody/stats").status_code == 404
    assert http.put(path, content=b"[", headers=WHICHEVER).status_code == 422


def test_what_administrators_did_can_be_read_by_them_alone(http):
    persona, headers = read(http)
    http.put("/api/v1/personas/sophia", json={**persona, "role": "A"}, headers=headers)
    http.put("/api/v1/personas/sophia", json={**persona, "role": "B"}, headers=headers)
    assert http.get("/api/v1/personas/sophia/audit").status_code == 401
    late, early, *_ = http.get("/api/v1/personas/sophia/audit", headers=ADMIN).json()
    assert (early["action"], early["outcome"]) == ("replace", "done")
    assert early["before"] == persona["revision"]
    assert early["author"] == "administrator at 127.0.0.1"
    assert "has changed meanwhile" in late["outcome"]


def test_statistics_and_metrics_count_what_happened(http):
    before = http.get("/api/v1/personas/sophia/stats").json()
    http.post("/api/v1/chat", json=ASK).raise_for_status()
    after = http.get("/api/v1/personas/sophia/stats").json()
    assert after["answers_since_start"] == before["answers_since_start"] + 1
    assert after["decisions"] == before["decisions"] + 1
    persona, headers = read(http)
    persona["role"] = "Who is counted"
    http.put("/api/v1/personas/sophia", json=persona, headers=headers).raise_for_status()
    changed = http.get("/api/v1/personas/sophia/stats").json()
    assert changed["versions"] == before["versions"] + 1
    metrics = http.get("/metrics").text
    assert "orchestra_personas_reloads " in metrics
    assert "orchestra_personas_failures " in metrics
    assert "orchestra_personas_age_seconds " in metrics
    assert 'orchestra_personas_reads_total{from="memory"}' in metrics
    assert 'orchestra_thumbs{persona="sophia",thumb="up"}' in metrics


def test_many_who_write_at_once_lose_nothing(http, served):
    persona, headers = read(http)
    codes = []

    def write(number):
        body = {**persona, "role": f"Role {number}"}
        with httpx.Client(base_url=served.url, timeout=30) as client:
            codes.append(
                client.put("/api/v1/personas/sophia", json=body, headers=headers).status_code
            )

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(codes) == [200] + [412] * 7


def test_the_export_can_be_read_without_a_token_and_holds_everybody_whole(http):
    document = http.get("/api/v1/export").json()
    assert document["version"] == "1.0"
    assert document["export_date"].startswith("20")
    first = document["personas"][0]
    assert (first["name"], first["openness"]) == ("Cherry", first["persona"]["traits"]["openness"])
    assert [one["persona"] for one in document["personas"]] == [
        read(http, one)[0] for one in ("cherry", "karen", "sophia")
    ]
    assert document["schema"]["properties"]["traits"]
    assert json.dumps(document)


def test_everybody_has_a_picture(http):
    drawn = http.get("/avatars/Sophia")
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert "Sophia" in drawn.text
    for odd in ("a" * 300, "<script>", "日本", "%20"):
        shown = http.get(f"/avatars/{odd}")
        assert shown.status_code == 200
        assert "<script>" not in shown.text
