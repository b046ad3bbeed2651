"""`lab …`: how distinct the personas are, measured, reported and guarded."""

from __future__ import annotations

import json
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestra.cli.command import EXIT_FAILED, AsJson, json_lines, with_house
from orchestra.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestra.house import Orchestra
    from orchestra.lab.asking import Plan
    from orchestra.types.lab import Feedback, Gate, Metrics, Sample
    from orchestra.types.persona import Personas

app = typer.Typer(help="Measure how distinct the personas are.", no_args_is_help=True)

_REPORT = "report.html"


@app.command()
def run(
    out: Annotated[Path, typer.Option(help="Folder of the report; an earlier run in it goes on.")],
    questions: Annotated[
        Path | None, typer.Option(help="JSON lines, each with 'text'; default: 40 of our own.")
    ] = None,
    persona: Annotated[
        list[str] | None, typer.Option(help="Who is asked, again for each; default: everybody.")
    ] = None,
    talk: Annotated[bool, typer.Option(help="Also have a conversation of 16 turns.")] = True,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Questions at one time.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Ask everybody the same questions, and measure how well the answers tell them apart."""
    from orchestra.lab.answered import check_plan
    from orchestra.lab.asking import Plan
    from orchestra.lab.questions import QUESTIONS, TALK
    from orchestra.lab.report import as_json as dumped

    texts = QUESTIONS if questions is None else _questions(questions)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        message = f"{out} cannot be made: {exc}"
        raise EvaluationError(message) from exc

    async def measured(house: Orchestra) -> None:
        personas = _chosen(await house.roster.current(), persona)
        plan = Plan(personas, texts, TALK if talk else ())
        check_plan(plan)
        samples, missing = await _asked(house, plan, out, concurrency)
        try:
            metrics = await _reported(house, plan, samples, out, missing)
        except EvaluationError as exc:
            if missing is None:
                raise
            message = f"{missing} There is no report: {exc}"
            raise EvaluationError(message) from exc
        if as_json:
            print(dumped(metrics, indent=None))
        else:
            _print_metrics(metrics, out)
        if missing is not None:
            raise missing

    # What is measured is what the store has, edits that a gate holds back included: the next
    # baseline is made here, of another model too.
    with_house(measured, warm=True, gate_baseline=None)


@app.command()
def gate(
    baseline: Annotated[Path, typer.Option(help="metrics.json of the run that was good.")],
    now: Annotated[Path, typer.Option(help="metrics.json of the run to be judged.")],
    as_json: AsJson = False,
) -> None:
    """Fail when a new revision is less distinct, or less itself, beyond noise."""
    from orchestra.lab.gate import gate as judged
    from orchestra.lab.kept import read_metrics

    verdict = judged(read_metrics(baseline), read_metrics(now))
    if as_json:
        print(json.dumps(verdict.model_dump(mode="json"), ensure_ascii=False))
    else:
        _print_gate(verdict)
    if not verdict.passed:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def feedback(as_json: AsJson = False) -> None:
    """Say what people liked and what they did not, by persona and subject."""

    async def read(house: Orchestra) -> None:
        found = await house.lab.feedback.read()
        if as_json:
            print(json.dumps(found.model_dump(mode="json"), ensure_ascii=False))
        else:
            _print_feedback(found)

    with_house(read)


def _questions(path: Path) -> tuple[str, ...]:
    """The questions of a file, each once.

    Raises:
        EvaluationError: there are none, or one has no words.
    """
    texts = tuple(dict.fromkeys(line["text"] for line in json_lines(path, "text")))
    if not texts:
        message = f"{path} holds no questions."
        raise EvaluationError(message)
    if not all(text.strip() for text in texts):
        message = f"{path} holds a question without words. Write it, or take its line out."
        raise EvaluationError(message)
    return texts


def _chosen(personas: Personas, wanted: Sequence[str] | None) -> Personas:
    """The personas, or those of them that were named.

    Raises:
        PersonaNotFoundError: there is none of that name.
    """
    if not wanted:
        return personas
    members = tuple(dict.fromkeys(personas.get(name) for name in wanted))
    return personas.model_copy(update={"members": members})


async def _asked(
    house: Orchestra, plan: Plan, out: Path, concurrency: int
) -> tuple[list[Sample], EvaluationError | None]:
    """The replies of a plan; each is on disk as soon as it came.

    Returns:
        What came, and the error that tells what did not.

    Raises:
        EvaluationError: the folder cannot be written.
    """
    from orchestra.lab.asking import asked, still_wanted
    from orchestra.lab.kept import REPLIES, read_replies

    path = out / REPLIES
    done, missing = still_wanted(plan, read_replies(path), house.lab.interviewer.model)
    came: list[Sample] = []
    problem = None
    print(f"{len(missing)} replies to ask for, {len(done)} are there.", file=sys.stderr)
    try:
        with path.open("a", encoding="utf-8") as file:
            replies = asked(house.lab.interviewer, plan, done, concurrency)
            with typer.progressbar(length=len(missing), file=sys.stderr) as bar:
                async with aclosing(replies):
                    async for sample in replies:
                        file.write(sample.model_dump_json() + "\n")
                        file.flush()
                        bar.update(1)
                        came.append(sample)
    except OSError as exc:
        message = f"{out} cannot be written: {exc}"
        raise EvaluationError(message) from exc
    except EvaluationError as exc:
        problem = exc
    return [*done, *came], problem


async def _reported(
    house: Orchestra,
    plan: Plan,
    samples: Sequence[Sample],
    out: Path,
    missing: EvaluationError | None,
) -> Metrics:
    """The figures of a run, written down with their report; they say what is missing.

    Raises:
        EvaluationError: there are too few replies, or the folder cannot be written.
    """
    from orchestra.lab.figures import figures
    from orchestra.lab.kept import METRICS
    from orchestra.lab.report import as_json, report

    personas = plan.personas
    metrics = await figures(personas, samples, house.embedder, house.lab.interviewer.model)
    if missing is not None:
        note = f"Of the {metrics.questions} questions that everybody answered. {missing}"
        metrics = metrics.model_copy(update={"notes": (*metrics.notes, note)})
    try:
        (out / METRICS).write_text(as_json(metrics), encoding="utf-8")
        (out / _REPORT).write_text(report(metrics, samples, personas), encoding="utf-8")
    except OSError as exc:
        message = f"{out} cannot be written: {exc}"
        raise EvaluationError(message) from exc
    return metrics


def _print_metrics(metrics: Metrics, out: Path) -> None:
    from orchestra.lab.report import separation_shown

    print("DISTINCT" if metrics.distinct else "NOT SHOWN TO BE DISTINCT")
    for bar in metrics.bars:
        found = "not measured" if bar.value is None else f"{bar.value:.0%}"
        print(f"{'ok  ' if bar.passed else 'FAIL'} {bar.name}: {found} ({bar.needed})")
    for one in metrics.per_persona.values():
        low, high = one.attribution.low, one.attribution.high
        print(f"     {one.name}: {one.attribution.value:.0%} ({low:.0%} to {high:.0%})")
    apart = separation_shown(metrics.separation_ratio)
    print(f"     apart, in distances of one from itself: {apart}")
    for note in metrics.notes:
        print(f"     {note}")
    print(f"     {out / _REPORT}")


def _print_gate(verdict: Gate) -> None:
    from orchestra.lab.gate import told

    changed = ", ".join(verdict.changed) or "nobody"
    print(f"{'PASSED' if verdict.passed else 'FAILED'}; changed since the baseline: {changed}")
    for drop in verdict.drops:
        print(f"     {told(drop)}")


def _print_feedback(found: Feedback) -> None:
    if not found.likings:
        print("Nobody has given a thumb yet.")
    for one in found.likings:
        share = f"{one.liked.value:.0%} ({one.liked.low:.0%} to {one.liked.high:.0%})"
        print(f"{one.persona_id} on {one.domain}: {one.up} up, {one.down} down, liked {share}")
    for comment in found.comments:
        thumb = "up" if comment.up else "down"
        print(f"     {comment.persona_id}, {thumb}: {comment.comment}")
        print(f"       on: {comment.answer}")
