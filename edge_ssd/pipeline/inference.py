"""The inference thread's work: frames to raw heads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from edge_ssd.channels import Channel, Closed
from edge_ssd.errors import DeviceError
from edge_ssd.inference.backend import Backend, InvokeLost
from edge_ssd.pipeline.capture import Captured
from edge_ssd.pipeline.outage import Outage
from edge_ssd.pipeline.stats import Stats
from edge_ssd.pipeline.worker import POLL_S
from edge_ssd.types import Frame, Geometry, RawHeads


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """The raw heads of a frame, and how long they took."""

    frame: Frame
    heads: RawHeads
    geometry: Geometry
    preprocess_ms: float
    inference_ms: float


class Inference:
    """Owns the backend. ``begin``, ``step`` and ``end`` run in the inference thread.

    For a live source, a device that cannot be opened is retried, at growing intervals.

    opening: whether the backend is being opened now; any thread may read it.
    """

    def __init__(
        self,
        backend: Backend,
        inbox: Channel[Captured],
        outbox: Channel[Inferred],
        stats: Stats,
        clock_ns: Callable[[], int],
    ) -> None:
        self._backend = backend
        self._inbox = inbox
        self._outbox = outbox
        self._stats = stats
        self._clock_ns = clock_ns
        self._finished: Inferred | None = None
        self._invoked_ns: int | None = None
        self.opening = False
        self.outage = Outage(backend.spec.name, lambda: clock_ns() / 1e9)

    @property
    def invoking_s(self) -> float:
        """Seconds that the current inference has taken so far; 0 between two. Any thread."""
        begun = self._invoked_ns
        return 0.0 if begun is None else (self._clock_ns() - begun) / 1e9

    def begin(self) -> None:
        """Open the backend, or plan a retry. Raises DeviceError when there is none."""
        self.opening = True
        try:
            self._backend.open()
        except DeviceError as error:
            if not self._inbox.lossy:
                raise
            self.outage.failed(error)
        else:
            self.outage.over()
        finally:
            self.opening = False

    def step(self) -> None:
        """Infer one frame, or lose it with the backend. Raises Closed when there are no more."""
        if not self._ready():
            self._hand_over()
            if self._inbox.drained or (self._inbox.closed and self.outage.reason):
                self._stats.count(dropped=self._inbox.abort())
                raise Closed
            return
        item = self._inbox.get(0 if self._finished else POLL_S)
        if item is None or not item.prepared:
            self._hand_over()
        if item is None:
            return
        begun = self._clock_ns()
        if item.prepared:
            geometry = self._backend.set_prepared(item.prepared)
        else:
            geometry = self._backend.set_frame(item.frame)
        self._hand_over()
        ready = self._invoked_ns = self._clock_ns()
        try:
            heads = self._backend.invoke()
        except InvokeLost:
            self._stats.count(dropped=1)
            return
        finally:
            self._invoked_ns = None
        done = self._clock_ns()
        self._stats.count(inferred=1)
        preprocess_ms = item.preprocess_ms + (ready - begun) / 1e6
        self._finished = Inferred(item.frame, heads, geometry, preprocess_ms, (done - ready) / 1e6)

    def end(self) -> None:
        """Pass the finished heads on, and close the backend."""
        with suppress(Closed):
            self._hand_over()
        self._outbox.close()
        self._backend.close()

    def _ready(self) -> bool:
        """Return whether the backend can take a frame, after 0.2 s at most unless it opens."""
        if self.outage.reason is None:
            return self._backend.wait_ready(POLL_S)
        if self.outage.retry_due():
            self.begin()
        return self.outage.reason is None

    def _hand_over(self) -> None:
        """Pass the finished heads on; for a prepared frame, just before the next inference.

        Inference runs without Python's lock. Passed on earlier, the heads would wake the
        postprocessing thread, which would take that lock from this one.
        """
        finished, self._finished = self._finished, None
        if finished:
            self._outbox.put(finished)
