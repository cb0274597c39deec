"""Write files atomically, and find out what this user may read and write."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_ssd.errors import PublishError

_HOMES = ("/home", "/root", "/run/user")


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path``, with its ending, that is gone when the block ends."""
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        yield part
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path, mode: int = 0o644, sync: bool = True) -> Iterator[Path]:
    """Yield the path of a new file beside ``path``, which takes its place when the block ends.

    The new name ends as the old one does. When the block raises, nothing of it is left.
    mode: the file's, whatever the umask. sync: write it to the disk before it is renamed, so that
        a power cut leaves the old file or the new one. Raises OSError.
    """
    with beside(path) as part:
        yield part
        part.chmod(mode)
        if sync:
            _sync(part)
        part.replace(path)
        if sync:
            _sync(path.parent)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn any OSError of the block into a PublishError that names the file."""
    try:
        yield
    except OSError as error:
        remedy = "run as root" if isinstance(error, PermissionError) else "name another place"
        raise PublishError(f"{path} cannot be written: {error.strerror}", remedy) from None


def make_folder(path: Path) -> None:
    """Make a folder and those above it, readable by all whatever the umask. Raises OSError."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    path.chmod(0o755)


def check_folder(path: Path) -> None:
    """Make a folder if it is missing, and check that files can be made in it. Raises OSError."""
    make_folder(path)
    check_writable(path)


def check_writable(folder: Path) -> None:
    """Check that files can be made in a folder. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder):
        pass


def is_file(path: Path) -> bool:
    """Return whether a file exists; False where its folder may not be read."""
    return os.path.isfile(path)  # noqa: PTH113 - Path's raises without permission


def hidden(path: Path) -> PermissionError | None:
    """Return the error where permissions hide whether a file exists, else None."""
    try:
        path.stat()
    except PermissionError as error:
        return error
    except (OSError, ValueError):
        pass  # no such file, or a name that no file can have
    return None


def may(path: Path, wanted: int = os.R_OK | os.W_OK) -> bool:
    """Return whether this user may access a file; wanted: os.R_OK, os.W_OK, os.X_OK."""
    return os.access(path, wanted, effective_ids=True)


def remedy(path: Path, error: OSError) -> str:
    """Return the remedy for a file that cannot be read."""
    if not isinstance(error, PermissionError):
        return "check the path"
    if any(path.is_relative_to(home) for home in _HOMES):
        return (
            "let the user that runs this read it; a service sees no home folders: for it, put the "
            "file below /etc/edge-ssd or /usr/local/share"
        )
    return "let the user that runs this read it, and enter the folders above it"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
