"""Workers that die in the middle: what is done stays done, and the result arrives."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager, closing
from dataclasses import replace

import pytest

from orchestra.crews.records import TaskRecords
from orchestra.types.task import Request
from tests.conftest import clean_env
from tests.doubles.crew_model import agreeable, kind_of
from tests.doubles.llm import Reply
from tests.parts.conftest import empty_postgres

pytestmark = pytest.mark.timeout(180)
TITLE = "kill -9 of the worker"
STEPS = [
    "plan",
    "review of plan",
    "work of Content Editor, Support",
    "work of Lead Project Planner",
    "review of result",
]


def settings(model, data_dir, **more):
    return {
        **clean_env(),
        "ORCHESTRA_DATA_DIR": str(data_dir),
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_API_KEY": "k",
        "ORCHESTRA_MODEL": "scripted",
        **more,
    }


@asynccontextmanager
async def command(*arguments, env, cwd):
    """`orchestra …` as a process of its own, killed at the end if it is still there."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "orchestra",
        *arguments,
        env=env,
        cwd=cwd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def point_of(body):
    """At which point the task of a request is to be stuck, as its description says."""
    told = json.dumps(body["messages"])
    return next(point for point in STEPS if f"stop at {point}." in told)


def stuck_once():
    """All goes well, but the first time that a task's point is asked for, half a reply is all."""
    asked = set()

    def choose(body):
        point = point_of(body)
        if kind_of(body) == point and point not in asked:
            asked.add(point)
            return Reply("half of it", hang_after=1)
        return agreeable(body)

    return choose


async def until(is_so, seconds=60):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


def asked_of(model):
    """The point and the kind of each request."""
    return [(point_of(body), kind_of(body)) for body in list(model.asked)]


def statuses(data_dir):
    with closing(sqlite3.connect(data_dir / "orchestra.db")) as connection:
        return dict(connection.execute("SELECT id, status FROM tasks"))


def task_ids(data_dir):
    with closing(sqlite3.connect(data_dir / "orchestra.db")) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM tasks ORDER BY created_at")]


async def test_a_killed_worker_leaves_nothing_to_be_done_twice(tmp_path, open_house, model, report):
    model.choose(stuck_once())
    requests = [
        Request(
            description=f"Plan the fair, stop at {point}.", domain="project", complexity="medium"
        )
        for point in STEPS
    ]
    async with open_house() as house:  # it takes them, and is gone before it works on any
        coming = [await house.intake.task(one) for one in requests]
        await TaskRecords(house.database).add(coming)
        data_dir = house.settings.data_dir
    room = {"ORCHESTRA_CREWS_AT_ONCE": "5", "ORCHESTRA_CREWS_AT_ONCE_PER_PERSON": "5"}
    env = settings(model, data_dir, **room)
    async with command("tasks", "work", env=env, cwd=tmp_path) as first:
        await until(lambda: all((one, one) in asked_of(model) for one in STEPS), 90)
        first.kill()
        await first.wait()
    killed = time.monotonic()
    async with command("tasks", "work", env=env, cwd=tmp_path) as second:
        await until(lambda: set(statuses(data_dir).values()) == {"completed"}, 90)
        second.terminate()
        await second.wait()
    took = time.monotonic() - killed
    report(
        TITLE, "at", "then asked again", "never asked again", f"all five over {took:.0f} s later"
    )
    asked = Counter(asked_of(model))
    async with open_house() as house:
        for point, begun in zip(STEPS, coming, strict=True):
            task = await house.runs.get(begun.task_id)
            assert (task.status, task.result) == ("completed", "The work of Lead Project Planner.")
            assert (task.starts, task.crashes) == (2, 1)
            times = {step: asked[point, step] for step in STEPS}
            assert times == {step: 2 if step == point else 1 for step in STEPS}
            once = ", ".join(step for step in STEPS[: STEPS.index(point)]) or "-"
            report(TITLE, point, point, once, "completed")


@pytest.mark.postgres
async def test_two_workers_share_one_queue_and_each_step_is_done_once(
    tmp_path, postgres_url, open_house, model, report
):
    empty_postgres(postgres_url)
    folder = tmp_path / "other"
    folder.mkdir()
    model.choose(lambda body: replace(agreeable(body), pause_seconds=0.05))
    limits = {"crews_at_once": 2, "crews_at_once_per_person": 8, "database_url": postgres_url}
    more = {f"ORCHESTRA_{name.upper()}": str(value) for name, value in limits.items()}
    worker = command("tasks", "work", env=settings(model, folder, **more), cwd=folder)
    async with open_house(**limits) as house, worker as other:
        assert b"At work" in await other.stderr.readline()
        request = Request(description="Plan the fair", domain="project", complexity="low")
        asked = [await house.intake.task(request) for _ in range(8)]
        submitted = await house.runs.submit(asked)
        for one in submitted:
            async for _ in house.runs.watch(one.task_id):
                pass
        tasks = [await house.runs.get(one.task_id) for one in submitted]
    assert {(one.status, one.starts) for one in tasks} == {("completed", 1)}
    workers = Counter(one.worker for one in tasks)
    assert len(workers) == 2
    steps = ["plan", "review of plan", "work of Project Planner", "review of result"]
    assert Counter(map(kind_of, model.asked)) == dict.fromkeys(steps, 8)
    for name, number in workers.items():
        report("two workers on one PostgreSQL, 8 tasks", name, f"{number} tasks")


async def test_a_worker_elsewhere_hears_of_a_cancel_within_a_second(tmp_path, model):
    model.always(Reply("never to the end", hang_after=1))
    env = settings(model, tmp_path)
    asked = ("crew", "Plan the fair", "--domain", "project", "--complexity", "low")
    async with command(*asked, env=env, cwd=tmp_path) as worker:
        await until(lambda: model.asked)
        (task_id,) = task_ids(tmp_path)
        async with command("tasks", "cancel", task_id, "--json", env=env, cwd=tmp_path) as other:
            out, _ = await other.communicate()
        assert json.loads(out)["status"] == "cancelled"
        assert await asyncio.to_thread(model.aborted.wait, 10)
        _, told = await worker.communicate()
    assert worker.returncode == 1
    assert b"it was called off" in told
