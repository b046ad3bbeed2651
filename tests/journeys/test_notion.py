"""A product whose personas live in Notion: an edit is heard, an outage is not."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import httpx
import pytest

from benchmarks.chat_client import ChatClient, cookie_of
from tests.conftest import ADMIN, clean_env
from tests.doubles.notion import TOKEN, Fault

pytestmark = pytest.mark.timeout(120)
ASK = {"message": "Is a sample of forty answers enough?", "persona": "sophia"}


@pytest.fixture(scope="module")
def served(notion, serve):
    few = {"ORCHESTRA_PERSONA_TTL_SECONDS": "1", "ORCHESTRA_ADMIN_CHANGES_PER_MINUTE": "3"}
    with serve(**notion.settings, **few) as product:
        yield product


@pytest.fixture
def http(served, notion, shared_model):
    shared_model.reset()
    notion.always(None)
    with httpx.Client(base_url=served.url, timeout=20) as client:
        client.post("/api/v1/personas/reload", headers=ADMIN).raise_for_status()
        yield client


def told(http, shared_model):
    """What the model is told about Sophia, after an answer of hers."""
    http.post("/api/v1/chat", json=ASK).raise_for_status()
    return shared_model.last_turns[0][1]


def test_an_edit_in_notion_is_heard_within_the_ttl_without_a_restart(http, notion, shared_model):
    notion.edit(notion.page_ids["sophia"], Backstory="Sophia counts whales.")
    until = time.monotonic() + 30
    while "counts whales" not in told(http, shared_model):
        assert time.monotonic() < until


def test_an_outage_is_not_heard_and_shows_in_readyz(http, notion, shared_model):
    before = told(http, shared_model)
    notion.always(Fault(hang=True))
    refused = http.post("/api/v1/personas/reload", headers=ADMIN, timeout=30)
    assert refused.status_code == 503
    assert "is silent" in refused.json()["detail"]
    started = time.monotonic()
    assert told(http, shared_model) == before
    assert time.monotonic() - started < 9  # Notion would be waited for longer
    ready = http.get("/readyz")
    assert ready.status_code == 200
    assert "is silent" in ready.json()["personas"]["last_error"]


def test_a_wrong_number_is_listed_and_changes_nobody(http, notion):
    good = http.get("/api/v1/personas/karen").json()
    notion.edit(notion.page_ids["karen"], Humor=80)
    http.post("/api/v1/personas/reload", headers=ADMIN).raise_for_status()
    assert http.get("/api/v1/personas/karen").json() == good
    (problem,) = http.get("/readyz").json()["personas"]["problems"]
    assert problem.startswith("Karen: Humor is 80, but must be a number from 0 to 1")
    notion.edit(notion.page_ids["karen"], Humor=0.8)


def command(notion, tmp_path, *words):
    return subprocess.run(
        [sys.executable, "-m", "orchestra", "personas", *words],
        env={**clean_env(), **notion.settings, "ORCHESTRA_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("http")
def test_the_command_line_reads_the_same_table(notion, tmp_path):
    listed = json.loads(command(notion, tmp_path, "list", "--json").stdout)
    assert [one["id"] for one in listed] == ["cherry", "karen", "sophia"]
    assert listed[0]["source"] == f"Notion {notion.database_id[:8]}…"
    assert command(notion, tmp_path, "check").returncode == 0
    notion.edit(notion.page_ids["cherry"], Role="")
    wrong = command(notion, tmp_path, "check")
    notion.edit(notion.page_ids["cherry"], Role="Queen Bee Orchestrator")
    assert wrong.returncode == 1
    assert "Cherry: Role is empty" in wrong.stdout


@pytest.mark.usefixtures("http")
def test_a_table_that_is_not_named_stops_the_start_with_one_line(notion, tmp_path):
    environment = {**clean_env(), "NOTION_API_KEY": TOKEN, "ORCHESTRA_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "orchestra", "personas", "list"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "NOTION_PERSONAS_DB_ID" in done.stderr


async def test_an_open_conversation_is_told_who_changed(http, served, notion):
    notion.edit(notion.page_ids["sophia"], Formality=0.9)
    http.post("/api/v1/personas/reload", headers=ADMIN).raise_for_status()
    async with ChatClient(served.url, await cookie_of(served.url)) as chat:
        await chat.ask("Is a sample of forty answers enough?")
        notion.edit(notion.page_ids["sophia"], Formality=0.4)
        http.post("/api/v1/personas/reload", headers=ADMIN).raise_for_status()
        await chat.ask("Is a sample of fifty answers enough?")
    steps = http_steps(served)
    assert "Sophia was updated: formality 0.9 to 0.4." in steps
    notion.edit(notion.page_ids["sophia"], Formality=0.9)


def http_steps(served):
    with httpx.Client(base_url=served.url, timeout=20) as client:
        client.post("/auth/header").raise_for_status()
        page = {"pagination": {"first": 1}, "filter": {}}
        (thread,) = client.post("/project/threads", json=page).json()["data"]
        steps = client.get(f"/project/thread/{thread['id']}").json()["steps"]
        return [step["name"] for step in steps]


def test_a_change_that_notion_does_not_take_is_a_503_and_too_many_are_a_429(
    http, served, notion, shared_model
):
    path = "/api/v1/personas/sophia"
    answer = http.get(path)
    headers = {**ADMIN, "If-Match": answer.headers["ETag"]}
    notion.always(Fault(503, "service_unavailable"))
    refused = http.put(path, json=answer.json(), headers=headers)
    assert refused.status_code == 503
    assert "HTTP 503" in refused.json()["detail"]
    assert told(http, shared_model)  # answers go on
    notion.always(Fault(429, "rate_limited", "Slow down.", (("retry-after", "30"),)))
    limited = http.put(path, json=answer.json(), headers=headers)
    assert (limited.status_code, limited.headers["Retry-After"]) == (503, "30")
    notion.always(None)
    put = http.put(path, json={**answer.json(), "role": "Star gazer"}, headers=headers)
    assert put.json()["role"] == "Star gazer"
    row = notion.rows[notion.page_ids["sophia"]]
    assert row["properties"]["Role"]["rich_text"][0]["plain_text"] == "Star gazer"
    waits = http.put(path, json=answer.json(), headers=headers)
    assert waits.status_code == 429
    assert 1 <= int(waits.headers["Retry-After"]) <= 61
    late, early, first = http.get(f"{path}/audit", headers=ADMIN).json()
    assert late["outcome"] == "done"
    assert "HTTP 429" in early["outcome"]
    assert "HTTP 503" in first["outcome"]
    notion.edit(notion.page_ids["sophia"], Role=answer.json()["role"])


def notion_command(notion, data_dir, *words, **more):
    environment = {
        **clean_env(),
        "NOTION_API_KEY": TOKEN,
        "NOTION_BASE_URL": notion.url,
        "NOTION_PARENT_PAGE_ID": notion.parent_page_id,
        "ORCHESTRA_DATA_DIR": str(data_dir),
        **more,
    }
    return subprocess.run(
        [sys.executable, "-m", "orchestra", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("http")
def test_the_table_is_made_checked_pulled_and_pushed_from_the_command_line(notion, tmp_path):
    made = notion_command(notion, tmp_path, "notion", "init")
    assert made.returncode == 0
    line = made.stdout.splitlines()[-1]
    assert line.startswith("NOTION_PERSONAS_DB_ID=")
    table = dict([line.split("=")])
    again = json.loads(notion_command(notion, tmp_path, "notion", "init", "--json").stdout)
    assert again["database_id"] == table["NOTION_PERSONAS_DB_ID"]
    assert (again["created"], again["personas"]) == (False, [])
    check = notion_command(notion, tmp_path, "notion", "check", **table)
    assert check.returncode == 0
    assert "ok   capabilities" in check.stdout
    folder = tmp_path / "files"
    pulled = notion_command(notion, tmp_path, "notion", "pull", "--to", str(folder), **table)
    assert pulled.stdout.splitlines()[0] == "+ cherry: new in files files"
    karen = folder / "karen.md"
    karen.write_text(karen.read_text(encoding="utf-8").replace("humor: 0.8", "humor: 0.1"))
    ours = {**table, "ORCHESTRA_PERSONAS_DIR": str(folder)}
    dry = notion_command(notion, tmp_path, "notion", "push", "--dry-run", **ours)
    assert "~ karen: humor 0.8 to 0.1" in dry.stdout
    assert "Nothing was written" in dry.stdout
    assert "humor 0.8 to 0.1" in notion_command(notion, tmp_path, "notion", "push", **ours).stdout
    done = json.loads(notion_command(notion, tmp_path, "notion", "push", "--json", **ours).stdout)
    assert {one["action"] for one in done["personas"]} == {"keep"}
    history = notion_command(notion, tmp_path, "personas", "history", "karen", **table)
    assert "first seen" in history.stdout
    wrong = notion_command(notion, tmp_path, "notion", "check", **{**table, "NOTION_API_KEY": "x"})
    assert wrong.returncode == 1
    assert "FAIL token" in wrong.stdout


@pytest.mark.parametrize(
    ("words", "settings", "said"),
    [
        (("notion", "check"), {"NOTION_API_KEY": ""}, "NOTION_API_KEY"),
        (("notion", "init"), {"NOTION_PARENT_PAGE_ID": ""}, "NOTION_PARENT_PAGE_ID"),
        (
            ("migrate", "--from", "notion", "--to", "mysql://x"),
            {},
            "--to is an address of another kind",
        ),
        (("schema",), {}, "--sql"),
    ],
)
def test_wrong_use_says_what_is_missing(notion, tmp_path, words, settings, said):
    done = notion_command(notion, tmp_path, *words, **settings)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
