"""Looks at every part from outside: what it is, whether it works, how to mend it."""

from __future__ import annotations

import platform
import shutil
import sys

from filelock import FileLock, Timeout

from orchestra.environment import prepare_environment
from orchestra.errors import OrchestraError, PersonaError, StorageError
from orchestra.llm.embedding import Embedder
from orchestra.memory.vectors import LOCK_NAME
from orchestra.parts import open_database, open_roster, open_speaker, open_vectors
from orchestra.salvage import damage_of, salvage
from orchestra.settings import Settings
from orchestra.types.status import PartStatus

_ROOM_BYTES = 500_000_000


async def examine(settings: Settings) -> list[PartStatus]:
    """Try every part by itself, so that one that fails hides no other."""
    prepare_environment(settings)
    parts = [_python(), _disk(settings)]
    for part, look, fix in (
        ("personas", _personas, "Mend what the message names, then 'orchestra personas check'."),
        ("database", _database, "See the message."),
        ("vectors", _vectors, "Vectors are rebuilt from the database at the next start."),
        ("model", _model, "See the message, then try again."),
        ("embeddings", _embeddings, "Run 'make setup'."),
    ):
        try:
            parts.append(PartStatus(part, ok=True, detail=await look(settings)))
        except OrchestraError as exc:
            parts.append(PartStatus(part, ok=False, detail=str(exc), fix=fix))
    return parts


def mend(settings: Settings) -> list[str]:
    """Rebuild a damaged SQLite file from what can be read of it; vectors mend themselves at start.

    Returns:
        What was done, in lines for people.

    Raises:
        StorageError: the data folder cannot be written, or a server is using it.
    """
    if settings.database_url is not None:
        return ["The database is PostgreSQL: use its own tools."]
    path = settings.data_dir / "orchestra.db"
    damage = damage_of(path)
    if damage is None:
        return [f"{path} is sound."]
    try:
        with FileLock(settings.data_dir / LOCK_NAME, timeout=0):
            kept, saved = salvage(path)
    except Timeout as exc:
        message = f"{path} is damaged ({damage}), but a server is using it. Stop it, then repair."
        raise StorageError(message) from exc
    rows = ", ".join(f"{count} {table}" for table, count in saved.items())
    return [f"{path} was damaged: {damage}.", f"Kept as {kept}. Saved: {rows}."]


async def _personas(settings: Settings) -> str:
    async with open_roster(settings) as roster:
        personas = await roster.current()
        status = roster.status()
        if status.last_error:
            raise PersonaError(status.last_error)
    names = ", ".join(persona.name for persona in personas.members)
    return f"{status.source}: {names}"


async def _database(settings: Settings) -> str:
    async with open_database(settings) as database:
        await database.check()
        return database.description


async def _vectors(settings: Settings) -> str:
    async with open_vectors(settings) as vectors:
        return f"{vectors.description}, {await vectors.check()} vectors"


async def _model(settings: Settings) -> str:
    async with open_speaker(settings) as (speaker, _):
        return await speaker.check()


async def _embeddings(settings: Settings) -> str:
    embedder = Embedder(settings.embedding_model)
    try:
        await embedder.open()
    finally:
        await embedder.close()
    return f"{embedder.name}, {embedder.width} numbers per text"


def _python() -> PartStatus:
    version = platform.python_version()
    ok = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return PartStatus("python", ok, version, "" if ok else "Use Python 3.11, 3.12 or 3.13.")


def _disk(settings: Settings) -> PartStatus:
    folder = settings.data_dir.resolve()
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(existing).free
    ok = free > _ROOM_BYTES
    detail = f"{folder}, {free / 1e9:.1f} GB free"
    return PartStatus(
        "data folder", ok, detail, "" if ok else "Free some space, or set ORCHESTRA_DATA_DIR."
    )
