"""The capture thread's work: read the source, open it again when it fails, hand frames over."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from edge_ssd.detector import Network, Prepared
from edge_ssd.errors import DeviceError
from edge_ssd.service.channels import Channel, Closed
from edge_ssd.service.pace import Pace
from edge_ssd.service.stats import Stats
from edge_ssd.service.worker import POLL_S
from edge_ssd.sources.base import EndOfStream, Source
from edge_ssd.types import Frame

log = logging.getLogger(__name__)

FIRST_RETRY_S, LAST_RETRY_S = 0.5, 30.0
"""A lost camera is tried again after so long, doubled each time up to the last, in seconds."""

GIVE_UP_S = 300.0
"""A camera lost for so long ends the service: a new process may get further, in seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """A frame on its way to the network; ``prepared`` where the capture thread resized it."""

    frame: Frame
    prepared: Prepared | None = None
    preprocess_ms: float = 0.0


class Capture:
    """Owns the source. ``begin``, ``step`` and ``end`` run in the capture thread.

    A live source that fails or stalls is closed and opened again, at growing intervals; the
    outage is logged once, and its end. It must have opened once: an error before that, and
    any error of a recorded source, is raised.

    pace: limits how many of a live source's frames are handed over; the others are dropped
        and counted. A recorded source has none.
    """

    def __init__(
        self,
        source: Source,
        detector: Network,
        outbox: Channel[Captured],
        stats: Stats,
        stall_timeout_s: float,
        clock_ns: Callable[[], int],
    ) -> None:
        self.source = source
        self.pace = Pace()
        self._detector = detector
        self._outbox = outbox
        self._stats = stats
        self._stall_timeout_s = stall_timeout_s
        self._clock_ns = clock_ns
        self._stopping = threading.Event()
        self._last_frame_s = 0.0
        self._lost_since_s: float | None = None
        self._retry_at_s = 0.0
        self._retry_s = FIRST_RETRY_S

    def request_stop(self) -> None:
        """Take no more frames; any thread may ask."""
        self._stopping.set()

    def begin(self) -> None:
        """Open the source."""
        self.source.open()
        self._last_frame_s = self._now_s()

    def step(self) -> None:
        """Read one frame and hand it over. Raises Closed at the end."""
        if self._stopping.is_set():
            raise Closed
        try:
            if self._lost_since_s is not None and not self._reopen():
                return
            frame = self.source.read(POLL_S)
            if frame is None:
                self._check_stall()
        except EndOfStream:
            raise Closed from None
        except DeviceError as error:
            self._lose(error)
            return
        if frame is not None:
            self._hand_over(frame)

    def end(self) -> None:
        """Close the source; what was handed over stays."""
        self._outbox.close()
        self.source.close()

    def _now_s(self) -> float:
        return self._clock_ns() / 1e9

    def _hand_over(self, frame: Frame) -> None:
        self._last_frame_s = self._now_s()
        if self._lost_since_s is not None:
            lost_s = self._last_frame_s - self._lost_since_s
            log.warning("%s: works again after %.1f s", self.source.name, lost_s)
            self._lost_since_s = None
        self._stats.count(captured=1)
        if self.source.live and not self.pace.admits(self._last_frame_s):
            self._stats.count(dropped=1)
            return
        try:
            self._stats.count(dropped=self._outbox.put(self._prepare(frame)))
        except Closed:
            self._stats.count(dropped=1)
            raise

    def _prepare(self, frame: Frame) -> Captured:
        if self.source.live:
            return Captured(frame)
        begun = self._clock_ns()
        prepared = self._detector.prepare(frame)
        return Captured(frame, prepared, (self._clock_ns() - begun) / 1e6)

    def _check_stall(self) -> None:
        silent_s = self._now_s() - self._last_frame_s
        if silent_s > self._stall_timeout_s:
            raise DeviceError(
                f"{self.source.name}: no frame for {silent_s:.1f} s",
                "check the camera and its cable, or raise stall_timeout_s",
            )

    def _lose(self, error: DeviceError) -> None:
        """Close a live source and plan the next try. Raises the error when there is none."""
        now_s = self._now_s()
        if not self.source.live:
            raise error
        if self._lost_since_s is None:
            self._lost_since_s, self._retry_s = now_s, FIRST_RETRY_S
            log.warning("%s; it is opened again until it works", error)
        if now_s - self._lost_since_s > GIVE_UP_S:
            raise error
        self.source.close()
        # Twenty cameras that lost one server must not all come back at the same moment.
        self._retry_at_s = now_s + self._retry_s * random.uniform(0.8, 1.2)
        self._retry_s = min(2 * self._retry_s, LAST_RETRY_S)

    def _reopen(self) -> bool:
        """Open a lost source once its time has come; return whether it is open."""
        if self._retry_at_s:
            wait_s = self._retry_at_s - self._now_s()
            if wait_s > 0:
                self._stopping.wait(min(wait_s, POLL_S))
                return False
            self.source.open()
            self._retry_at_s = 0.0
            self._last_frame_s = self._now_s()
        return True
