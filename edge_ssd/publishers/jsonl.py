"""JSON Lines: one message per line, to a file or to standard output."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from edge_ssd.checks import Check, Finding, System, Verdict, fail, ok
from edge_ssd.errors import Problem, PublishError
from edge_ssd.files import may
from edge_ssd.publishers.base import Publisher, PublisherOptions
from edge_ssd.publishers.message import encode, message
from edge_ssd.types import FrameResult

_LINE_START = b'{"schema":'  # with the first key of a message
_TAIL_BYTES = 1 << 20  # the longest half line; a message of 100 detections has 11 kB
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_REMEDIES = {
    errno.ENOENT: "create the folder {folder}",
    errno.EACCES: "let the user that runs this write there, or choose another folder",
    errno.EROFS: "choose a folder that can be written",
    errno.EISDIR: "name a file, not a folder",
    **dict.fromkeys(_DISK_FULL, "free some space; until then results are dropped"),
}


class JsonLinesOptions(PublisherOptions):
    """One JSON object per line, to stdout or a file."""

    type: Literal["jsonl"] = "jsonl"
    path: Path | None = None
    """The file; null for stdout. Its folder must exist."""
    max_bytes: int = Field(default=10_000_000, ge=1000)
    """The file is rotated before it grows beyond this size, in bytes."""
    backups: int = Field(default=3, ge=0, le=1000)
    """How many rotated files are kept: path.1 is the newest."""

    def make(self, name: str = "") -> JsonLinesPublisher:
        return JsonLinesPublisher(self)

    def checks(self) -> tuple[Check, ...]:
        """Return whether the folder exists and this process may write there."""
        if self.path is None:
            return ()
        folder = Check("outputs", partial(_folder, self.path), "path", exit_code=78, at_start=True)
        return folder, replace(folder, look=partial(_access, self.path), rights=True)


def shared_files(publishers: Sequence[PublisherOptions]) -> list[Problem]:
    """Return a problem for each publisher whose file, or stdout, an earlier one has."""
    problems, taken = [], set()
    for index, options in enumerate(publishers):
        if isinstance(options, JsonLinesOptions):
            file = options.path and os.path.realpath(options.path)
            if file in taken:
                text = f"another publisher has {options.path or 'stdout'} already"
                problems.append(Problem(f"publishers.{index}.path", text, "choose another file"))
            taken.add(file)
    return problems


def _folder(path: Path, system: System) -> Finding:
    folder = path.parent
    # systemd makes the units' RuntimeDirectory when the service starts.
    made = folder.parent == Path("/run") and f"{folder.name}-".startswith("edge-ssd-")
    if system.missing(folder) and not made:
        return fail(f"the folder {folder} does not exist", "create it, or correct the path")
    return ok(f"the folder {folder} exists")


def _access(path: Path, system: System) -> Finding:
    folder = _folder(path, system)
    if folder.verdict is Verdict.FAIL:
        return folder
    new = system.missing(path)
    target, wanted = (path.parent, os.W_OK | os.X_OK) if new else (path, os.R_OK | os.W_OK)
    if may(system.path(target), wanted) and not system.path(path).is_dir():
        return ok(f"{path} may be written by this user")
    return fail(f"{path} may not be written by this user", "choose a folder where it may")


class JsonLinesPublisher(Publisher):
    """Appends each result as one line.

    Each line is one write, at once: a reader that follows the file sees it immediately, and a
    crash of this process loses nothing. There is no fsync: the kernel gathers several seconds
    into one write, which wears an SD card less; a power cut may lose these seconds.

    The file holds only whole lines: one that cannot be written whole is cut off again, and on
    opening so is a half line that a power cut left. Once there is room writing continues.

    A line that would make the file larger than ``max_bytes`` goes to a new file; before that
    the file becomes file.1, file.1 becomes file.2 and so on. Standard output is endless.

    ``open`` raises PublishError when the file cannot be written, is in use by another
    publisher, or ends in something that is no message; ``publish`` when the line could not be
    written. A reader of standard output that went away is a plain BrokenPipeError.
    """

    def __init__(self, options: JsonLinesOptions) -> None:
        self.name = f"jsonl {options.path or 'stdout'}"
        self._options = options
        self._path = options.path
        self._fd: int | None = None
        self._half_line = False

    def open(self) -> None:
        """Open or create the file. A full disk raises nothing here: space may be freed later."""
        if self._path is None:
            if sys.stdout is None:
                raise PublishError("stdout is closed", "redirect it to a file")
            sys.stdout.flush()
            return
        try:
            self._fd = _open_file(self._path)
        except OSError as error:
            if error.errno not in _DISK_FULL:
                raise self._explain(error) from error

    def publish(self, result: FrameResult) -> None:
        line = encode(message(result)) + b"\n"
        try:
            self._write(self._file_with_room(len(line)), line)
        except OSError as error:
            if self._path is None and isinstance(error, BrokenPipeError):
                raise
            raise self._explain(error) from error

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None

    def _write(self, fd: int, line: bytes) -> None:
        size = os.fstat(fd).st_size
        data = memoryview(b"\n" + line if self._half_line else line)
        written = 0
        try:
            while written < len(data):
                written += os.write(fd, data[written:])
        except OSError:
            with suppress(OSError):
                if written and self._path:
                    os.ftruncate(fd, size)
                    written = 0
            # What could not be cut off becomes a line of its own.
            self._half_line |= written > 0
            raise
        self._half_line = False

    def _file_with_room(self, line_bytes: int) -> int:
        if self._path is None:
            return sys.stdout.fileno()
        if self._fd is None:
            self._fd = _open_file(self._path)
        size = os.fstat(self._fd).st_size
        if size and size + line_bytes > self._options.max_bytes:
            self._shift_backups(self._path)
            self.close()
            self._fd = _open_file(self._path)
        return self._fd

    def _shift_backups(self, path: Path) -> None:
        for number in range(self._options.backups, 0, -1):
            newer = Path(f"{path}.{number - 1}") if number > 1 else path
            with suppress(FileNotFoundError):  # a reader may have moved it away
                newer.replace(f"{path}.{number}")
        if not self._options.backups:
            path.unlink(missing_ok=True)

    def _explain(self, error: OSError) -> PublishError:
        if isinstance(error, PublishError):
            return error
        remedy = _REMEDIES.get(error.errno or 0, "check the disk")
        folder = self._path.parent if self._path else ""
        return PublishError(f"{self.name}: {error.strerror}", remedy.format(folder=folder))


def _open_file(path: Path) -> int:
    """Open for appending, alone, with the last line whole. Raises OSError or PublishError."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # Two writers would rotate each other's file away.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _cut_half_line(fd, path)
    except OSError as error:
        os.close(fd)
        if not isinstance(error, BlockingIOError):
            raise
        problem = f"{path} is being written by another process"
        raise PublishError(problem, "give each service its own file") from error
    return fd


def _cut_half_line(fd: int, path: Path) -> None:
    size = os.fstat(fd).st_size
    tail = os.pread(fd, _TAIL_BYTES, max(0, size - _TAIL_BYTES)) if size else b""
    half_line = tail[tail.rfind(b"\n") + 1 :]
    # A power cut can also leave zeros where data never reached the card.
    begun = half_line.rstrip(b"\0")
    if not (begun.startswith(_LINE_START) or _LINE_START.startswith(begun)):
        problem = f"{path} does not end in a message of this program"
        raise PublishError(problem, "choose another file")
    if half_line:
        os.ftruncate(fd, size - len(half_line))
