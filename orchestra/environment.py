"""What has to stand in the process's environment before a vendor's package is imported."""

from __future__ import annotations

import gc
import os
import secrets
import sys
from pathlib import Path

from threadpoolctl import threadpool_limits

from orchestra.errors import StorageError
from orchestra.settings import ROOT, Settings, read_settings

_GIVES_WAY_SECONDS = 0.001
_OBJECTS_BETWEEN_COLLECTIONS = 10_000


def prepare_environment(settings: Settings | None = None) -> None:
    """Tell vendors, through the only channel they read, to stay quiet and local, and where we are.

    Args:
        settings: Those of this process; None reads them.

    Raises:
        StorageError: the data folder, which keeps the secret of sessions, cannot be written.
    """
    collect_rarely()
    keep_vendors_quiet()
    os.environ["CHAINLIT_APP_ROOT"] = str(ROOT)
    data_dir = (settings or read_settings()).data_dir
    os.environ["CREWAI_STORAGE_DIR"] = str(data_dir.absolute() / "crewai")
    os.environ.setdefault("CHAINLIT_AUTH_SECRET", _kept_secret(data_dir / "sign-in.secret"))


def keep_vendors_quiet() -> None:
    """Tell vendors to ask nobody elsewhere, to report nothing, and to take one thread."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["ANONYMIZED_TELEMETRY"] = "False"
    os.environ["OTEL_SDK_DISABLED"] = "true"
    for switch in ("TELEMETRY", "TRACKING", "VERSION_CHECK"):
        os.environ[f"CREWAI_DISABLE_{switch}"] = "true"
    os.environ["CREWAI_TRACING_ENABLED"] = "false"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["TQDM_DISABLE"] = "1"


def collect_rarely() -> None:
    """Look for garbage less often than Python would, which does so after 700 new objects.

    A million of them come with the vendors' modules, and stay: looking through these again and
    again is a quarter of the time that a start takes.
    """
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)


def limit_threads() -> None:
    """Keep threads out of the way of whoever waits for an answer.

    Numpy's linear algebra gets one, for what was imported by now: ours is a product of a matrix
    and a vector per message, for which a second thread saves nothing, and waits for the next one
    at full speed, on a core that somebody else's message needs. And whoever computes in a thread,
    as agents do, gives way after a millisecond instead of five.
    """
    threadpool_limits(limits=1, user_api="blas")
    sys.setswitchinterval(_GIVES_WAY_SECONDS)


def _kept_secret(path: Path) -> str:
    """A random secret of this data folder, readable by its owner alone.

    Raises:
        StorageError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(48), encoding="utf-8")
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        message = (
            f"The data folder {path.parent} cannot be written ({exc.strerror or exc}). "
            "Free space or permissions there, or set ORCHESTRA_DATA_DIR."
        )
        raise StorageError(message) from exc
