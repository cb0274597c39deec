"""Who has a device open, as /proc tells it."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def holders(*devices: str | Path) -> list[str]:
    """Return ``name (pid N)`` of every other process that has such a device open.

    devices: paths, links among them, or shell patterns such as ``/dev/video*``. Processes of
    other users show only to root.
    """
    patterns = [os.path.realpath(device) for device in devices]
    found = []
    for process in sorted(_PROC.glob("[0-9]*"), key=lambda path: int(path.name)):
        if int(process.name) != os.getpid() and _has_open(process, patterns):
            with suppress(OSError):  # it has just ended
                name = (process / "comm").read_text().strip()
                found.append(f"{name} (pid {process.name})")
    return found


def _has_open(process: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(path, pattern) for path in _open(process) for pattern in patterns)


def _open(process: Path) -> Iterator[str]:
    with suppress(OSError):  # it has ended, or is another user's
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                yield str(descriptor.readlink())
