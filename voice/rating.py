"""Blind ratings: are replies of use? Whose they are, and how they were made, is kept apart.

    python -m voice.rating sheet --arm new=lab/new --arm old=lab/old --out sheet.jsonl
    python -m voice.rating score sheet.key.json verdicts.jsonl

An arm is a folder of `orchestra lab run`; its replies without any persona become the arm `nobody`.
Whoever rates sees the sheet alone, in an order that says nothing, and writes one line per reply:
`{"id": 17, "usable": true}`. Usable: on the matter, coherent, nothing made up, and something that
can be acted on or sent.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOBODY = "nobody"


def main() -> None:
    """Make a sheet, or count what was said of one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    sheet = commands.add_parser("sheet", help="write replies of several runs in random order")
    sheet.add_argument("--arm", action="append", required=True, metavar="NAME=FOLDER")
    sheet.add_argument("--questions", type=int, default=8, help="how many of those all answered")
    sheet.add_argument("--out", type=Path, required=True)
    sheet.add_argument("--seed", type=int, default=1, help="which questions, and in which order")
    sheet.set_defaults(do=_sheet)
    score = commands.add_parser("score", help="count verdicts by arm and persona")
    score.add_argument("key", type=Path)
    score.add_argument("verdicts", type=Path, nargs="+", help="one file per rater")
    score.set_defaults(do=_score)
    arguments = parser.parse_args()
    arguments.do(arguments)


def _sheet(arguments: argparse.Namespace) -> None:
    replies: list[dict[str, Any]] = []
    for arm in arguments.arm:
        name, _, folder = arm.partition("=")
        replies += _replies(name, Path(folder) / "replies.jsonl")
    numbers = random.Random(arguments.seed)  # noqa: S311  # to be the same each time
    arms = {one["arm"] for one in replies}
    common = set.intersection(
        *({one["question"] for one in replies if one["arm"] == arm} for arm in arms)
    )
    chosen = set(numbers.sample(sorted(common), arguments.questions))
    shown = list({_key(one): one for one in replies if one["question"] in chosen}.values())
    numbers.shuffle(shown)
    with arguments.out.open("w", encoding="utf-8") as file:
        for number, one in enumerate(shown):
            line = {"id": number, "question": one["question"], "reply": one["reply"]}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    key = {number: [one["arm"], one["who"]] for number, one in enumerate(shown)}
    arguments.out.with_suffix(".key.json").write_text(json.dumps(key), "utf-8")
    print(f"{len(shown)} replies to {len(chosen)} questions, of {', '.join(sorted(arms))}")


def _replies(arm: str, path: Path) -> Iterator[dict[str, Any]]:
    """The first round of a run, and its replies without any persona."""
    for line in path.read_text("utf-8").splitlines():
        one = json.loads(line)
        if one["part"] in {"first", "control"}:
            whose = arm if one["part"] == "first" else NOBODY
            yield {"arm": whose, "who": one["persona_id"], **one}


def _key(one: dict[str, Any]) -> tuple[str, str, str]:
    return one["arm"], one["who"], one["question"]


def _score(arguments: argparse.Namespace) -> None:
    key = json.loads(arguments.key.read_text("utf-8"))
    usable, rated = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for path in arguments.verdicts:
        for line in path.read_text("utf-8").splitlines():
            verdict = json.loads(line)
            arm, who = key[str(verdict["id"])]
            for row in ((arm, who), (arm, "all")):
                rated[row] += 1
                usable[row] += bool(verdict["usable"])
    for row in sorted(rated):
        arm, who = row
        share = usable[row] / rated[row]
        print(f"{arm:12} {who:10} {usable[row]:4} of {rated[row]:4}  {share:.0%}")


if __name__ == "__main__":
    main()
