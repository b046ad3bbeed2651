"""Files that take long to make, made once on a machine and kept in the user's cache folder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

log = logging.getLogger(__name__)


def made_once(name: str, make: Callable[[Path], None]) -> Path | None:
    """The file of that name, made if it is not there.

    Args:
        name: Says what is in it, down to the version of all that went into it.
        make: Writes it where it is told. `OSError`, `ValueError`, `LookupError` and
            `RuntimeError` mean that it cannot.

    Returns:
        Where it is; None if it cannot be made or kept, which is logged.
    """
    path = user_cache_path("orchestra") / name
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                log.info("Making %s, once", path)
                part = path.with_suffix(".part")
                make(part)
                part.replace(path)  # never a half-written file
    except (OSError, ValueError, LookupError, RuntimeError) as exc:
        log.warning("%s cannot be made (%s); it is slower without it", path, exc)
        return None
    return path
