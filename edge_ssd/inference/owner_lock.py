"""One owner at a time: a second process on an Edge TPU crashes the first (edgetpu#237)."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from edge_ssd.errors import DeviceError
from edge_ssd.holders import named


class OwnerLock:
    """Locks an Edge TPU against other processes of this package.

    A numbered device of one kind (``usb:1``) is locked by itself; any other name may mean
    every device, and locks all of them. The kernel drops the lock when its process ends.
    folders: where the lock files go; the first that can be used. All owners must agree.
    """

    def __init__(self, device: str | None, folders: list[Path] | None = None) -> None:
        alone = device is not None and device[:4] in ("usb:", "pci:")
        self._wanted = [("edgetpu", fcntl.LOCK_SH if alone else fcntl.LOCK_EX)]
        if alone:
            self._wanted.append((f"edgetpu-{device}".replace(":", "-"), fcntl.LOCK_EX))
        self._device = device or "any Edge TPU"
        given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")
        last = tempfile.gettempdir()
        usual = [Path(folder) for folder in ("/run/lock/edge-ssd", *given, last) if folder]
        self._folders = usual if folders is None else folders
        self._held: list[int] = []

    def acquire(self) -> None:
        """Take the lock. Raises DeviceError that names who has it."""
        for name, kind in self._wanted:
            file = self._open(f"{name}.lock")
            self._held.append(file)
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                owners = _owners(file)
                self.release()
                who = ", ".join(map(named, owners)) or "a process that /proc hides"
                raise DeviceError(
                    f"the Edge TPU ({self._device}) is in use by {who}",
                    "an Edge TPU serves one process: stop that one, or with several sticks give "
                    "each process its own model.delegate_device, such as usb:1",
                ) from None

    def release(self) -> None:
        """Give the lock back; does nothing when it is not held."""
        while self._held:
            os.close(self._held.pop())

    def _open(self, name: str) -> int:
        for folder in self._folders:
            path = folder / name
            # A file of another user in a sticky folder may be opened, but not with O_CREAT.
            for flags in (os.O_RDONLY, os.O_RDONLY | os.O_CREAT):
                with suppress(OSError):
                    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        problem = f"no lock file {name} can be made in {' or '.join(map(str, self._folders))}"
        raise DeviceError(problem, "let this user write to one of them")


def _owners(file: int) -> list[int]:
    """Return the processes that hold a flock on an open file, as /proc/locks lists them."""
    wanted = str(os.fstat(file).st_ino)
    owners = set()
    with suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            # 1: FLOCK ADVISORY WRITE pid major:minor:inode 0 EOF; waiters have "->" second.
            if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == wanted:
                owners.add(int(fields[4]))
    return sorted(owners - {0, -1})
