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


@dataclass(eq=False)
class Inference:
    """Owns the backend. ``begin``, ``step`` and ``end`` run in the inference thread.

    For a live source, a device that cannot be opened is retried, at growing intervals.
    opening: whether the backend is being opened now; any thread may read it.
    """

    backend: Backend
    inbox: Channel[Captured]
    outbox: Channel[Inferred]
    stats: Stats
    clock_ns: Callable[[], int]

    def __post_init__(self) -> None:
        self._finished: Inferred | None = None
        self._invoked_ns: int | None = None
        self.opening = False
        self.outage = Outage(self.backend.spec.name, lambda: self.clock_ns() / 1e9)

    @property
    def invoking_s(self) -> float:
        """Seconds that the current inference has taken so far; 0 between two. Any thread."""
        begun = self._invoked_ns
        return 0.0 if begun is None else (self.clock_ns() - begun) / 1e9

    def begin(self) -> None:
        """Open the backend, or plan a retry. Raises DeviceError when there is none."""
        self.opening = True
        try:
            self.backend.open()
        except DeviceError as error:
            if not self.inbox.lossy:
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
            if self.inbox.drained or (self.inbox.closed and self.outage.reason):
                self.stats.count(dropped=self.inbox.abort())
                raise Closed
            return
        item = self.inbox.get(0 if self._finished else POLL_S)
        if item is None or not item.prepared:
            self._hand_over()
        if item is None:
            return
        begun = self.clock_ns()
        if item.prepared:
            geometry = self.backend.set_prepared(item.prepared)
        else:
            geometry = self.backend.set_frame(item.frame)
        self._hand_over()
        ready = self._invoked_ns = self.clock_ns()
        try:
            heads = self.backend.invoke()
        except InvokeLost:
            self.stats.count(dropped=1)
            return
        finally:
            self._invoked_ns = None
        done = self.clock_ns()
        self.stats.count(inferred=1)
        preprocess_ms = item.preprocess_ms + (ready - begun) / 1e6
        self._finished = Inferred(item.frame, heads, geometry, preprocess_ms, (done - ready) / 1e6)

    def end(self) -> None:
        """Pass the finished heads on, and close the backend."""
        with suppress(Closed):
            self._hand_over()
        self.outbox.close()
        self.backend.close()

    def _ready(self) -> bool:
        """Return whether the backend can take a frame, after 0.2 s at most unless it opens."""
        if self.outage.reason is None:
            return self.backend.wait_ready(POLL_S)
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
            self.outbox.put(finished)
