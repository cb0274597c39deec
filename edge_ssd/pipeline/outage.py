"""A camera or backend that fails: when it is tried again, what is logged, when to give up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from edge_ssd.backoff import Backoff
from edge_ssd.errors import DeviceError
from edge_ssd.pipeline.worker import POLL_S

log = logging.getLogger(__name__)

FIRST_RETRY_S, LAST_RETRY_S = 0.5, 30.0
"""A device is tried again after so long, doubled each time up to the last, in seconds."""

GIVE_UP_S = 300.0
"""A device that fails for so long ends the service: a new process may get further, in seconds."""


class Outage:
    """One device, from its first failure until it works; both are logged, once.

    For the thread that owns the device; ``reason`` may be read by any.

    what: the device, as it is called in the log. wait: sleeps for so many seconds, or less.
    """

    def __init__(
        self,
        what: str,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self.reason: str | None = None
        self._what = what
        self._clock = clock
        self._wait = wait
        self._since_s = self._retry_at_s = 0.0
        self._backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S, jitter=(0.8, 1.2))

    def failed(self, error: DeviceError) -> None:
        """Plan the next try. Raises the error when there is none."""
        now_s = self._clock()
        if self.reason is None:
            self._since_s = now_s
            self._backoff.reset()
            log.warning("%s; retrying", error)
        if now_s - self._since_s > GIVE_UP_S:
            raise error
        self.reason = error.problem
        self._retry_at_s = now_s + self._backoff.next_s()

    def retry_due(self) -> bool:
        """Wait for the next try, 0.2 s at most; return whether its time has come."""
        early_s = self._retry_at_s - self._clock()
        if early_s > 0:
            self._wait(min(early_s, POLL_S))
        return early_s <= 0

    def over(self) -> None:
        """The device works, whether it had failed or not."""
        if self.reason is not None:
            lasted_s = self._clock() - self._since_s
            log.warning("%s: works again after %.1f s", self._what, lasted_s)
            self.reason = None
