"""A thread that repeats one step until its input ends, a stop is requested, or it fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_ssd.channels import Closed

log = logging.getLogger(__name__)

POLL_S = 0.2  # no step waits longer than this, so that a worker's heartbeat stays fresh


@dataclass(eq=False)
class Worker:
    """Runs ``begin`` once, ``step`` again and again, and ``end`` once whatever happens.

    ``step`` raises Closed when there is nothing left to do. Any other exception is the
    worker's ``error``, and ``on_error`` is called with the worker, in its thread.
    """

    name: str
    step: Callable[[], None]
    on_error: Callable[[Worker], None]
    begin: Callable[[], None] = lambda: None
    end: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.error: BaseException | None = None
        self._last_beat = self.clock()
        # A daemon, so that a step stuck in a driver cannot keep the process alive.
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; return whether it has ended (or never started)."""
        if self._thread.ident is not None:
            self._thread.join(max(timeout_s, 0.0))
        return not self._thread.is_alive()

    @property
    def silent_s(self) -> float:
        """Seconds since the last step began."""
        return self.clock() - self._last_beat

    def _run(self) -> None:
        try:
            try:
                self.begin()
                while True:
                    self._last_beat = self.clock()
                    self.step()
            except Closed:
                pass
            finally:
                self.end()
        except BaseException as error:  # whatever it is, the service must stop with it
            self.error = error
            log.debug("worker %s failed", self.name, exc_info=True)
            self.on_error(self)
