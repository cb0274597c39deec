"""Child processes that may crash or hang: how one ended, in words, and a function run in one."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, TypeVar

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

T = TypeVar("T")


class Ended(Exception):
    """The process gave no answer; the text says how it ended."""


def ending(code: int | None, said: str = "") -> str:
    """Return how a process ended, in words.

    code: its exit status; negative for the signal that ended it; None while it still runs.
    said: the last line it printed, or nothing.
    """
    if code is None:
        how = "does not end"
    elif code < 0:
        how = f"was ended by {signal.Signals(-code).name} ({signal.strsignal(-code)})"
    else:
        how = f"ended with status {code}"
    return f"{how}, saying: {said}" if said else how


def isolated(work: Callable[[], T], limit_s: float) -> T:
    """Return what ``work`` returns, which must be picklable, from a forked process.

    A fork rather than a new Python: it starts at once on a Pi Zero, and works where a program
    cannot be started, as under emulation. Only sound while this process has one thread. What
    it prints is discarded, except the last line before a crash. Raises Ended when it
    crashes, raises, or takes longer than ``limit_s``.
    """
    from multiprocessing import Pipe  # noqa: PLC0415 - slow, and only checks need it

    reading, writing = Pipe(duplex=False)
    printed = os.memfd_create("printed")
    pid = os.fork()
    if pid == 0:
        _work(work, writing, printed)
    writing.close()
    answers: list[T] = []
    in_time = False
    try:
        if in_time := reading.poll(limit_s):
            with suppress(OSError, EOFError):  # it ended without an answer
                answers.append(reading.recv())
    finally:
        reading.close()
        code = _end(pid, killed=not in_time)
        said = _last_line(printed)
    if answers:
        return answers[0]
    if not in_time:
        raise Ended(f"it took longer than {limit_s:g} s")
    raise Ended(f"its process {ending(code, said)}")


def _work(work: Callable[[], object], writing: Connection, printed: int) -> NoReturn:
    """Run in the child: do the work, send what it returns, and end."""
    status = 1
    try:
        os.setpgid(0, 0)  # what it starts is ended with it
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash writes no core file
        null = os.open(os.devnull, os.O_RDONLY)
        for number, file in enumerate((null, printed, printed)):
            os.dup2(file, number)
        writing.send(work())
        status = 0
    except BaseException as error:
        with suppress(OSError):
            os.write(printed, f"\n{type(error).__name__}: {error}".encode(errors="replace"))
    finally:
        os._exit(status)


def _end(pid: int, killed: bool) -> int | None:
    """Wait for the process, or kill it and what it started; return its exit code."""
    if killed:
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
    # A process that hangs inside a driver dies only when that returns: the wait has a limit.
    for _ in range(20):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    return None


def _last_line(printed: int) -> str:
    with open(printed, "rb") as stream:
        stream.seek(0)
        return stream.read().decode("utf-8", "replace").strip().rpartition("\n")[2].strip()
