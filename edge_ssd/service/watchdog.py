"""The watchdog's ping: sent only while every worker moves."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from edge_ssd.pipeline.worker import Worker
from edge_ssd.service.systemd import Manager

log = logging.getLogger(__name__)


class Watchdog:
    """Pings the manager four times an interval, unless a worker hangs.

    A worker hangs that has been in one step, or in opening or closing what it owns, for more
    than half the interval. One that waits for the next worker to make room is silent too, so
    the last of those that hang, down the street, is the one to blame: of a recorded source
    and a publisher that delivers nothing, the publisher.
    """

    def __init__(self, manager: Manager, clock: Callable[[], float] = time.monotonic) -> None:
        self._manager = manager
        self._clock = clock
        self._pinged_at: float | None = None
        self._blamed: str | None = None

    def check(self, workers: Sequence[Worker]) -> None:
        """Ping if it is time and every worker moves; say once who does not."""
        interval_s = self._manager.watchdog_s
        if interval_s is None:
            return
        silent = [(worker.silent_s, worker) for worker in workers]
        hung = [pair for pair in silent if pair[0] > interval_s / 2 and not pair[1].join(0)]
        self._report(*hung[-1] if hung else (0.0, None))
        if hung or self._pinged_recently(interval_s / 4):
            return
        self._manager.ping()
        self._pinged_at = self._clock()

    def _pinged_recently(self, period_s: float) -> bool:
        return self._pinged_at is not None and self._clock() - self._pinged_at < period_s

    def _report(self, silent_s: float, hung: Worker | None) -> None:
        if hung is not None and hung.name != self._blamed:
            log.error("%s hangs for %.0f s; the watchdog is told nothing", hung.name, silent_s)
            self._manager.status(f"{hung.name} hangs")
        elif hung is None and self._blamed is not None:
            log.warning("%s goes on", self._blamed)
        self._blamed = hung.name if hung is not None else None
