"""Child processes that may crash or hang: how one ended, in words, and a function run in one."""

from __future__ import annotations

import os
import pickle
import resource
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

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
    it prints is thrown away, but for the last line before a crash. Raises Ended when it
    crashes, raises, or takes longer than ``limit_s``.
    """
    reading, writing = os.pipe()
    printed = os.memfd_create("printed")
    pid = os.fork()
    if pid == 0:
        _work(work, writing, printed)
    os.close(writing)
    answer = None
    try:
        answer = _receive(reading, limit_s)
    finally:
        os.close(reading)
        code = _end(pid, killed=answer is None)
        said = _last_line(printed)
    if answer:
        result: T = pickle.loads(answer)
        return result
    if answer is None:
        raise Ended(f"it took longer than {limit_s:g} s")
    raise Ended(f"its process {ending(code, said)}")


def _work(work: Callable[[], object], writing: int, printed: int) -> NoReturn:
    """Be the child."""
    status = 1
    try:
        os.setpgid(0, 0)  # what it starts is ended with it
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # nor is a crash written to the card
        null = os.open(os.devnull, os.O_RDONLY)
        for number, file in enumerate((null, printed, printed)):
            os.dup2(file, number)
        answer = pickle.dumps(work())
        with open(writing, "wb") as stream:
            stream.write(answer)
        status = 0
    except BaseException as error:
        with suppress(OSError):
            os.write(printed, f"\n{type(error).__name__}: {error}".encode(errors="replace"))
    finally:
        os._exit(status)


def _receive(reading: int, limit_s: float) -> bytes | None:
    """Return all that comes until the other end is closed; None after ``limit_s``."""
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    until = time.monotonic() + limit_s
    parts: list[bytes] = []
    while poll.poll(max(until - time.monotonic(), 0) * 1000):
        part = os.read(reading, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return None


def _end(pid: int, killed: bool) -> int | None:
    """Wait for the process, or kill it and what it started; return its exit code."""
    if killed:
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
    # A process that hangs inside a driver dies only when that returns: nobody waits for it.
    for _ in range(20):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    return None


def _last_line(printed: int) -> str:
    with open(printed, "rb") as stream:
        stream.seek(0)
        lines = stream.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
