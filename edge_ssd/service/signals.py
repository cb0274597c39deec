"""SIGINT and SIGTERM: the first asks for a stop, the second forces it. SIGHUP: reload."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_signals(request_stop: Callable[[], None]) -> Iterator[list[int]]:
    """Call ``request_stop`` at the first SIGINT or SIGTERM, end the process at the second.

    Yields the list of signals received so far. Main thread only.
    """
    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        request_stop()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def hangups() -> Iterator[Callable[[], bool]]:
    """Take SIGHUP; yields what tells whether one came since it was last asked.

    A terminal that is closed sends one too: that is turned into a SIGTERM, so that no service
    outlives its terminal and holds the camera. Main thread only.
    """
    received: list[int] = []
    had_terminal = _has_terminal()

    def came() -> bool:
        if not received:
            return False
        received.clear()
        if had_terminal and not _has_terminal():
            signal.raise_signal(signal.SIGTERM)
            return False
        return True

    previous = signal.signal(signal.SIGHUP, lambda number, _frame: received.append(number))
    try:
        yield came
    finally:
        signal.signal(signal.SIGHUP, previous)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
