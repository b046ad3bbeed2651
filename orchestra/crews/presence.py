"""Names of workers that tell, on the same machine, whether their process is still there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import uuid
from functools import cache
from pathlib import Path

_SOURCES = ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid")


def own_name() -> str:
    """A name for this process that no other ever has."""
    return f"{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def is_gone(name: str) -> bool:
    """Whether a worker of this machine is certainly gone; elsewhere only silence can tell."""
    machine, pid, _ = name.split("-")
    if machine != _machine():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's, so not ours; it may be the number's next owner
        return False
    return False


@cache
def _machine() -> str:
    """What two processes have in common if they see each other's numbers, and only then."""
    marks = [socket.gethostname()]
    for source in _SOURCES:
        with contextlib.suppress(OSError):
            path = Path(source)
            marks.append(str(path.readlink()) if path.is_symlink() else path.read_text("utf-8"))
    return hashlib.sha256("\0".join(marks).encode()).hexdigest()[:12]
