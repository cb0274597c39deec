"""Waits for what no event announces."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def wait_for(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Wait until ``condition()`` holds."""
    deadline, gate = time.monotonic() + timeout_s, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        gate.wait(0.002)
