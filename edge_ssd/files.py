"""Files that are whole or not there at all, and folders that everybody may read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield the path of a file beside ``path`` that is gone when the block ends.

    Its name ends as the other one's does.
    """
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        yield part
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield the path of a new file beside ``path``, which takes its place when the block ends.

    The new name ends as the old one does. It is on the disk before it is renamed, so that a power
    cut leaves the old file or the new one. When the block raises, nothing of it is left.
    mode: the file's, whatever the umask. Raises OSError.
    """
    with beside(path) as part:
        yield part
        part.chmod(mode)
        _sync(part)
        part.replace(path)
        _sync(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, readable by all whatever the umask. Raises OSError."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    path.chmod(0o755)


def check_folder(path: Path) -> None:
    """Make a folder if need be, and see that files can be made in it. Raises OSError."""
    make_folder(path)
    with tempfile.TemporaryFile(dir=path):
        pass


def is_file(path: Path) -> bool:
    """Whether a file is there and can be seen; False where the folder above may not be read."""
    return os.path.isfile(path)  # noqa: PTH113 - Path's raises for what it may not look at


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
