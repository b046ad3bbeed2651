"""`crew` and `tasks`: bigger work, watched from the terminal."""

from __future__ import annotations

import asyncio
import json
import mimetypes
import signal
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestra.cli.command import EXIT_FAILED, AsJson, UserName, with_house

if TYPE_CHECKING:
    from orchestra.house import Orchestra
    from orchestra.types.task import Question, Request, Task
    from orchestra.types.task_events import TaskEvent

tasks_app = typer.Typer(help="Tasks that crews work on.", no_args_is_help=True)


def crew(  # noqa: PLR0913, PLR0917  # each is an option of the command
    task: Annotated[str, typer.Argument(help="What is to be done.")],
    domain: Annotated[str | None, typer.Option(help="Its subject; default: found out.")] = None,
    complexity: Annotated[
        str | None, typer.Option(help="low, medium or high; default: estimated.")
    ] = None,
    persona: Annotated[str | None, typer.Option(help="Who leads and reviews.")] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="For the crew to use; again for more."),
    ] = None,
    ask_first: Annotated[
        bool, typer.Option("--ask-first", help="Show the plan and ask before the work starts.")
    ] = False,
    user: UserName = "local",
    as_json: AsJson = False,
) -> None:
    """Let a crew do a task; its steps go to stderr, the result to stdout.

    Raises:
        Exit: the task failed.
    """
    from orchestra.types.task import Request

    asked = Request(
        description=task,
        domain=domain,
        complexity=complexity,
        persona_id=persona,
        user_id=user,
        conversation_id=f"terminal {uuid.uuid4()}" if file else None,
        asks_first=ask_first,
    )

    async def run(house: Orchestra) -> None:
        for path in file or ():
            await _attach(house, asked, path)
        (begun,) = await house.runs.submit([await house.intake.task(asked)])
        try:
            await _follow(house, begun.task_id, as_json=as_json)
        except asyncio.CancelledError:  # Ctrl-C
            await house.runs.cancel(begun.task_id)
            raise

    with_house(run)


@tasks_app.command("list")
def list_tasks(
    status: Annotated[list[str] | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    user: Annotated[str | None, typer.Option(help="Only this person's.")] = None,
    as_json: AsJson = False,
) -> None:
    """List tasks, the newest first.

    Raises:
        BadParameter: there is no such status.
    """
    from typing import get_args

    from orchestra.types.task import TaskStatus

    known = get_args(TaskStatus)
    for one in status or ():
        if one not in known:
            usage = f"'{one}' is no status. Known: {', '.join(known)}."
            raise typer.BadParameter(usage)

    async def run(house: Orchestra) -> None:
        found = await house.runs.page(user, status or (), limit)  # type: ignore[arg-type]  # checked
        if as_json:
            print(json.dumps([one.model_dump(mode="json") for one in found], ensure_ascii=False))
            return
        for one in found:
            print(_line(one))

    with_house(run)


@tasks_app.command("show")
def show(task_id: str, as_json: AsJson = False) -> None:
    """Show one task: its plan, steps, reviews and result."""

    async def run(house: Orchestra) -> None:
        task = await house.runs.get(task_id)
        print(task.model_dump_json() if as_json else _page(task))

    with_house(run)


@tasks_app.command("watch")
def watch(task_id: str, as_json: AsJson = False) -> None:
    """Follow a task to its end; one that nobody works on goes on here.

    Raises:
        Exit: the task failed.
    """

    async def run(house: Orchestra) -> None:
        await house.runs.get(task_id)
        await house.runs.open()
        await _follow(house, task_id, as_json=as_json)

    with_house(run)


@tasks_app.command("work")
def work() -> None:
    """Work on whatever is waiting, until stopped: a further worker beside the servers."""

    async def run(house: Orchestra) -> None:
        await house.runs.open()
        stopped = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stopped.set)
        print("At work. Ctrl-C stops; what is unfinished goes on elsewhere.", file=sys.stderr)
        await stopped.wait()

    with_house(run)


@tasks_app.command("cancel")
def cancel(task_id: str, as_json: AsJson = False) -> None:
    """Call a task off; whichever process works on it stops within a second."""

    async def run(house: Orchestra) -> None:
        task = await house.runs.cancel(task_id)
        print(task.model_dump_json() if as_json else _line(task))

    with_house(run)


