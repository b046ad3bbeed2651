"""The HTTP door of a running product, over the real wire."""

import json
import socket

import httpx
import openai
import pytest

from tests.conftest import ADMIN
from tests.doubles.llm import Reply

COLD_CALL = "How do I get past the gatekeeper when cold calling?"


@pytest.fixture
def http(product):
    with httpx.Client(base_url=product.url, timeout=20) as client:
        yield client


@pytest.fixture
def client(product):
    with openai.OpenAI(base_url=f"{product.url}/v1", api_key="any", max_retries=0) as wire:
        yield wire


def events_of(http, **body):
    found = []
    with http.stream("POST", "/api/v1/chat", json=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        kind = None
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((kind, json.loads(line.removeprefix("data: "))))
    return found


def test_a_chat_streams_its_events(http):
    events = events_of(http, message=COLD_CALL, user="sse")
    assert [kind for kind, _ in events][:3] == ["routed", "recalled", "delta"]
    assert events[-1][0] == "answered"
    assert events[0][1]["route"]["persona_id"] == "karen"
    said = "".join(event["text"] for kind, event in events if kind == "delta")
    assert said == events[-1][1]["answer"] == "Start with the customer. Then decide."


def test_a_model_that_fails_half_way_is_an_error_event_and_not_a_memory(http, shared_model):
    shared_model.always(Reply(cut_after=2))
    events = events_of(http, message=COLD_CALL, user="sse-cut")
    assert events[-1][0] == "error"
    assert events[-1][1]["error"] == "LLMUnavailableError"
    assert http.get("/api/v1/memories", params={"user": "sse-cut"}).json() == []


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"message": ""}, 422, "The message is empty"),
        ({"message": "x" * 20_001}, 422, "at most 20,000"),
        ({"message": "hello", "persona": "zoe"}, 404, "Known: cherry, karen, sophia"),
        ({"message": "hello", "tempo": 1}, 422, "tempo"),
        ({}, 422, "message"),
    ],
)
def test_a_bad_request_is_a_problem_that_says_what_is_wrong(http, body, status, said):
    answer = http.post("/api/v1/chat", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


def test_the_openai_package_gets_a_whole_answer(client):
    answer = client.chat.completions.create(
        model="sophia", user="wire", messages=[{"role": "user", "content": COLD_CALL}]
    )
    assert answer.choices[0].message.content == "Start with the customer. Then decide."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 16
    assert answer.model == "sophia"


def test_a_reply_that_was_cut_is_told_as_such(client, shared_model):
    shared_model.enqueue(Reply("First, you", ends_with="length"))
    answer = client.chat.completions.create(
        model="karen", messages=[{"role": "user", "content": COLD_CALL}]
    )
    assert answer.choices[0].finish_reason == "length"


def test_a_client_that_leaves_stops_the_model(product, shared_model):
    shared_model.always(Reply(" ".join(["word"] * 300), pause_seconds=0.1))
    body = {"model": "karen", "messages": [{"role": "user", "content": COLD_CALL}]}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{product.url}/v1/chat/completions", json=body, timeout=2)
    assert shared_model.aborted.wait(5)


def test_the_openai_package_gets_a_stream(client, shared_model):
    shared_model.enqueue(Reply("one two three four"))
    stream = client.chat.completions.create(
        model="orchestra",
        messages=[{"role": "user", "content": COLD_CALL}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    words = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(words) == "one two three four"
    assert len([word for word in words if word]) == 4
    assert chunks[-1].usage.completion_tokens == 4


def test_the_conversation_and_the_instructions_of_a_client_reach_the_model(client, shared_model):
    client.chat.completions.create(
        model="orchestra",
        messages=[
            {"role": "system", "content": "Answer in French."},
            {"role": "user", "content": "What are the outliers in our sales report?"},
            {"role": "assistant", "content": "Three rows in May."},
            {"role": "user", "content": [{"type": "text", "text": "Draw a chart of these rows"}]},
        ],
    )
    turns = shared_model.last_turns
    assert ("assistant", "Three rows in May.") in turns
    assert "Answer in French." in turns[-1][1]
    assert turns[0][1].startswith("You are Sophia")


def test_the_personas_are_listed_as_models(client):
    assert [one.id for one in client.models.list()] == ["orchestra", "cherry", "karen", "sophia"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=500), openai.InternalServerError),
        (Reply(hang_after=0), openai.InternalServerError),
    ],
)
def test_a_failing_model_gives_an_error_status_never_a_200(
    client, shared_model, reply, error, stream
):
    shared_model.always(reply)
    with pytest.raises(error) as caught:
        client.chat.completions.create(
            model="karen", messages=[{"role": "user", "content": COLD_CALL}], stream=stream
        )
    assert caught.value.status_code == 503
    assert caught.value.body["code"] == "LLMUnavailableError"


def test_a_stream_that_breaks_off_ends_without_done(http, shared_model):
    shared_model.always(Reply(cut_after=2))
    body = {"model": "karen", "stream": True, "messages": [{"role": "user", "content": COLD_CALL}]}
    text = http.post("/v1/chat/completions", json=body).text
    assert "LLMUnavailableError" in text
    assert "[DONE]" not in text


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError, match="orchestra, cherry, karen, sophia"):
        client.chat.completions.create(
            model="gpt-9", messages=[{"role": "user", "content": "hello"}]
        )


