"""`eval …`: routing and memory, measured on files."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from orchestra.cli.command import AsJson, json_lines, with_house

if TYPE_CHECKING:
    from orchestra.house import Orchestra


app = typer.Typer(help="Measure routing and memory on files.", no_args_is_help=True)


@app.command("routing")
def evaluate_routing(file: Path, as_json: AsJson = False) -> None:
    """Measure the router on JSON lines with text, domain, persona."""
    from orchestra.evaluation import measure_routing

    lines = json_lines(file, "text", "domain", "persona")

    async def run(house: Orchestra) -> None:
        _print_figures((await measure_routing(house.conversation, lines)).model_dump(), as_json)

    with_house(run, warm=True)


@app.command("memory")
def evaluate_memory(file: Path, as_json: AsJson = False) -> None:
    """Measure recall on a file in LoCoMo's layout; stores nothing."""
    from orchestra.evaluation import measure_recall, read_locomo

    conversations = read_locomo(file)

    async def run(house: Orchestra) -> None:
        _print_figures(
            (await measure_recall(house.memory, house.embedder, conversations)).model_dump(),
            as_json,
        )

    with tempfile.TemporaryDirectory(prefix="orchestra-eval-") as folder:
        with_house(run, warm=True, data_dir=Path(folder), database_url=None, chroma_url=None)


def _print_figures(figures: dict[str, Any], as_json: bool) -> None:  # noqa: FBT001  # the option itself
    if as_json:
        print(json.dumps(figures, ensure_ascii=False))
        return
    for name, value in figures.items():
        print(f"{name}: {json.dumps(value) if isinstance(value, dict) else value}")
