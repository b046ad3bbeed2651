"""`ask` and `route`: a message from the terminal."""

from __future__ import annotations

import json
import logging
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestra.cli.command import AsJson, UserName, json_lines, with_house

if TYPE_CHECKING:
    from orchestra.house import Orchestra
    from orchestra.types.conversation import Answered, TableEvent


log = logging.getLogger(__name__)


def ask(
    message: str,
    persona: Annotated[str | None, typer.Option(help="Who answers; default: the router.")] = None,
    round_table: Annotated[
        bool, typer.Option("--round-table", help="Everybody answers in turn; the last one decides.")
    ] = False,
    user: UserName = "local",
    as_json: AsJson = False,
) -> None:
    """Ask a question; the answer streams to stdout."""
    from orchestra.types.conversation import Message

    if round_table and persona is not None:
        usage = "At a round table everybody answers: leave out --persona or --round-table."
        raise typer.BadParameter(usage)
    question = Message(
        text=message,
        user_id=user,
        persona_id=persona,
        conversation_id=str(uuid.uuid4()) if round_table else None,
        revisable=False,
    )

    async def run(house: Orchestra) -> None:
        journey = house.table.hold if round_table else house.conversation.answer
        async for event in journey(question):
            (_tell_as_json if as_json else _tell)(event)

    with_house(run, warm=True)


def _tell(event: TableEvent) -> None:
    """Print an event as it comes, for people."""
    from orchestra.types.conversation import Answered, Delta, Seat, SeatEmpty

    match event:
        case Seat():
            print(f"{event.persona_name} {event.task}:")
        case SeatEmpty():
            log.warning("%s cannot answer: %s", event.persona_name, event.error)
        case Delta():
            print(event.text, end="", flush=True)
        case Answered():
            print()
            for note in event.notes:
                log.warning("%s", note)
        case _:
            pass


def _tell_as_json(event: TableEvent) -> None:
    """Print each answer as JSON on a line of its own."""
    from orchestra.types.conversation import Answered, SeatEmpty

    if isinstance(event, Answered):
        print(json.dumps(_answer(event), ensure_ascii=False))
    if isinstance(event, SeatEmpty):
        log.warning("%s cannot answer: %s", event.persona_name, event.error)


def route(
    message: Annotated[str | None, typer.Argument(help="The message.")] = None,
    file: Annotated[Path | None, typer.Option(help="JSON lines, each with 'text'.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say whom a message, or each message of a file, is for."""
    from orchestra.types.conversation import Message

    if message is not None and file is None:
        texts = [message]
    elif file is not None and message is None:
        texts = [line["text"] for line in json_lines(file, "text")]
    else:
        usage = "Give a message or --file, not both and not neither."
        raise typer.BadParameter(usage)

    async def run(house: Orchestra) -> None:
        for text in texts:
            found = await house.conversation.route(Message(text=text))
            if as_json:
                row = {
                    "text": text,
                    "domain": found.domain,
                    "persona": found.persona_id,
                    "confidence": found.confidence,
                    "reason": found.reason,
                }
                print(json.dumps(row, ensure_ascii=False))
            else:
                print(
                    f"{found.persona_id} ({found.domain}, {found.confidence:.0%}): {found.reason}"
                )

    with_house(run)


def _answer(event: Answered) -> dict[str, Any]:
    memories = [
        {"id": one.id, "text": one.decision, "when": one.when.isoformat(), "score": one.score}
        for one in event.memories
    ]
    return {
        "persona": event.persona_id,
        "domain": event.domain,
        "answer": event.answer,
        "memories": memories,
        "timings_ms": event.timings_ms.model_dump(),
        "model": event.model,
        "notes": list(event.notes),
    }
