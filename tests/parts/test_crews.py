"""The journey of a task, on real crewai, DBOS and databases, and a scripted model on the wire."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import aclosing

import pytest

from orchestra.crews.records import TaskRecords
from orchestra.database import now
from orchestra.errors import (
    FileRefusedError,
    PersonaNotFoundError,
    StorageError,
    TaskInvalidError,
    TaskLostError,
    TaskNotAskingError,
    TaskNotFoundError,
)
from orchestra.types.task import Answer, File, Request, Task
from orchestra.types.task_events import Planned, StepDelta, TaskAsked
from tests.doubles.crew_model import agreeable, kind_of, verdict
from tests.doubles.llm import Reply

PLAN = "Draft a launch plan for a bakery"


async def assigned(house, description=PLAN, domain="project", complexity="low", **more):
    request = Request(description=description, domain=domain, complexity=complexity, **more)
    return await house.intake.task(request)


async def begun(house, **more):
    (task,) = await house.runs.submit([await assigned(house, **more)])
    return task.task_id


async def done(house, task_id):
    async for _ in house.runs.watch(task_id):
        pass
    return await house.runs.get(task_id)


async def words_of(house, task_id, beginning=""):
    """Wait until these words are being written."""
    async with aclosing(house.runs.watch(task_id)) as events:
        async for _, event in events:
            if isinstance(event, StepDelta) and event.text.startswith(beginning):
                return


async def worked(house, **more):
    return await done(house, await begun(house, **more))


def new_task(**more):
    asked = {"description": PLAN, "domain": "project", "complexity": "low"}
    who = {"task_id": "t", "orchestrator": "karen", "created_at": now()}
    return Task(**asked, **who, **more)


def asked_for(model):
    return [kind_of(body) for body in model.asked]


def last_words(body):
    return body["messages"][-1]["content"]


async def test_a_crew_plans_works_and_is_reviewed(house, model):
    model.choose(agreeable)
    task = await worked(house, complexity="high")
    assert asked_for(model) == [
        "plan",
        "review of plan",
        "work of Senior Project Planner",
        "work of Content Editor, Support",
        "work of Lead Project Planner",
        "review of result",
    ]
    assert (task.status, task.error) == ("completed", None)
    assert task.plan == "The plan."
    assert task.result == "The work of Lead Project Planner."
    assert task.plan_review.verdict.approved
    assert task.final_review.verdict.approved
    assert [one.status for one in task.steps] == ["done"] * 6
    assert task.model_calls == 6
    assert task.usage.completion_tokens > 6
    assert all(step.finished_at >= step.started_at for step in task.steps)


async def test_each_agent_knows_the_plan_the_work_before_and_whose_crew_it_is(house, model):
    model.choose(agreeable)
    await worked(house, complexity="high")
    _, judge, _, support, lead, final = model.asked
    assert "The plan." in last_words(support)
    assert "The work of Senior Project Planner." in last_words(support)
    assert "The work of Content Editor, Support." in last_words(lead)
    assert "The work of Lead Project Planner." in last_words(final)
    assert "Karen" in lead["messages"][0]["content"]
    assert judge["messages"][0]["content"].startswith("You are Karen")
    assert f"<message>\n{PLAN}\n</message>" in last_words(judge)


async def test_a_plan_that_is_sent_back_is_written_anew_with_the_reasons(house, model):
    model.enqueue(
        Reply("Just do it."),
        verdict(approved=False, reasons="Name the dates."),
        Reply("1. May: open."),
        verdict(approved=True),
    )
    model.choose(agreeable)
    task = await worked(house)
    again = last_words(model.asked[2])
    assert "Just do it." in again
    assert "Name the dates." in again
    assert task.plan == "1. May: open."
    assert [one.verdict.approved for one in task.reviews] == [False, True, True]


async def test_a_persona_that_is_never_content_is_asked_three_times(house, model):
    def contrary(body):
        if kind_of(body).startswith("review"):
            return verdict(approved=False, reasons="Not yet.")
        return agreeable(body)

    model.choose(contrary)
    task = await worked(house)
    assert asked_for(model) == [
        *["plan", "review of plan"] * 3,
        *["work of Project Planner", "review of result"] * 3,
    ]
    assert task.status == "completed"
    assert not task.final_review.verdict.approved
    assert task.final_review.is_last
    assert task.notes == ("Karen would still have it different: Not yet.",)


async def test_what_was_decided_is_remembered_once(house, model):
    model.choose(agreeable)
    await worked(house, user_id="anna")
    (memory,) = await house.memory.newest("anna", persona_id="karen", limit=5)
    assert (memory.task, memory.decision) == (PLAN, "The work of Project Planner.")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Reply(status=401), "Check OPENAI_API_KEY"),
        (Reply(text=""), "empty reply"),
    ],
)
async def test_a_model_that_will_not_answer_fails_the_task_in_words(
    house, model, monkeypatch, fault, told
):
    monkeypatch.setattr("orchestra.crews.listening.PAUSE_SECONDS", 0.01)
    model.always(fault)
    task = await worked(house)
    assert task.status == "failed"
    assert told in task.error
    assert task.result is None
    assert [one.status for one in task.steps] == ["failed"]


async def test_an_agent_whose_model_fails_fails_the_task_in_the_same_words(house, model):
    model.enqueue(Reply("1. do"), verdict(approved=True), Reply(status=401))
    task = await worked(house)
    assert "Check OPENAI_API_KEY" in task.error
    assert [one.status for one in task.steps] == ["done", "done", "failed"]


async def test_passing_faults_are_not_heard(house, model, monkeypatch):
    monkeypatch.setattr("orchestra.crews.listening.PAUSE_SECONDS", 0.01)
    model.enqueue(
        Reply("1. do this", cut_after=2),
        Reply("1. do that"),
        Reply("I think it is fine."),
        verdict(approved=True),
        Reply("The result is", cut_after=1),
        Reply(text=""),
        Reply("The result."),
        Reply('Sure:\n```json\n{"approved": true, "reasons": "Good."}\n```'),
    )
    task = await worked(house)
    assert (task.status, task.plan, task.result) == ("completed", "1. do that", "The result.")
    assert task.final_review.verdict.reasons == "Good."
    assert task.model_calls == 8
    events = [event async for _, event in house.runs.watch(task.task_id)]
    again = [one for one in events if isinstance(one, StepDelta) and one.anew]
    assert again[0].text.startswith("1.")


async def test_cancel_aborts_the_request_to_the_model(house, model):
    model.always(Reply("never to the end", hang_after=1))
    task_id = await begun(house)
    await words_of(house, task_id)
    asked = time.monotonic()
    task = await house.runs.cancel(task_id)
    assert task.status == "cancelled"
    assert await asyncio.to_thread(model.aborted.wait, 5), time.monotonic() - asked
    assert (await done(house, task_id)).status == "cancelled"
    assert (await house.runs.cancel(task_id)).status == "cancelled"


async def test_cancel_reaches_an_agent_too(house, model):
    model.enqueue(Reply("1. do"), verdict(approved=True), Reply("Half of it", hang_after=1))
    task_id = await begun(house)
    await words_of(house, task_id, "Half")
    await house.runs.cancel(task_id)
    assert await asyncio.to_thread(model.aborted.wait, 5)
    task = await house.runs.get(task_id)
    assert [one.status for one in task.steps] == ["done", "done", "interrupted"]


async def test_a_task_that_waits_can_be_called_off_and_is_never_begun(open_house, model):
    async with open_house(crews_at_once=1) as house:
        model.always(Reply("never", hang_after=0))
        first, second = await begun(house), await begun(house)
        await house.runs.cancel(second)
        await house.runs.cancel(first)
        assert (await done(house, second)).steps == ()


async def test_a_step_that_takes_too_long_fails_and_says_which(open_house, model):
    async with open_house(crew_step_seconds=0.3) as house:
        model.always(Reply("never", hang_after=0))
        task = await worked(house)
    assert task.error == "'plan 1' took longer than 0.3 seconds."


async def test_a_task_that_takes_too_long_fails(open_house, model):
    async with open_house(crew_task_seconds=0.3) as house:
        model.always(Reply("never", hang_after=0))
        task = await worked(house)
    assert task.error == "It took longer than 0.3 seconds."


async def test_a_task_is_taken_at_once_not_when_the_queue_is_looked_into_next(
    open_house, model, monkeypatch
):
    monkeypatch.setattr("orchestra.crews.durable._POLL_SECONDS", 600)
    model.choose(agreeable)
    async with open_house() as house:
        assert (await worked(house)).status == "completed"
        task = await asked_first(house)
        await house.runs.answer(task.task_id, None, answer(approved=True))
        assert (await done(house, task.task_id)).status == "completed"


async def test_one_person_does_not_take_all_the_room(open_house, model):
    limits = {"crews_at_once": 3, "crews_at_once_per_person": 2, "model_timeout_seconds": 60}
    async with open_house(**limits) as house:
        model.always(Reply("never", hang_after=0))
        for _ in range(4):
            await begun(house, user_id="anna")
        until = time.monotonic() + 20
        while len(model.asked) < 2:
            assert time.monotonic() < until
            await asyncio.sleep(0.05)
        model.choose(agreeable)
        task = await worked(house, user_id="ben")
        assert task.status == "completed"
        statuses = [one.status for one in await house.runs.page("anna")]
        assert sorted(statuses) == ["pending", "pending", "running", "running"]


async def test_two_runs_never_mix(house, model):
    def echo(body):
        if kind_of(body).startswith("review"):
            return verdict(approved=True)
        number = last_words(body).split("number ")[1].split()[0]
        return Reply(f"It is {number}.", pause_seconds=0.01)

    model.choose(echo)
    ids = [
        await begun(house, description=f"Do number {n} now", user_id=f"person {n}")
        for n in range(6)
    ]
    for n, task_id in enumerate(ids):
        task = await done(house, task_id)
        assert (task.result, task.plan) == (f"It is {n}.", f"It is {n}.")
        said = "".join(
            [
                event.text
                async for _, event in house.runs.watch(task_id)
                if isinstance(event, StepDelta)
            ]
        )
        assert said == f"It is {n}." * 2


async def test_watching_goes_on_behind_what_is_known(house, model):
    model.choose(agreeable)
    task_id = await begun(house)
    whole = [one async for one in house.runs.watch(task_id)]
    assert [number for number, _ in whole] == list(range(1, len(whole) + 1))
    rest = [one async for one in house.runs.watch(task_id, behind=5)]
    assert rest == whole[5:]
    assert [one async for one in house.runs.watch(task_id, behind=len(whole))] == []


async def test_the_same_request_again_is_the_same_task(house, model):
    model.choose(agreeable)
    asked = [await assigned(house), await assigned(house, description="Another one")]
    first = await house.runs.submit(asked, request_key="k")
    again = await house.runs.submit(asked, request_key="k")
    assert [one.task_id for one in first] == [one.task_id for one in again]
    other = await house.runs.submit([await assigned(house, user_id="ben")], request_key="k")
    assert other[0].task_id not in {one.task_id for one in first}
    for one in (*first, *other):
        await done(house, one.task_id)


async def test_tasks_are_listed_by_person_and_page(house, model):
    model.choose(agreeable)
    ids = [await begun(house, description=f"Task {n}", user_id="anna") for n in range(5)]
    other = await begun(house, user_id="ben")
    for one in (*ids, other):
        await done(house, one)
    first = await house.runs.page("anna", limit=2)
    second = await house.runs.page("anna", limit=9, before=first[-1].task_id)
    assert [one.task_id for one in (*first, *second)] == ids[::-1]
    assert len(await house.runs.page(None, ["completed"])) == 6
    with pytest.raises(TaskInvalidError, match="cursor"):
        await house.runs.page("anna", before=other)
    with pytest.raises(TaskNotFoundError):
        await house.runs.get(ids[0], "ben")
    with pytest.raises(TaskNotFoundError):
        await house.runs.cancel(ids[0], "ben")


async def test_the_subject_is_found_out_and_so_is_who_leads(house):
    request = Request(description="How do I get past the gatekeeper when cold calling?")
    asked = await house.intake.task(request)
    assert (asked.domain, asked.orchestrator, asked.complexity) == ("sales", "karen", "low")
    assert asked.complexity_reason.startswith("estimated as low")
    led = await house.intake.task(request.model_copy(update={"persona_id": "sophia"}))
    assert led.orchestrator == "sophia"


@pytest.mark.parametrize(
    ("wrong", "field", "told"),
    [
        ({"description": " \n"}, "description", "is empty"),
        ({"description": "x" * 100_000}, "description", "100,000 characters; at most 20,000"),
        ({"domain": "astrology"}, "domain", "Known: general, sales, .*research"),
        ({"complexity": "huge"}, "complexity", "Known: low, medium, high"),
    ],
)
async def test_a_request_that_breaks_a_rule_is_refused_in_words(house, wrong, field, told):
    request = Request(**{"description": PLAN, **wrong})
    with pytest.raises(TaskInvalidError, match=told) as caught:
        await house.intake.task(request)
    assert caught.value.field == field


async def test_a_persona_that_does_not_exist_leads_nobody(house):
    with pytest.raises(PersonaNotFoundError, match="Known: cherry, karen, sophia"):
        await house.intake.task(Request(description=PLAN, persona_id="zoe"))


async def test_what_is_long_over_is_removed(open_house, model):
    async with open_house() as house:
        model.choose(agreeable)
        task = await worked(house)
    async with open_house(task_keep_days=1e-9) as house:
        await house.runs.open()
        until = time.monotonic() + 10
        while await house.runs.page():
            assert time.monotonic() < until
            await asyncio.sleep(0.05)
        with pytest.raises(TaskNotFoundError):
            await house.runs.get(task.task_id)


async def test_a_house_that_closes_in_the_middle_goes_on_at_the_next_opening(open_house, model):
    model.choose(agreeable)
    async with open_house() as house:
        model.enqueue(Reply("1. do"), verdict(approved=True), Reply("Half of it", hang_after=1))
        task_id = await begun(house)
        await words_of(house, task_id, "Half")
    async with open_house() as house:
        await house.runs.open()
        task = await done(house, task_id)
    assert (task.status, task.starts, task.crashes) == ("completed", 2, 0)
    assert asked_for(model).count("plan") == 1
    assert asked_for(model).count("work of Project Planner") == 2
    assert [one.status for one in task.steps] == ["done", "done", "interrupted", "done", "done"]
    assert len(task.reviews) == 2
    assert json.loads(task.model_dump_json())["plan"] == "1. do"


async def test_tasks_that_the_queue_does_not_know_are_given_to_it(open_house, model, tmp_path):
    model.choose(agreeable)
    async with open_house() as house:
        model.enqueue(Reply("Half of it", hang_after=1))
        begun_there, waiting = await begun(house), await begun(house)
        await words_of(house, begun_there)
    (tmp_path / "data" / "runs.db").unlink()  # as after a move to another database
    async with open_house() as house:
        await house.runs.open()
        tasks = [await done(house, one) for one in (begun_there, waiting)]
    assert [one.status for one in tasks] == ["completed", "completed"]


async def test_a_task_that_another_worker_took_is_left_alone(house, model):
    model.always(Reply("never to the end", hang_after=1))
    task_id = await begun(house)
    await words_of(house, task_id)
    records = TaskRecords(house.database)
    assert (await records.begin(task_id, "other")).starts == 2
    assert await asyncio.to_thread(model.aborted.wait, 5)
    task = await house.runs.get(task_id)
    assert (task.status, task.worker) == ("running", "other")
    with pytest.raises(TaskLostError, match="no longer this worker's"):
        await records.append(task_id, "me", [StepDelta(at=now(), step_id="s", text="x")])
    await house.runs.cancel(task_id)


async def test_a_worker_that_crashed_too_often_is_not_followed_by_another(house, model):
    model.choose(agreeable)
    (task,) = await TaskRecords(house.database).add([new_task(status="running", crashes=4)])
    await house.runs.open()
    task = await done(house, task.task_id)
    assert task.status == "failed"
    assert task.error == "5 workers died in the middle of it; no further one tries."


async def test_fewer_in_all_than_in_one_process_is_no_trouble(open_house, model):
    model.choose(agreeable)
    async with open_house(crews_at_once_in_all=1) as house:
        assert (await worked(house)).status == "completed"


async def test_a_queue_that_cannot_be_kept_is_told_and_tried_again(open_house, model, tmp_path):
    model.choose(agreeable)
    obstacle = tmp_path / "data" / "runs.db"
    obstacle.mkdir(parents=True)
    async with open_house() as house:
        with pytest.raises(StorageError, match=r"The queue of tasks .*runs\.db"):
            await begun(house)
        (part,) = [one for one in await house.status() if one.part == "tasks"]
        assert (part.ok, part.detail) == (False, "Nobody works on tasks in this process.")
        obstacle.rmdir()
        assert (await worked(house)).status == "completed"


async def test_a_task_of_a_dead_worker_is_not_stopped_before_it_is_begun(house, model):
    model.choose(agreeable)
    left = new_task(status="running", worker="ffffffffffff-1-1-dead")
    await TaskRecords(house.database).add([left])
    slow, looked = house.runs._records.append, []

    async def late(*arguments):  # a machine under load: rounds come between
        if not looked:
            looked.append(arguments)
            for _ in range(3):
                await house.runs._worker.stop_what_is_not_ours()
        return await slow(*arguments)

    house.runs._records.append = late
    await house.runs.open()
    until = time.monotonic() + 30
    while (await house.runs.get("t")).status != "completed":
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
    task = await house.runs.get("t")
    assert looked
    assert (task.starts, task.crashes) == (1, 1)


async def asked_first(house, **more):
    """A task that was begun, once it waits for its person."""
    task_id = await begun(house, asks_first=True, complexity="medium", **more)
    async with aclosing(house.runs.watch(task_id)) as events:
        async for _, event in events:
            if isinstance(event, TaskAsked):
                return await house.runs.get(task_id)
    raise AssertionError(await house.runs.get(task_id))


def answer(*, approved, text=""):
    return Answer(question_id="plan", approved=approved, text=text)


async def test_a_plan_waits_for_its_person_and_is_not_written_twice(house, model):
    model.choose(agreeable)
    task = await asked_first(house)
    assert (task.status, task.question.text) == ("waiting", "The plan.")
    assert asked_for(model) == ["plan", "review of plan"]
    assert (await house.runs.answer(task.task_id, None, answer(approved=True))).status == "pending"
    over = await done(house, task.task_id)
    assert (over.status, over.question, over.crashes) == ("completed", None, 0)
    assert asked_for(model).count("plan") == 1


async def test_a_plan_that_its_person_changed_is_what_the_crew_works_on(house, model):
    model.choose(agreeable)
    task = await asked_first(house)
    await house.runs.answer(task.task_id, None, answer(approved=True, text="Only cakes."))
    over = await done(house, task.task_id)
    assert over.plan == "Only cakes."
    work = [body for body in model.asked if kind_of(body).startswith("work")]
    assert all("Only cakes." in last_words(body) for body in work)


async def test_a_plan_that_its_person_changed_is_told_once_whoever_goes_on(open_house, model):
    model.choose(agreeable)
    async with open_house() as house:
        task = await asked_first(house)
        model.enqueue(Reply("Half of it", hang_after=1))
        await house.runs.answer(task.task_id, None, answer(approved=True, text="Only cakes."))
        await words_of(house, task.task_id, "Half")
    async with open_house() as house:
        await house.runs.open()
        events = [event async for _, event in house.runs.watch(task.task_id)]
        over = await house.runs.get(task.task_id)
    assert (over.status, over.starts, over.plan) == ("completed", 3, "Only cakes.")
    assert [one.plan for one in events if isinstance(one, Planned)] == ["The plan.", "Only cakes."]


async def test_a_plan_that_is_refused_ends_the_task(house, model):
    model.choose(agreeable)
    task = await asked_first(house)
    await house.runs.answer(task.task_id, None, answer(approved=False))
    assert (await done(house, task.task_id)).status == "cancelled"
    assert asked_for(model) == ["plan", "review of plan"]
    with pytest.raises(TaskNotAskingError, match="no question 'plan'"):
        await house.runs.answer(task.task_id, None, answer(approved=True))


async def test_tasks_that_wait_for_people_take_nobodys_place(open_house, model):
    async with open_house(crews_at_once=1, crews_at_once_in_all=1) as house:
        model.choose(agreeable)
        waiting = await asked_first(house)
        assert (await worked(house)).status == "completed"
        await house.runs.answer(waiting.task_id, None, answer(approved=True))
        assert (await done(house, waiting.task_id)).status == "completed"


async def test_an_answer_that_comes_while_nobody_works_is_heard_later(open_house, model):
    model.choose(agreeable)
    async with open_house() as house:
        waiting = await asked_first(house)
    async with open_house() as house:  # nothing is taken from the queue yet
        await house.runs.answer(waiting.task_id, None, answer(approved=True))
        await house.runs.open()
        assert (await done(house, waiting.task_id)).status == "completed"
    assert asked_for(model).count("plan") == 1


async def test_only_whose_task_it_is_may_answer(house, model):
    model.choose(agreeable)
    task = await asked_first(house, user_id="anna")
    with pytest.raises(TaskNotFoundError):
        await house.runs.answer(task.task_id, "ben", answer(approved=True))


async def test_files_of_a_conversation_are_for_its_crews_alone(house, model):
    model.choose(agreeable)
    await house.attachments.put("local", "c1", File("sales.csv", "text/csv", b"a,b\n1,2\n"))
    with_it = await worked(house, conversation_id="c1")
    without = [
        await worked(house, conversation_id="c2"),
        await worked(house),
        await worked(house, conversation_id="c1", user_id="ben"),
    ]
    assert with_it.files == ("sales.csv",)
    assert [one.files for one in without] == [()] * 3
    told = ["sales.csv" in last_words(body) for body in model.asked]
    assert any(told[:4])
    assert not any(told[4:])


@pytest.mark.parametrize(
    ("file", "wrong"),
    [
        (File("a.csv", "text/csv", b""), "a.csv is empty"),
        (File("a/b", "text/csv", b"1"), "no name for a file"),
        (File("x" * 200, "text/csv", b"1"), "no name for a file"),
        (File("a.bin", "", bytes(20_000_001)), "at most 20,000,000"),
    ],
)
async def test_files_that_cannot_be_kept_are_refused_with_the_reason(house, file, wrong):
    with pytest.raises(FileRefusedError, match=wrong):
        await house.attachments.put("local", "c1", file)


async def test_no_conversation_holds_files_without_end(house):
    for number in range(20):
        await house.attachments.put("local", "c1", File(f"{number}.txt", "text/plain", b"1"))
    with pytest.raises(FileRefusedError, match="one file too many"):
        await house.attachments.put("local", "c1", File("more.txt", "text/plain", b"1"))
    await house.attachments.put("local", "c1", File("1.txt", "text/plain", b"2"))
    assert await house.attachments.remove("local", "c1", "0.txt")
    assert not await house.attachments.remove("local", "c1", "0.txt")
    assert len(await house.attachments.listed("local", "c1")) == 19
