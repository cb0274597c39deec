"""The watchdog's ping: sent only while no worker is blocked."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence

from edge_ssd.pipeline.worker import Worker
from edge_ssd.service.systemd import Manager

log = logging.getLogger(__name__)


class Watchdog:
    """Pings the manager four times per interval, unless a worker is blocked.

    A worker is blocked when one step, or opening or closing what it owns, takes more than half
    the interval. A worker that waits for room in a queue is blocked too, so the last one in the
    direction of the flow is reported: of a recorded source and a publisher that delivers
    nothing, the publisher.
    """

    def __init__(self, manager: Manager, clock: Callable[[], float] = time.monotonic) -> None:
        self._manager = manager
        self._clock = clock
        self._pinged_at = -math.inf
        self._reported: str | None = None

    def check(self, workers: Sequence[Worker]) -> None:
        """Ping if it is time and no worker is blocked; log a blocked worker once."""
        interval_s = self._manager.watchdog_s
        if interval_s is None:
            return
        silent = [(worker.silent_s, worker) for worker in workers]
        blocked = [pair for pair in silent if pair[0] > interval_s / 2 and not pair[1].join(0)]
        self._report(*blocked[-1] if blocked else (0.0, None))
        if not blocked and self._clock() - self._pinged_at >= interval_s / 4:
            self._manager.ping()
            self._pinged_at = self._clock()

    def _report(self, silent_s: float, blocked: Worker | None) -> None:
        if blocked is not None and blocked.name != self._reported:
            log.error("%s: blocked for %.0f s; watchdog ping withheld", blocked.name, silent_s)
            self._manager.status(f"{blocked.name} is blocked")
        elif blocked is None and self._reported is not None:
            log.warning("%s: no longer blocked", self._reported)
        self._reported = blocked.name if blocked is not None else None
