"""Looks at every part from outside: what it is, whether it works, how to mend it."""

from __future__ import annotations

import contextlib
import platform
import shutil
import sys

from orchestra.assembly import PartStatus, open_orchestra
from orchestra.database import check_file, salvage
from orchestra.errors import OrchestraError, StorageError
from orchestra.settings import Settings

_ROOM_BYTES = 500_000_000


async def examine(settings: Settings) -> list[PartStatus]:
    """Open the house and ask every part; what does not open is a finding, not an error."""
    parts = [_python(), _disk(settings)]
    try:
        async with open_orchestra(settings) as house:
            with contextlib.suppress(OrchestraError):  # the status says so
                await house.warm()
            parts += await house.status()
    except OrchestraError as exc:
        name = type(exc).__name__.removesuffix("Error").lower()
        parts.append(PartStatus(name, ok=False, detail=str(exc), fix="See the message."))
    return parts


def mend(settings: Settings) -> list[str]:
    """Rebuild a damaged SQLite file from what can be read of it; vectors mend themselves at start.

    Returns:
        What was done, in lines for people.

    Raises:
        StorageError: the data folder cannot be written.
    """
    if settings.database_url is not None:
        return ["The database is PostgreSQL: use its own tools."]
    path = settings.data_dir / "orchestra.db"
    try:
        check_file(path)
    except StorageError as exc:
        if not path.exists():
            raise
        kept, saved = salvage(path)
        rows = ", ".join(f"{count} {table}" for table, count in saved.items())
        return [str(exc), f"Kept as {kept}. Saved: {rows}."]
    return [f"{path} is sound."]


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
