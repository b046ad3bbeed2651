"""The terminal door: stdout carries the answer only, logs go to stderr.

Exit 0: done. 1: failed. 2: wrong use or settings.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from orchestra.errors import EvaluationError, OrchestraError, SettingsError
from orchestra.settings import Settings, read_settings, unknown_variables

log = logging.getLogger(__name__)

Result = TypeVar("Result")

app = typer.Typer(
    help="Orchestra: a chat in which three personas answer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
personas_app = typer.Typer(help="Who answers.", no_args_is_help=True)
memory_app = typer.Typer(help="What the personas remember.", no_args_is_help=True)
eval_app = typer.Typer(help="Measure routing and memory on files.", no_args_is_help=True)
users_app = typer.Typer(help="Accounts for signing in.", no_args_is_help=True)
app.add_typer(personas_app, name="personas")
app.add_typer(memory_app, name="memory")
app.add_typer(eval_app, name="eval")
app.add_typer(users_app, name="users")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
UserName = Annotated[str, typer.Option("--user", help="Whose memory is used.")]

EXIT_FAILED = 1
EXIT_USAGE = 2


def main() -> None:
    """Run the command line; errors become one line and an exit code."""
    try:
        app()
    except SettingsError as exc:
        print(f"orchestra: {exc}", file=sys.stderr)
        raise SystemExit(EXIT_USAGE) from exc
    except OrchestraError as exc:
        print(f"orchestra: {exc}", file=sys.stderr)
        raise SystemExit(EXIT_FAILED) from exc
    except KeyboardInterrupt as exc:
        raise SystemExit(130) from exc


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Serve the chat, the API and the OpenAI wire."""
    import uvicorn  # noqa: PLC0415  # the other commands need no server

    from orchestra.api.app import create_app  # noqa: PLC0415  # likewise: Chainlit takes seconds to import

    given = {"host": host, "port": port}
    settings = _settings(**{name: value for name, value in given.items() if value is not None})
    application = create_app(settings)
    uvicorn.run(
        application,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        ws_max_size=2_000_000,
    )


@app.command()
def ask(
    message: str,
    persona: Annotated[str | None, typer.Option(help="Who answers; default: the router.")] = None,
    user: UserName = "local",
    as_json: AsJson = False,
) -> None:
    """Ask a question; the answer streams to stdout."""
    from orchestra.assembly import Orchestra  # noqa: PLC0415  # as in `serve`
    from orchestra.types.conversation import Answered, Delta, Message  # noqa: PLC0415  # likewise

    question = Message(text=message, user_id=user, persona_id=persona, revisable=False)

    async def run(house: Orchestra) -> None:
        async for event in house.conversation.answer(question):
            if isinstance(event, Delta) and not as_json:
                print(event.text, end="", flush=True)
            if isinstance(event, Answered):
                print(json.dumps(_answer(event), ensure_ascii=False) if as_json else "")
                for note in event.notes:
                    log.warning("%s", note)

    _with_house(run, warm=True)


