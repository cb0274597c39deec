"""The capture thread's work: read the source, retry it when it fails, queue its frames."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from edge_ssd.channels import Channel, Closed
from edge_ssd.errors import DeviceError
from edge_ssd.inference.backend import Backend, Prepared
from edge_ssd.pipeline.outage import Outage
from edge_ssd.pipeline.pace import Pace
from edge_ssd.pipeline.stats import Stats
from edge_ssd.pipeline.worker import POLL_S
from edge_ssd.sources.base import EndOfStream, Source
from edge_ssd.types import Frame

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """A frame to be inferred; ``prepared`` where the capture thread resized it."""

    frame: Frame
    prepared: Prepared | None = None
    preprocess_ms: float = 0.0


class Capture:
    """Owns the source. ``begin``, ``step`` and ``end`` run in the capture thread.

    A live source that fails, stalls or cannot be opened is closed and retried, at growing
    intervals. Any error of a recorded source is raised.

    pace: limits how many of a live source's frames are inferred; the others are dropped and
        counted. A recorded source has none.
    """

    def __init__(
        self,
        source: Source,
        backend: Backend,
        outbox: Channel[Captured],
        stats: Stats,
        stall_timeout_s: float,
        clock_ns: Callable[[], int],
    ) -> None:
        self.source = source
        self.pace = Pace()
        self._backend = backend
        self._outbox = outbox
        self._stats = stats
        self._stall_timeout_s = stall_timeout_s
        self._clock_ns = clock_ns
        self._stopping = threading.Event()
        self._open = False
        self._last_frame_s = 0.0
        self.outage = Outage(source.name, self._now_s, self._stopping.wait)

    def request_stop(self) -> None:
        """Take no more frames; any thread may call it."""
        self._stopping.set()

    def begin(self) -> None:
        """Open the source, or plan a retry. Raises DeviceError when there is none."""
        try:
            self._open_source()
        except DeviceError as error:
            self._lose(error)
        else:
            if self.source.live:
                log.info("%s: connected", self.source.name)

    def step(self) -> None:
        """Read one frame and queue it. Raises Closed at the end."""
        if self._stopping.is_set():
            raise Closed
        try:
            if not self._open:
                if not self.outage.retry_due():
                    return
                self._open_source()
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
        """Close the source; queued frames stay."""
        self._outbox.close()
        self.source.close()

    def _now_s(self) -> float:
        return self._clock_ns() / 1e9

    def _hand_over(self, frame: Frame) -> None:
        self._last_frame_s = self._now_s()
        self.outage.over()
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
        prepared = self._backend.prepare(frame)
        return Captured(frame, prepared, (self._clock_ns() - begun) / 1e6)

    def _check_stall(self) -> None:
        silent_s = self._now_s() - self._last_frame_s
        if silent_s > self._stall_timeout_s:
            raise DeviceError(
                f"{self.source.name}: no frame for {silent_s:.1f} s",
                "check the camera and its cable, or raise stall_timeout_s",
            )

    def _open_source(self) -> None:
        self.source.open()
        self._open = True
        self._last_frame_s = self._now_s()

    def _lose(self, error: DeviceError) -> None:
        """Close a live source until it is retried. Raises the error when it is not."""
        if not self.source.live:
            raise error
        self.outage.failed(error)
        self.source.close()
        self._open = False