@tasks_app.command("answer")
def answer(
    task_id: str,
    approve: Annotated[bool, typer.Option("--approve/--refuse", help="What you say to it.")],
    plan: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The plan as you want it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer what a crew asked: its plan, or what one of its tools would do.

    Raises:
        BadParameter: the task has no question.
    """
    text = plan.read_text(encoding="utf-8") if plan else ""

    async def run(house: Orchestra) -> None:
        question = (await house.runs.get(task_id)).question
        if question is None:
            usage = f"Task {task_id} has no question."
            raise typer.BadParameter(usage)
        task = await _answered(house, task_id, question.id, approve=approve, text=text)
        print(task.model_dump_json() if as_json else _line(task))

    with_house(run)


async def _attach(house: Orchestra, asked: Request, path: Path) -> None:
    from orchestra.types.task import File

    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    file = File(path.name, kind, await asyncio.to_thread(path.read_bytes))
    await house.attachments.put(asked.user_id, asked.conversation_id or "", file)


async def _answered(
    house: Orchestra, task_id: str, question_id: str, *, approve: bool, text: str = ""
) -> Task:
    from orchestra.types.task import Answer

    given = Answer(question_id=question_id, approved=approve, text=text.strip())
    return await house.runs.answer(task_id, None, given)


async def _ask_at_the_terminal(house: Orchestra, task_id: str, question: Question) -> None:
    """Show a question and pass the answer on; without a terminal, say how to answer it."""
    print(f"\n{question.text}\n", file=sys.stderr, flush=True)
    if not sys.stdin.isatty():
        advice = f"orchestra tasks answer {task_id} --approve, or --refuse"
        print(f"Waiting for an answer: {advice}", file=sys.stderr, flush=True)
        return
    approve = await asyncio.to_thread(typer.confirm, "Shall they?", default=True, err=True)
    await _answered(house, task_id, question.id, approve=approve)


async def _follow(house: Orchestra, task_id: str, *, as_json: bool) -> None:
    """Tell what happens, then the result.

    Raises:
        Exit: the task failed.
    """
    from orchestra.types.task_events import TaskAsked

    async for _, event in house.runs.watch(task_id):
        _tell(event)
        if isinstance(event, TaskAsked):
            task = await house.runs.get(task_id)
            if task.question is not None:  # else it was answered meanwhile
                await _ask_at_the_terminal(house, task_id, task.question)
    task = await house.runs.get(task_id)
    print(task.model_dump_json() if as_json else task.result or "", flush=True)
    if task.status != "completed":
        print(f"orchestra: {task.error or 'it was called off'}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILED)


def _tell(event: TaskEvent) -> None:
    """One line to stderr for what a person wants to see pass by."""
    from orchestra.types.task_events import Reviewed, StepStarted, TeamFormed

    match event:
        case TeamFormed():
            line = f"Team: {', '.join(one.role for one in event.members)}"
        case StepStarted():
            line = f"{event.at:%H:%M:%S} {event.title}"
        case Reviewed():
            said = "approved" if event.review.verdict.approved else "sent back"
            line = f"         {said}: {event.review.verdict.reasons}"
        case _:
            return
    print(line, file=sys.stderr, flush=True)


def _line(task: Task) -> str:
    told = " ".join(task.description.split())[:60]
    return f"{task.task_id}  {task.status:9}  {task.complexity:6}  {task.domain:9}  {told}"


def _page(task: Task) -> str:
    lines = [_line(task), f"led by {task.orchestrator}; {task.complexity_reason}"]
    if task.plan:
        lines += ["", "Plan", task.plan]
    lines += ["", "Steps"]
    for step in task.steps:
        took = (step.finished_at - step.started_at).total_seconds() if step.finished_at else None
        lines.append(f"  {step.status:11} {step.title}" + (f", {took:.1f} s" if took else ""))
    for review in task.reviews:
        said = "approved" if review.verdict.approved else "sent back"
        lines.append(f"  {review.of} {review.attempt} {said}: {review.verdict.reasons}")
    lines += ["", task.result or task.error or "(no result yet)"]
    return "\n".join(lines)