@app.command()
def route(
    message: Annotated[str | None, typer.Argument(help="The message.")] = None,
    file: Annotated[Path | None, typer.Option(help="JSON lines, each with 'text'.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say whom a message, or each message of a file, is for."""
    from orchestra.assembly import Orchestra  # noqa: PLC0415  # as in `serve`
    from orchestra.types.conversation import Message  # noqa: PLC0415  # likewise

    if (message is None) == (file is None):
        usage = "Give a message or --file, not both and not neither."
        raise typer.BadParameter(usage)
    texts = (
        [message] if message is not None else [line["text"] for line in _json_lines(file, "text")]
    )

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

    _with_house(run)


@app.command()
def doctor(
    as_json: AsJson = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Rebuild what is damaged; keeps a copy.")
    ] = False,
) -> None:
    """Say for each part what it is, whether it works, and how to mend it."""
    from orchestra.doctor import examine, mend  # noqa: PLC0415  # as in `serve`

    settings = _settings()
    if repair:
        for line in mend(settings):
            print(line, file=sys.stderr)
    parts = asyncio.run(examine(settings))
    if as_json:
        print(json.dumps([asdict(part) for part in parts], ensure_ascii=False))
    else:
        for part in parts:
            print(f"{'ok  ' if part.ok else 'FAIL'} {part.part:12} {part.detail}")
            if part.fix and not part.ok:
                print(f"     {'':12} {part.fix}")
    if not all(part.ok for part in parts):
        raise typer.Exit(EXIT_FAILED)


@personas_app.command("list")
def list_personas(as_json: AsJson = False) -> None:
    """List the personas."""
    personas = _load_personas(_settings())
    rows = [
        {
            "id": one.id,
            "name": one.name,
            "role": one.role,
            "domains": list(one.domains),
            "revision": one.revision,
            "source": personas.source,
        }
        for one in personas.members
    ]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        print(f"{row['id']:10} {row['name']:10} {row['role']:36} {', '.join(row['domains'])}")


@personas_app.command("show")
def show_persona(persona_id: str, as_json: AsJson = False) -> None:
    """Show one persona, whole."""
    from orchestra.personas.files import write_persona  # noqa: PLC0415  # as in `serve`

    persona = _load_personas(_settings()).get(persona_id)
    print(persona.model_dump_json() if as_json else write_persona(persona))


@personas_app.command("check")
def check_personas(
    path: Annotated[
        Path | None, typer.Argument(help="A file or a folder; default: the one in use.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every persona; one line per problem."""
    from orchestra.personas.check import check  # noqa: PLC0415  # as in `serve`

    findings = check(path or _settings().personas_dir)
    if as_json:
        print(json.dumps([asdict(one) for one in findings], ensure_ascii=False))
    else:
        for one in findings:
            print(f"{'ok  ' if one.ok else 'FAIL'} {one.source}: {one.detail}")
    if not all(one.ok for one in findings):
        raise typer.Exit(EXIT_FAILED)


@personas_app.command("reload")
def reload_personas(as_json: AsJson = False) -> None:
    """Tell the running server to read the personas now."""
    import httpx  # noqa: PLC0415  # as in `serve`

    settings = _settings()
    if settings.admin_token is None:
        message = "ORCHESTRA_ADMIN_TOKEN is not set; the server reloads on its own within the TTL."
        raise SettingsError(message)
    address = f"http://{settings.host}:{settings.port}/api/v1/personas/reload"
    token = settings.admin_token.get_secret_value()
    try:
        answer = httpx.post(address, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        content = answer.json()
    except (httpx.HTTPError, ValueError) as exc:
        message = f"No server answers at {address} ({exc}). Start it with 'make run'."
        raise OrchestraError(message) from exc
    if answer.is_error:
        raise OrchestraError(content["detail"])
    print(
        json.dumps(content)
        if as_json
        else "\n".join(f"{one['id']} {one['revision']}" for one in content)
    )


@memory_app.command("list")
def list_memories(
    user: UserName = "local",
    persona: Annotated[str | None, typer.Option(help="Only this persona's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    as_json: AsJson = False,
) -> None:
    """List the newest memories."""
    from orchestra.assembly import Orchestra  # noqa: PLC0415  # as in `serve`

    async def run(house: Orchestra) -> None:
        _print_memories(await house.memory.newest(user, persona, limit=limit), as_json)

    _with_house(run)


@memory_app.command("search")
def search_memories(
    text: str,
    user: UserName = "local",
    persona: Annotated[str | None, typer.Option(help="Only this persona's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 10,
    as_json: AsJson = False,
) -> None:
    """Search the memories, best first."""
    from orchestra.assembly import Orchestra  # noqa: PLC0415  # as in `serve`

    async def run(house: Orchestra) -> None:
        personas = [persona] if persona else (await house.conversation.personas()).ids
        found = [
            one for who in personas for one in await house.memory.search(user, who, text, limit)
        ]
        found.sort(key=lambda one: -(one.score or 0))
        _print_memories(found[:limit], as_json)

    _with_house(run)


@memory_app.command("forget")
def forget_memories(
    user: Annotated[str | None, typer.Option(help="All of this person.")] = None,
    persona: Annotated[str | None, typer.Option(help="Only this persona's.")] = None,
    memory_id: Annotated[str | None, typer.Option("--id", help="Only this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Forget memories for good: rows, full text and vectors."""
    from orchestra.assembly import Orchestra  # noqa: PLC0415  # as in `serve`

    if user is None and persona is None and memory_id is None:
        usage = "Say what to forget: --user, --persona or --id."
        raise typer.BadParameter(usage)
    ids = [memory_id] if memory_id else None

    async def run(house: Orchestra) -> None:
        count = await house.conversation.forget(user, persona, ids)
        print(json.dumps({"forgotten": count}) if as_json else f"Forgotten: {count}")

    _with_house(run)


@eval_app.command("routing")
def evaluate_routing(file: Path, as_json: AsJson = False) -> None:
    """Measure the router on JSON lines with text, domain, persona."""
    from orchestra.assembly import Orchestra  # noqa: PLC0415  # as in `serve`
    from orchestra.evaluation import measure_routing  # noqa: PLC0415  # likewise

    lines = _json_lines(file, "text", "domain", "persona")

    async def run(house: Orchestra) -> None:
        _print_figures((await measure_routing(house.conversation, lines)).model_dump(), as_json)

    _with_house(run, warm=True)


@eval_app.command("memory")
def evaluate_memory(file: Path, as_json: AsJson = False) -> None:
    """Measure recall on a file in LoCoMo's layout; stores nothing."""
    import tempfile  # noqa: PLC0415  # as in `serve`

    from orchestra.assembly import Orchestra  # noqa: PLC0415  # as in `serve`
    from orchestra.evaluation import measure_recall, read_locomo  # noqa: PLC0415  # likewise

    conversations = read_locomo(file)

    async def run(house: Orchestra) -> None:
        _print_figures(
            (await measure_recall(house.memory, house.embedder, conversations)).model_dump(),
            as_json,
        )

    with tempfile.TemporaryDirectory(prefix="orchestra-eval-") as folder:
        _with_house(run, warm=True, data_dir=Path(folder), database_url=None, chroma_url=None)


@users_app.command("add")
def add_user(name: str) -> None:
    """Add an account, or change its password; the password comes from a prompt or stdin."""
    password = (
        getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    )

    async def run(accounts: Any) -> None:
        key = await accounts.add(name, password)
        print(
            f"Account '{name}' is ready. Sign-in is on from the server's next start.",
            file=sys.stderr,
        )
        print("Its key for programs, shown only now:", file=sys.stderr)
        print(key)

    _with_accounts(run)


@users_app.command("list")
def list_users(as_json: AsJson = False) -> None:
    """List the accounts."""

    async def run(accounts: Any) -> None:
        names = await accounts.names()
        print(json.dumps(names) if as_json else "\n".join(names))

    _with_accounts(run)


@users_app.command("remove")
def remove_user(name: str) -> None:
    """Remove an account; its memories and threads stay."""

    async def run(accounts: Any) -> None:
        await accounts.remove(name)
        print(f"Account '{name}' is removed.", file=sys.stderr)

    _with_accounts(run)


def _settings(**overrides: Any) -> Settings:
    """Read the settings and set logging up; one line per variable that nobody reads."""
    from orchestra.logs import set_up_logging  # noqa: PLC0415  # as in `serve`

    settings = read_settings(**overrides)
    set_up_logging(settings.log_level, settings.log_format)
    for line in unknown_variables(os.environ):  # noqa: TID251  # only to say that they are ignored
        log.warning("%s", line)
    return settings


def _with_house(
    run: Callable[[Any], Awaitable[None]], *, warm: bool = False, **overrides: Any
) -> None:
    """Open the house for one command, without the log lines of a server."""
    from orchestra.assembly import open_orchestra  # noqa: PLC0415  # as in `serve`

    settings = _settings(**overrides)
    if settings.log_level == "info":
        logging.getLogger("orchestra").setLevel(logging.WARNING)

    async def opened() -> None:
        async with open_orchestra(settings, in_advance=warm) as house:
            if warm:
                await house.warm()
            await run(house)

    asyncio.run(opened())


def _with_accounts(run: Callable[[Any], Awaitable[None]]) -> None:
    from orchestra.accounts import Accounts  # noqa: PLC0415  # as in `serve`
    from orchestra.assembly import open_database  # noqa: PLC0415  # likewise

    settings = _settings()

    async def opened() -> None:
        async with open_database(settings) as database:
            await run(Accounts(database))

    asyncio.run(opened())


def _load_personas(settings: Settings) -> Any:
    from orchestra.personas.files import PersonaFiles  # noqa: PLC0415  # as in `serve`

    return asyncio.run(PersonaFiles(settings.personas_dir).load())


def _json_lines(path: Path | None, *keys: str) -> list[dict[str, Any]]:
    """The objects of a JSON lines file.

    Raises:
        EvaluationError: the file cannot be read, or a line lacks a key.
    """
    assert path is not None  # noqa: S101  # callers have checked
    lines, number = [], 0
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            content = json.loads(line)
            missing = [key for key in keys if not isinstance(content.get(key), str)]
            if missing:
                message = f"{path}, line {number}: '{missing[0]}' is missing or not a text."
                raise EvaluationError(message)
            lines.append(content)
    except (OSError, UnicodeDecodeError) as exc:
        message = f"{path} cannot be read: {exc}"
        raise EvaluationError(message) from exc
    except (json.JSONDecodeError, AttributeError) as exc:
        message = f"{path}, line {number}: not a JSON object ({exc})."
        raise EvaluationError(message) from exc
    return lines


def _answer(event: Any) -> dict[str, Any]:
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


def _print_memories(memories: list[Any], as_json: bool) -> None:  # noqa: FBT001  # the option itself
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


def _print_figures(figures: dict[str, Any], as_json: bool) -> None:  # noqa: FBT001  # the option itself
    if as_json:
        print(json.dumps(figures, ensure_ascii=False))
        return
    for name, value in figures.items():
        print(f"{name}: {json.dumps(value) if isinstance(value, dict) else value}")
