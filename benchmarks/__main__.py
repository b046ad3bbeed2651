"""All benchmarks in turn, each in a process of its own."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from pathlib import Path

import psutil

from benchmarks.table import Row, show

NAMES = ("startup", "routing", "personas", "memory", "embedded", "chat", "crews")


async def main() -> int:
    """Print the machine, then every table; returns how many benchmarks could not be run."""
    one, five, fifteen = os.getloadavg()
    show(
        "Machine",
        [
            Row("processor", f"{_processor()}, {os.cpu_count()} cores", "2 idle cores"),
            Row("memory", f"{psutil.virtual_memory().total / 2**30:.1f} GiB"),
            Row("load before (1, 5, 15 minutes)", f"{one:.2f}, {five:.2f}, {fifteen:.2f}"),
            Row("Python", f"{platform.python_version()} on {platform.platform(terse=True)}"),
        ],
    )
    failed = 0
    for name in NAMES:
        command = (sys.executable, "-m", f"benchmarks.{name}")
        process = await asyncio.create_subprocess_exec(*command)
        failed += await process.wait() != 0
    return failed


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


if __name__ == "__main__":
    sys.exit(1 if asyncio.run(main()) else 0)
