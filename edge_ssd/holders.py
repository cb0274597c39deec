"""Who has a device open, as /proc shows it."""

from __future__ import annotations

import os
import stat
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_TERMINALS = range(136, 144)  # majors whose numbers begin anew in each container's /dev/pts


def holders(*devices: str | Path) -> list[str]:
    """Return ``name (pid N)`` of every other process that has such a device open.

    devices: paths, or patterns such as ``/dev/video*``. Processes of other users show only to root.
    """
    wanted = {_identity(file) for device in devices for file in _files(Path(device))} - {None}
    others = {int(path.name) for path in _PROC.glob("[0-9]*")} - {os.getpid()} if wanted else ()
    return [named(pid) for pid in sorted(others) if _has_open(_PROC / str(pid), wanted)]


def named(pid: int) -> str:
    """Return ``name (pid N)`` of a process; ``a process (pid N)`` where /proc hides its name."""
    name = "a process"
    with suppress(OSError):
        name = (_PROC / str(pid) / "comm").read_text().strip()
    return f"{name} (pid {pid})"


def _files(device: Path) -> list[Path]:
    # As a name first: one in by-id may have a bracket.
    return [device] if os.path.lexists(device) else list(device.parent.glob(device.name))


def _has_open(process: Path, wanted: Container[object]) -> bool:
    with suppress(OSError):  # it has ended, or is another user's
        return any(_identity(entry) in wanted for entry in (process / "fd").iterdir())
    return False


def _identity(path: Path) -> tuple[int, ...] | None:
    """Return what a file is, by whatever name a container has it: a device by its number."""
    try:
        found = path.stat()
    except OSError:  # it has just been closed, or unplugged
        return None
    is_device = stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) not in _TERMINALS
    return (found.st_rdev,) if is_device else (found.st_dev, found.st_ino)
