"""SIGHUP: reload."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


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
