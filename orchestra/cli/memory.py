"""`memory …`: what the personas remember."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from orchestra.cli.command import AsJson, UserName, with_house

if TYPE_CHECKING:
    from orchestra.house import Orchestra
    from orchestra.types.conversation import Memory


app = typer.Typer(help="What the personas remember.", no_args_is_help=True)


@app.command("list")
def list_memories(
    user: UserName = "local",
    persona: Annotated[str | None, typer.Option(help="Only this persona's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    as_json: AsJson = False,
) -> None:
    """List the newest memories."""

    async def run(house: Orchestra) -> None:
        _print_memories(await house.memory.newest(user, persona, limit=limit), as_json)

    with_house(run)


@app.command("search")
def search_memories(
    text: str,
    user: UserName = "local",
    persona: Annotated[str | None, typer.Option(help="Only this persona's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 10,
    as_json: AsJson = False,
) -> None:
    """Search the memories, best first."""

    async def run(house: Orchestra) -> None:
        personas = [persona] if persona else (await house.conversation.personas()).ids
        found = [
            one for who in personas for one in await house.memory.search(user, who, text, limit)
        ]
        found.sort(key=lambda one: -(one.score or 0))
        _print_memories(found[:limit], as_json)

    with_house(run)


@app.command("forget")
def forget_memories(
    user: Annotated[str | None, typer.Option(help="All of this person.")] = None,
    persona: Annotated[str | None, typer.Option(help="Only this persona's.")] = None,
    memory_id: Annotated[str | None, typer.Option("--id", help="Only this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Forget memories for good: rows, full text and vectors."""
    if user is None and persona is None and memory_id is None:
        usage = "Say what to forget: --user, --persona or --id."
        raise typer.BadParameter(usage)
    ids = [memory_id] if memory_id else None

    async def run(house: Orchestra) -> None:
        count = await house.conversation.forget(user, persona, ids)
        print(json.dumps({"forgotten": count}) if as_json else f"Forgotten: {count}")

    with_house(run)


def _print_memories(memories: list[Memory], as_json: bool) -> None:  # noqa: FBT001  # the option itself
    if as_json:
        keys = {
            "id": "id",
            "persona_id": "persona",
            "user_id": "user",
            "task": "task",
            "decision": "decision",
        }
        rows = [
            {
                **{name: getattr(one, key) for key, name in keys.items()},
                "when": one.when.isoformat(),
            }
            for one in memories
        ]
        print(json.dumps(rows, ensure_ascii=False))
        return
    for one in memories:
        print(f"{one.id}  {one.when:%Y-%m-%d}  {one.persona_id:8}  {one.task[:60]}")
        print(f"    {one.decision[:150]}")
