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
    found = []
    for pid in pids(*devices):
        with suppress(OSError):  # it has just ended
            found.append(f"{(_PROC / str(pid) / 'comm').read_text().strip()} (pid {pid})")
    return found


def pids(*devices: str | Path) -> list[int]:
    """Return the ids of the processes that ``holders`` names."""
    patterns = [os.path.realpath(device) for device in devices]
    others = {int(path.name) for path in _PROC.glob("[0-9]*")} - {os.getpid()}
    return [pid for pid in sorted(others) if _has_open(_PROC / str(pid), patterns)]


def _has_open(process: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(path, pattern) for path in _open(process) for pattern in patterns)


def _open(process: Path) -> Iterator[str]:
    with suppress(OSError):  # it has ended, or is another user's
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                yield str(descriptor.readlink())