def test_a_memory_is_listed_searched_pinned_and_forgotten_by_its_person_only(http):
    memory_id = events_of(http, message=COLD_CALL, user="mia")[-1][1]["memory_id"]
    (listed,) = http.get("/api/v1/memories", params={"user": "mia"}).json()
    assert set(listed) >= {"id", "persona", "user", "task", "decision", "when"}
    assert (listed["id"], listed["persona"], listed["task"]) == (memory_id, "karen", COLD_CALL)
    found = http.get("/api/v1/memories", params={"user": "mia", "q": "gatekeeper on a cold call"})
    assert [one["id"] for one in found.json()] == [memory_id]
    assert http.get("/api/v1/memories", params={"user": "ben", "q": "gatekeeper"}).json() == []
    pinned = http.patch(
        f"/api/v1/memories/{memory_id}", params={"user": "mia"}, json={"pinned": True}
    )
    assert pinned.json() == {"id": memory_id, "pinned": True}
    assert http.delete(f"/api/v1/memories/{memory_id}", params={"user": "ben"}).status_code == 404
    assert http.delete(f"/api/v1/memories/{memory_id}", params={"user": "mia"}).json() == {
        "forgotten": 1
    }
    assert http.get("/api/v1/memories", params={"user": "mia"}).json() == []


def test_personas_can_be_read_and_carry_their_revision(http):
    rows = http.get("/api/v1/personas").json()
    assert [row["id"] for row in rows] == ["cherry", "karen", "sophia"]
    one = http.get("/api/v1/personas/sophia")
    assert one.headers["etag"] == f'"{one.json()["revision"]}"'
    assert one.json()["traits"]["formality"] == 0.9
    assert http.get("/api/v1/personas/zoe").status_code == 404


def test_reloading_personas_is_for_administrators(http):
    assert http.post("/api/v1/personas/reload").status_code == 401
    wrong = {"Authorization": "Bearer not-the-token-at-all"}
    assert http.post("/api/v1/personas/reload", headers=wrong).status_code == 401
    assert len(http.post("/api/v1/personas/reload", headers=ADMIN).json()) == 3


def test_health_readiness_and_figures(http):
    assert http.get("/healthz").json() == {"status": "alive"}
    ready = http.get("/readyz").json()
    assert ready["ready"] is True
    assert set(ready["parts"]) == {
        "personas",
        "database",
        "vectors",
        "model",
        "embeddings",
        "tasks",
    }
    assert ready["personas"]["revision"]
    events_of(http, message=COLD_CALL, user="figures")
    assert 'orchestra_answers_total{domain="sales",persona="karen"}' in http.get("/metrics").text


def test_readiness_says_when_the_model_is_gone(http, shared_model):
    assert http.get("/readyz").json()["parts"]["model"]["detail"].startswith("scripted at http://")


def test_the_documentation_shows_the_api_without_any_other_host(http):
    page = http.get("/docs").text
    assert "swagger-ui-bundle.js" in page
    assert "https://" not in page
    assert http.get("/docs-assets/swagger-ui-bundle.js").status_code == 200
    assert "/api/v1/chat" in http.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize("path", ["/api/nope", "/api/v1/nope", "/v1/nope"])
def test_unknown_api_paths_are_problems_and_not_the_page(http, path):
    answer = http.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_unknown_host_is_refused(http):
    answer = http.get("/healthz", headers={"host": "evil.test"})
    assert answer.status_code == 421
    assert "ORCHESTRA_ALLOWED_HOSTS" in answer.json()["detail"]


def test_a_page_of_another_site_is_refused(http):
    answer = http.post(
        "/api/v1/chat", json={"message": "hello"}, headers={"origin": "http://evil.test"}
    )
    assert answer.status_code == 403


def test_a_request_that_is_too_large_is_refused_announced_or_not(http):
    assert http.post("/api/v1/chat", content=b"x" * 2_000_000).status_code == 413
    stream = (b"x" * 100_000 for _ in range(30))
    answer = http.post("/api/v1/chat", content=stream, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 413, 422}


def test_the_page_may_load_nothing_from_elsewhere(http):
    page = http.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "googleapis" not in page.text
    assert "jsdelivr" not in page.text.lower()


def test_labels_of_personas_are_escaped_style_rules(http):
    css = http.get("/personas.css")
    assert css.headers["content-type"].startswith("text/css")
    assert '--persona-label:"Karen \\b7  Sales and Marketing Orchestrator"' in css.text


def test_a_browser_that_leaves_early_is_no_error(product):
    before = product.log().count("Traceback")
    request = f"GET /logo HTTP/1.1\r\nHost: 127.0.0.1:{product.port}\r\n\r\n".encode()
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", product.port)) as wire:
            wire.sendall(request)
    assert httpx.get(f"{product.url}/healthz").status_code == 200
    assert product.log().count("Traceback") == before


def test_a_server_that_ends_leaves_no_folder_of_uploads(serve, tmp_path):
    with serve(TMPDIR=str(tmp_path)):
        assert list(tmp_path.glob("orchestra-files-*"))
    assert not list(tmp_path.glob("orchestra-files-*"))
