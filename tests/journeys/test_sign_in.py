"""With accounts: who comes in, and that everything belongs to its person."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from benchmarks.chat_client import ChatClient
from tests.conftest import ADMIN_TOKEN, clean_env
from tests.doubles.crew_model import agreeable
from tests.doubles.oauth import Provider

PASSWORD = "correct horse battery"
ASK = {"message": "How do I get past the gatekeeper when cold calling?"}


def account(data_dir, command, name):
    done = subprocess.run(
        [sys.executable, "-m", "orchestra", "users", command, name],
        env={**clean_env(), "ORCHESTRA_DATA_DIR": str(data_dir)},
        input=f"{PASSWORD}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def guarded(serve, tmp_path_factory):
    """A product with three accounts; also the key of each."""
    data_dir = tmp_path_factory.mktemp("guarded")
    keys = {name: account(data_dir, "add", name) for name in ("anna", "ben", "carl")}
    with serve(data_dir, ORCHESTRA_AUTHORS="anna, github:carla") as product:
        yield product, keys


def client(product, key=None):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(base_url=product.url, headers=headers, timeout=20)


def test_without_a_key_or_a_session_nothing_is_answered(guarded):
    product, _ = guarded
    with client(product) as http:
        for answer in (
            http.post("/api/v1/chat", json=ASK),
            http.get("/api/v1/memories"),
            http.get("/v1/models"),
            http.get("/api/v1/personas"),
        ):
            assert answer.status_code == 401
    with client(product, "orc-wrong") as http:
        assert http.get("/api/v1/memories").status_code == 401


def test_a_key_acts_for_its_person_and_cannot_name_another(guarded, shared_model):
    shared_model.reset()
    product, keys = guarded
    with client(product, keys["anna"]) as anna, client(product, keys["ben"]) as ben:
        anna.delete("/api/v1/memories")  # of another test
        anna.post("/api/v1/chat", json={**ASK, "user": "ben"})
        assert [one["user"] for one in anna.get("/api/v1/memories").json()] == ["anna"]
        assert ben.get("/api/v1/memories", params={"user": "anna"}).json() == []
    with client(product, ADMIN_TOKEN) as admin:
        assert len(admin.get("/api/v1/memories", params={"user": "anna"}).json()) == 1


def test_a_password_opens_a_session_and_a_wrong_one_does_not(guarded):
    product, _ = guarded
    with client(product) as http:
        config = http.get("/auth/config").json()
        assert (config["requireLogin"], config["passwordAuth"], config["headerAuth"]) == (
            True,
            True,
            False,
        )
        wrong = http.post("/login", data={"username": "ben", "password": "not the password"})
        assert wrong.status_code == 401
        assert http.post("/auth/header").status_code in {400, 401, 404}
        right = http.post("/login", data={"username": "ben", "password": PASSWORD})
        assert right.status_code == 200
        assert http.get("/user").json()["identifier"] == "ben"
        assert http.get("/api/v1/memories").json() == []


def test_guessing_is_stopped_after_five_attempts(guarded):
    product, _ = guarded
    with client(product) as http:
        for _ in range(5):
            http.post("/login", data={"username": "mallory", "password": "guess guess guess"})
        answer = http.post("/login", data={"username": "mallory", "password": PASSWORD})
        assert answer.status_code == 401
    assert "Too many wrong passwords for 'mallory'" in product.log()


@contextmanager
def signed_in(product, name):
    with client(product) as http:
        http.post("/login", data={"username": name, "password": PASSWORD}).raise_for_status()
        yield http


def test_nobody_sees_or_stops_another_persons_task(guarded, shared_model):
    shared_model.reset()
    shared_model.choose(agreeable)
    product, _ = guarded
    asked = {"description": "Plan the fair", "domain": "project", "complexity": "low"}
    with signed_in(product, "anna") as anna, signed_in(product, "ben") as ben:
        task = anna.post("/api/v1/tasks", json={**asked, "user": "ben"}).json()
        address = f"/api/v1/tasks/{task['task_id']}"
        assert task["user"] == "anna"
        assert [one["task_id"] for one in anna.get("/api/v1/tasks").json()] == [task["task_id"]]
        assert ben.get("/api/v1/tasks", params={"user": "anna"}).json() == []
        for answer in (ben.get(address), ben.delete(address), ben.get(f"{address}/events")):
            assert answer.status_code == 404
        assert anna.get(f"{address}/events", timeout=60).status_code == 200
        assert anna.get(address).json()["status"] == "completed"
    with client(product) as stranger:
        assert stranger.post("/api/v1/tasks", json=asked).status_code == 401
        assert stranger.get(address).status_code == 401


def test_only_authors_change_personas_on_the_page(guarded):
    product, _ = guarded
    address = "/api/v1/studio/answers/no-such"
    with signed_in(product, "ben") as ben, signed_in(product, "anna") as anna:
        refused = ben.get(address)
        assert refused.status_code == 403
        assert "adds 'ben' to ORCHESTRA_AUTHORS" in refused.json()["detail"]
        example = {"message": "Why?", "reply": "Because."}
        taught = ben.post("/api/v1/studio/personas/karen/examples", json=example)
        assert taught.status_code == 403
        assert anna.get(address).status_code == 404
    with client(product) as stranger:
        assert stranger.get(address).status_code == 401


async def test_nobody_reads_rates_or_deletes_another_persons_thread(guarded, shared_model):
    shared_model.reset()
    product, _ = guarded
    with signed_in(product, "anna") as anna, signed_in(product, "ben") as ben:
        cookie = "; ".join(f"{name}={value}" for name, value in anna.cookies.items())
        async with ChatClient(product.url, cookie) as chat:
            assert (await chat.ask(ASK["message"])).text
        page = {"pagination": {"first": 5}, "filter": {}}
        (thread,) = anna.post("/project/threads", json=page).json()["data"]
        steps = anna.get(f"/project/thread/{thread['id']}").json()["steps"]
        answer = next(step for step in steps if step["type"] == "assistant_message")
        thumb = {"feedback": {"forId": answer["id"], "value": 1, "comment": "Good."}}

        assert ben.post("/project/threads", json=page).json()["data"] == []
        assert ben.get(f"/project/thread/{thread['id']}").status_code >= 400
        gone = ben.request("DELETE", "/project/thread", json={"threadId": thread["id"]})
        assert gone.status_code >= 400
        assert ben.put("/feedback", json=thumb).status_code == 404

        kept = anna.put("/feedback", json=thumb).json()
        figures = f"/api/v1/personas/{answer['metadata']['persona']}/stats"
        assert anna.get(figures).json()["thumbs_up"] == 1
        steps = anna.get(f"/project/thread/{thread['id']}").json()["steps"]
        assert [step["feedback"]["comment"] for step in steps if step.get("feedback")] == ["Good."]
        taken = {"feedbackId": kept["feedbackId"]}
        assert ben.request("DELETE", "/feedback", json=taken).status_code == 404
        assert anna.request("DELETE", "/feedback", json=taken).json() == {"success": True}
        assert anna.get(figures).json()["thumbs_up"] == 0
    with client(product) as stranger:
        assert stranger.put("/feedback", json=thumb).status_code == 401


async def test_a_page_that_is_open_does_not_outlive_its_account(guarded, shared_model):
    shared_model.reset()
    product, keys = guarded
    with signed_in(product, "carl") as carl:
        cookie = "; ".join(f"{name}={value}" for name, value in carl.cookies.items())
        async with ChatClient(product.url, cookie) as chat:
            assert (await chat.ask(ASK["message"])).text
            account(product.data_dir, "remove", "carl")
            refused = await chat.ask(ASK["message"])
        assert (refused.text, "may no longer come in here" in refused.error) == ("", True)
        assert carl.get("/api/v1/memories").status_code == 401
    with client(product, keys["carl"]) as program:
        assert program.get("/api/v1/memories").status_code == 401


def test_a_stranger_learns_that_it_works_and_nothing_else(guarded):
    product, keys = guarded
    with client(product) as stranger, client(product, keys["anna"]) as anna:
        seen = stranger.get("/readyz").json()
        assert seen["ready"] is True
        assert set(map(str, seen["parts"].values())) == {"{'ok': True}"}
        assert "SQLite" in anna.get("/readyz").json()["parts"]["database"]["detail"]


@pytest.fixture(scope="module")
def provided(serve, tmp_path_factory):
    """A product whose `.env` names an OAuth provider, and who of it may come in."""
    data_dir = tmp_path_factory.mktemp("provided")
    with Provider() as provider:
        settings = {**provider.variables, "ORCHESTRA_OAUTH_ALLOWED": "dora"}
        lines = [f"{name}={value}" for name, value in settings.items()]
        (data_dir / ".env").write_text("\n".join(lines), encoding="utf-8")
        with serve(data_dir) as product:
            yield product


def come_in(http, name):
    """Do what a browser does: to the provider, and back with the code it gives."""
    leaving = http.get("/auth/oauth/github")
    state = parse_qs(urlsplit(leaving.headers["location"]).query)["state"][0]
    return http.get("/auth/oauth/github/callback", params={"code": name, "state": state})


def test_whom_the_provider_knows_and_we_let_in_has_memories_of_their_own(provided):
    with client(provided) as http:
        assert http.get("/api/v1/memories").status_code == 401
        come_in(http, "dora")
        assert http.get("/user").json()["identifier"] == "github:dora"
        http.post("/api/v1/chat", json=ASK)
        assert [one["user"] for one in http.get("/api/v1/memories").json()] == ["github:dora"]


def test_whom_the_provider_knows_and_we_do_not_let_in_stays_outside(provided):
    with client(provided) as http:
        refused = come_in(http, "mallory")
        assert "error" in refused.headers["location"]
        assert http.get("/api/v1/memories").status_code == 401
    assert "Not in ORCHESTRA_OAUTH_ALLOWED: github:mallory" in provided.log()


def test_only_a_providers_answer_may_come_from_another_sites_page(provided):
    callback = "/auth/oauth/azure-ad-hybrid/callback"
    provider = {"origin": "https://login.microsoftonline.com"}
    with client(provided) as http:
        assert http.post(callback, headers=provider).status_code != 403
        assert http.post("/api/v1/chat", json=ASK, headers=provider).status_code == 403
        elsewhere = {"origin": "https://evil.test"}
        assert http.post(callback, headers=elsewhere).status_code == 403
