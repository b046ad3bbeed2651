"""Authors shape personas on the page, in a real browser."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import expect

from orchestra.lab.kept import METRICS, REPLIES
from orchestra.personas.files import read_persona
from orchestra.settings import ROOT
from orchestra.types.lab import Sample
from tests.doubles.llm import Reply
from tests.journeys.browsing import NEEDS_BROWSER, ONCE, SIZES, finished, opened, reload, send
from tests.unit.test_lab import figures as metrics

pytestmark = [*NEEDS_BROWSER, pytest.mark.timeout(120)]

QUESTION = "How do I sell a lighthouse?"
LIKED = "Sell the view, love, and throw in the lamp!"
WAITS = "It serves once it has passed the lab's examination."
POLISHED = "Sell the view, love, and the lamp comes free!"


@pytest.fixture(scope="module")
def served(serve):
    with serve(ORCHESTRA_PERSONA_STORE="sql", ORCHESTRA_MODEL="scripted") as product:
        yield product


@pytest.fixture
def http(served):
    with httpx.Client(base_url=served.url, timeout=20) as client:
        yield client


@pytest.fixture(params=SIZES)
def page(request, browser, served, shared_model):
    shared_model.reset()
    with opened(browser, served.url, request.param) as page:
        yield page


def test_a_liked_answer_becomes_an_example_that_the_next_answer_knows(page, http, shared_model):
    question = f"{QUESTION} {page.viewport_size['width']}"
    shared_model.always(Reply(LIKED))
    send(page, question)
    finished(page)
    page.get_by_role("button", name="Teach this").click()
    expect(page.get_by_label("Somebody asks")).to_have_value(question)
    expect(page.get_by_label("Karen answers")).to_have_value(LIKED)
    page.get_by_label("Karen answers").fill(POLISHED)
    page.get_by_role("button", name="Teach Karen").press("Enter")
    expect(page.get_by_role("status").filter(has_text="Karen has learned it")).to_be_focused()
    example = {"message": question, "reply": POLISHED}
    assert http.get("/api/v1/personas/karen").json()["examples"][-1] == example
    newest = http.get("/api/v1/personas/karen/versions").json()[0]
    assert newest["note"] == f"learned: {question}"
    assert newest["author"] == "local"
    http.post("/api/v1/chat", json={"message": "And a boat?", "persona": "karen"})
    assert ("assistant", POLISHED) in shared_model.last_turns
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@pytest.fixture(scope="module")
def gated(serve, tmp_path_factory):
    """A product that examines what is published before it serves; nothing passes."""
    baseline = tmp_path_factory.mktemp("baseline")
    some = metrics(0.9, "scripted")
    everybody = {}
    for path in (ROOT / "personas_seed").glob("*.md"):
        told = {"name": path.stem.capitalize(), "wording": read_persona(path).wording}
        everybody[path.stem] = some.per_persona["karen"].model_copy(update=told)
    some = some.model_copy(update={"per_persona": everybody, "asked": ("How?",)})
    reply = Sample(part="first", persona_id="karen", question="How?", place=0, reply="So.")
    (baseline / METRICS).write_text(some.model_dump_json(), encoding="utf-8")
    (baseline / REPLIES).write_text(f"{reply.model_dump_json()}\n", encoding="utf-8")
    settings = {"PERSONA_STORE": "sql", "MODEL": "scripted", "GATE_BASELINE": str(baseline)}
    with serve(**{f"ORCHESTRA_{name}": value for name, value in settings.items()}) as product:
        yield product


@pytest.fixture
def gate(browser, gated, shared_model):
    """A page of that product."""
    shared_model.reset()
    with opened(browser, gated.url) as page:
        yield page


def test_an_answer_after_a_hand_over_is_taught_with_its_own_question(gate):
    for turn, question in enumerate((QUESTION, "Whom do I call about a raft?"), 1):
        send(gate, question)
        expect(gate.get_by_role("button", name="Teach this")).to_have_count(turn)
        finished(gate)
    gate.get_by_role("button", name="Ask Cherry instead").first.click()
    expect(gate.get_by_role("button", name="Teach this")).to_have_count(3)
    finished(gate)
    gate.get_by_role("button", name="Teach this").last.click()
    expect(gate.get_by_label("Cherry answers")).not_to_have_value("")
    expect(gate.get_by_label("Somebody asks")).to_have_value(QUESTION)
    gate.get_by_role("button", name="Teach Cherry").click()
    taught = gate.get_by_label("Teach", exact=True)
    expect(taught.get_by_text(WAITS)).to_be_visible()
    expect(taught.get_by_text("Cherry: revision")).to_be_visible()


def test_what_the_gate_holds_back_is_said_to_wait(gate, gated):
    panel = studio(gate)
    panel.get_by_role("button", name="Sophia", exact=True).click()
    expect(panel.get_by_label("Name", exact=True)).to_have_value("Sophia")
    panel.get_by_label("Backstory").fill("Keeps bees.")
    panel.get_by_role("button", name="Publish Sophia").click()
    published = panel.get_by_role("status").filter(has_text="Sophia is published")
    expect(published).to_contain_text(WAITS)
    expect(panel.get_by_text("Sophia: revision")).to_be_visible()
    with httpx.Client(base_url=gated.url, timeout=20) as http:
        stored = http.get("/api/v1/studio/personas").json()
        serving = http.get("/api/v1/personas/sophia").json()
    assert "sophia" in stored["waiting"]
    assert "karen" not in stored["waiting"]
    assert serving["backstory"] != "Keeps bees."


def studio(page):
    page.click("#chat-input")
    page.keyboard.type("/Studio")
    page.locator("[cmdk-item], .command-item", has_text="Studio").first.wait_for()
    page.keyboard.press("Enter")
    page.keyboard.type("open")
    page.keyboard.press("Enter")
    panel = page.get_by_label("Studio", exact=True)
    expect(panel.get_by_label("Backstory")).to_be_visible()
    return panel


def read(http, persona_id="sophia"):
    answer = http.get(f"/api/v1/studio/personas/{persona_id}")
    return answer.json(), {"If-Match": answer.headers["ETag"]}


def put(http, persona, headers, note=""):
    body = {"persona": persona, "note": note}
    return http.put(f"/api/v1/studio/personas/{persona['id']}", json=body, headers=headers)


def test_a_draft_is_tried_beside_the_present_one_and_published(page, http, shared_model):
    secret = f"Sophia keeps {page.viewport_size['width']} bees."

    def choose(body):
        return Reply(
            "Look at the data: ask the bees."
            if secret in str(body["messages"][0])
            else "It may depend."
        )

    shared_model.choose(choose)
    panel = studio(page)
    panel.get_by_role("button", name="Sophia", exact=True).click()
    expect(panel.get_by_label("Name", exact=True)).to_have_value("Sophia")
    slider = panel.get_by_label("formality")
    slider.press("Home")
    slider.press("ArrowRight")
    expect(panel.locator("output").last).to_have_text("0.05")
    panel.get_by_label("Backstory").fill(secret)
    panel.get_by_label("Try it").fill("What do we do with honey?")
    panel.get_by_role("button", name="Try it").click()
    tried = panel.locator(".orchestra-tried article")
    expect(tried.nth(0)).to_contain_text("It may depend.")
    expect(tried.nth(1)).to_contain_text("Look at the data: ask the bees.")
    expect(panel.get_by_role("button", name="Try it")).to_be_enabled()
    expect(panel.get_by_role("alert")).to_have_count(0)
    assert http.get("/api/v1/personas/sophia").json()["backstory"] != secret
    panel.get_by_label("What changed").fill("bees")
    panel.get_by_role("button", name="Publish Sophia").click()
    published = panel.get_by_role("status").filter(has_text="Sophia is published")
    expect(published).to_contain_text("The next answers follow.")
    expect(published).to_be_in_viewport()
    serving = http.get("/api/v1/personas/sophia").json()
    assert (serving["backstory"], serving["traits"]["formality"]) == (secret, 0.05)
    assert http.get("/api/v1/personas/sophia/versions").json()[0]["note"] == "bees"
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@ONCE
def test_nothing_can_be_typed_that_publishing_would_overwrite(page):
    panel = studio(page)
    panel.get_by_role("button", name="Sophia", exact=True).click()
    expect(panel.get_by_label("Name", exact=True)).to_have_value("Sophia")
    backstory = panel.get_by_label("Backstory")
    backstory.fill(f"Never {page.viewport_size['width']} wide.")

    def publishing(route):
        if route.request.method == "PUT":
            expect(backstory).to_be_disabled()
            expect(panel.get_by_role("button", name="Karen", exact=True)).to_be_disabled()
        route.continue_()

    page.route("**/studio/personas/sophia", publishing)
    panel.get_by_role("button", name="Publish Sophia").click()
    expect(panel.get_by_role("status").filter(has_text="Sophia is published")).to_be_visible()
    expect(backstory).to_be_enabled()


@ONCE
def test_a_keyboard_goes_on_where_it_was_or_from_the_outcome(page):
    """What is pressed is disabled while it works, and would lose the focus to the whole page."""
    panel = studio(page)
    held = []

    def late(route):
        page.wait_for_timeout(300)  # long enough for the page to show what is disabled
        held.append(page.evaluate("document.activeElement.tagName"))
        route.continue_()

    page.route("**/studio/personas/sophia", late)
    sophia = panel.get_by_role("button", name="Sophia", exact=True)
    sophia.press("Enter")
    expect(panel.get_by_label("Name", exact=True)).to_have_value("Sophia")
    expect(sophia).to_be_focused()
    assert held == ["BODY"]
    panel.get_by_role("button", name="Try it").press("Enter")
    expect(panel.locator(".orchestra-tried article").last).not_to_have_text("Your draft…")
    expect(panel.get_by_role("button", name="Try it")).to_be_focused()
    panel.get_by_label("formality").press("End")
    outcome = panel.get_by_role("group", name="Publish", exact=True)
    panel.get_by_role("button", name="Undo all").press("Enter")
    expect(outcome).to_be_focused()
    panel.get_by_label("formality").press("Home")
    panel.get_by_role("button", name="Publish Sophia").press("Enter")
    expect(outcome).to_contain_text("Sophia is published")
    expect(outcome).to_be_focused()


@ONCE
def test_two_authors_lose_nothing_of_each_other(page, http):
    size = page.viewport_size["width"]
    mine, role = f"Mine, {size} wide.", f"Counter of {size} things"
    panel = studio(page)
    panel.get_by_role("button", name="Sophia", exact=True).click()
    expect(panel.get_by_label("Name", exact=True)).to_have_value("Sophia")
    panel.get_by_label("Backstory").fill(mine)
    panel.get_by_label("Role").fill(role)
    persona, headers = read(http)
    theirs = {**persona, "backstory": "Theirs.", "voice": f"slow, {size} times"}
    assert put(http, theirs, headers).status_code == 200
    panel.get_by_role("button", name="Publish Sophia").click()
    expect(panel.get_by_text("Somebody else changed Sophia meanwhile.")).to_be_visible()
    expect(panel.get_by_label("How it talks")).to_have_value(theirs["voice"])
    expect(panel.get_by_label("Role")).to_have_value(role)
    expect(panel.get_by_role("button", name="Publish Sophia")).to_be_disabled()
    panel.get_by_role("group", name="Which Backstory").get_by_role(
        "button", name="Keep yours"
    ).click()
    panel.get_by_role("button", name="Publish Sophia").click()
    expect(panel.get_by_role("status").filter(has_text="Sophia is published")).to_be_visible()
    expect(panel.get_by_text("Somebody else changed")).to_be_hidden()
    merged, _ = read(http)
    assert (merged["backstory"], merged["voice"], merged["role"]) == (mine, theirs["voice"], role)


@ONCE
def test_authors_of_different_numbers_and_examples_do_not_clash(page, http):
    panel = studio(page)
    panel.get_by_role("button", name="Sophia", exact=True).click()
    expect(panel.get_by_label("Name", exact=True)).to_have_value("Sophia")
    panel.get_by_label("humor").press("End")
    panel.get_by_label("openness").press("End")
    panel.get_by_text("Examples (").click()
    panel.get_by_label("Sophia answers, 1", exact=True).fill("Count the otters first.")
    persona, headers = read(http)
    taught = {"message": "How many gulls are there?", "reply": "Some. Count them at dawn."}
    traits = {**persona["traits"], "formality": 0.15, "humor": 0.35}
    theirs = {**persona, "traits": traits, "examples": [*persona["examples"], taught]}
    assert put(http, theirs, headers).status_code == 200
    panel.get_by_role("button", name="Publish Sophia").click()
    clash = panel.get_by_role("group", name="Which humor")
    expect(clash).to_be_in_viewport()
    expect(panel.get_by_role("group", name="Which ")).to_have_count(1)
    expect(clash).to_contain_text("Theirs: 0.35")
    clash.get_by_role("button", name="Take theirs").click()
    panel.get_by_role("button", name="Publish Sophia").click()
    expect(panel.get_by_role("status").filter(has_text="Sophia is published")).to_be_visible()
    merged, _ = read(http)
    assert merged["traits"] == {**traits, "openness": 1}
    first, *rest = persona["examples"]
    mine = {**first, "reply": "Count the otters first."}
    assert merged["examples"] == [mine, *rest, taught]


@ONCE
def test_what_is_not_published_is_there_again_after_a_reload(page):
    panel = studio(page)
    panel.get_by_role("button", name="Karen", exact=True).click()
    expect(panel.get_by_label("Name", exact=True)).to_have_value("Karen")
    before = panel.get_by_label("Backstory").input_value()
    panel.get_by_label("Backstory").fill("Sells kites.")
    panel.get_by_label("What changed").fill("kites")
    reload(page)
    expect(panel.get_by_label("Backstory")).to_have_value("Sells kites.")
    expect(panel.get_by_label("What changed")).to_have_value("kites")
    expect(panel.get_by_text("they are not published")).to_be_visible()
    panel.get_by_role("button", name="Undo all").click()
    expect(panel.get_by_label("Backstory")).to_have_value(before)
    reload(page)
    expect(panel.get_by_label("Name", exact=True)).to_have_value("Cherry")
    expect(panel.get_by_text("they are not published")).to_be_hidden()


@ONCE
def test_a_panel_takes_the_place_of_the_one_before(page):
    studio(page)
    panel = studio(page)
    expect(panel).to_have_count(1)
    send(page, QUESTION)
    finished(page)
    page.get_by_role("button", name="Teach this").click()
    expect(page.get_by_label("Karen answers")).to_be_visible()
    expect(panel).to_have_count(0)
    reload(page)
    expect(page.get_by_label("Karen answers")).to_be_visible()
    expect(panel).to_have_count(0)


@ONCE
def test_what_breaks_a_rule_is_told_in_the_panel_and_over_the_wire(page, http):
    panel = studio(page)
    panel.get_by_label("Backstory").fill("")
    panel.get_by_role("button", name="Publish").click()
    expect(panel.get_by_role("alert")).to_contain_text("backstory")
    persona, headers = read(http)
    high = {**persona, "traits": {**persona["traits"], "humor": 1.5}}
    refused = put(http, high, headers)
    assert refused.status_code == 422
    assert "traits.humor" in refused.json()["detail"]
    assert put(http, persona, {"If-Match": '"000000000000"'}).status_code == 412
    assert http.put("/api/v1/studio/personas/sophia", json={"persona": persona}).status_code == 428
    blank = http.post("/api/v1/studio/try", json={"persona": persona, "message": "  "})
    assert blank.status_code == 422
    assert http.get("/api/v1/studio/personas").json()["problems"] == []


@ONCE
def test_what_cannot_be_taught_says_why_and_changes_nothing(page, http):
    send(page, QUESTION)
    finished(page)
    before = http.get("/api/v1/personas/karen").headers["ETag"]
    page.get_by_role("button", name="Teach this").click()
    expect(page.get_by_role("button", name="Teach Karen")).to_be_enabled()
    page.get_by_label("Karen answers").fill("  ")
    expect(page.get_by_role("button", name="Teach Karen")).to_be_disabled()
    for address, body, status in (
        ("karen", {"message": "Why?", "reply": ""}, 422),
        ("nobody", {"message": "Why?", "reply": "Because."}, 404),
    ):
        answer = http.post(f"/api/v1/studio/personas/{address}/examples", json=body)
        assert answer.status_code == status
    assert http.get("/api/v1/studio/answers/no-such").status_code == 404
    assert http.get("/api/v1/personas/karen").headers["ETag"] == before
