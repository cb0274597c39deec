"""The pipeline: capture, inference, postprocessing and one publisher thread per sink.

A live source hands over its newest frame and the inference thread resizes it, so that a
frame nobody infers costs nothing. A recorded source hands over every frame, so the capture
thread resizes it while the network is busy with the one before.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from edge_ssd.detector import Detector, Prepared
from edge_ssd.errors import DeviceError, PipelineError, PublishError
from edge_ssd.postprocess import Postprocessor
from edge_ssd.publishers.base import Publisher
from edge_ssd.service.channels import Channel, Closed
from edge_ssd.service.stats import Stats
from edge_ssd.service.worker import POLL_S, Worker
from edge_ssd.sources.base import EndOfStream, Source
from edge_ssd.types import Frame, FrameResult, Geometry, RawHeads, Timing

log = logging.getLogger(__name__)

STOP_S = 2.0
"""How long a stop may take, in seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Outlet:
    """A publisher and how many results may wait for it."""

    publisher: Publisher
    queue_size: int = 64


@dataclass(frozen=True, slots=True, eq=False)
class _Captured:
    frame: Frame
    prepared: Prepared | None
    preprocess_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class _Inferred:
    frame: Frame
    heads: RawHeads
    geometry: Geometry
    preprocess_ms: float
    inference_ms: float


class Pipeline:
    """Wires one source, one network and any number of publishers, a thread each.

    ``start``, then ``wait`` until the source ends, or ``stop``. An error in any worker stops
    all of them and is raised by ``wait`` and ``stop``.
    """

    def __init__(
        self,
        source: Source,
        detector: Detector,
        postprocessor: Postprocessor,
        outlets: Sequence[Outlet],
        labels: tuple[str | None, ...],
        stall_timeout_s: float = 10.0,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.source = source
        self.detector = detector
        self.postprocessor = postprocessor
        self.outlets = outlets
        self.labels = labels
        self.stats = Stats()
        self._stall_timeout_s = stall_timeout_s
        self._clock_ns = clock_ns
        self._last_frame_ns = 0
        self._stopping = False
        self._frames: Channel[_Captured] = Channel(1 if source.live else 2, lossy=source.live)
        self._inferred: Channel[_Inferred] = Channel(2)
        self._finished: _Inferred | None = None
        self._results: list[Channel[FrameResult]] = [
            Channel(outlet.queue_size, lossy=source.live) for outlet in outlets
        ]
        self._failing: set[str] = set()
        self._failed: Worker | None = None
        self._failed_at = math.inf
        self.workers = self._make_workers()

    def _make_workers(self) -> list[Worker]:
        worker = partial(Worker, on_error=self._on_error, clock=lambda: self._clock_ns() / 1e9)
        return [
            worker("capture", self._capture, begin=self._open, end=self._close),
            worker("inference", self._infer, end=self._end_inference),
            worker("postprocess", self._postprocess, end=self._end_results),
            *(
                worker(
                    outlet.publisher.name,
                    partial(self._publish, outlet.publisher, inbox),
                    begin=outlet.publisher.open,
                    end=outlet.publisher.close,
                )
                for outlet, inbox in zip(self.outlets, self._results, strict=True)
            ),
        ]

    def start(self) -> None:
        """Start every thread."""
        for worker in reversed(self.workers):
            worker.start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until every worker has ended; return whether that came in time.

        Raises the error of the worker that failed.
        """
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        for worker in self.workers:
            while not worker.join(min(POLL_S, deadline - time.monotonic())):
                if self._failed_at + STOP_S < time.monotonic():
                    self._raise()  # one that hangs must not hide the error of another
                if time.monotonic() >= deadline:
                    return False
        self._raise()
        return True

    def request_stop(self) -> None:
        """Ask the capture thread to take no more frames; what is under way is finished."""
        self._stopping = True

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Stop: finish what is under way, discard what is not finished in time.

        Raises the error of the worker that failed, or PipelineError that names a worker which
        would not end.
        """
        self.request_stop()
        if self.wait(timeout_s * 0.75):
            return
        self._abort()
        if not self.wait(timeout_s * 0.25):
            stuck = [worker.name for worker in self.workers if not worker.join(0)]
            raise PipelineError(
                f"{', '.join(stuck)} did not stop within {timeout_s:g} s",
                "a device or driver hangs; the process ends without it",
            )

    def _open(self) -> None:
        self._last_frame_ns = self._clock_ns()
        self.source.open()

    def _close(self) -> None:
        self._frames.close()
        self.source.close()

    def _capture(self) -> None:
        if self._stopping:
            raise Closed
        try:
            frame = self.source.read(POLL_S)
        except EndOfStream:
            raise Closed from None
        if frame is None:
            self._check_stall()
            return
        self._last_frame_ns = self._clock_ns()
        self.stats.count(captured=1)
        try:
            self.stats.count(dropped=self._frames.put(self._prepare(frame)))
        except Closed:
            self.stats.count(dropped=1)
            raise

    def _check_stall(self) -> None:
        silent_s = (self._clock_ns() - self._last_frame_ns) / 1e9
        if silent_s > self._stall_timeout_s:
            raise DeviceError(
                f"{self.source.name}: no frame for {silent_s:.1f} s",
                "check the camera and its cable, or raise stall_timeout_s",
            )

    def _prepare(self, frame: Frame) -> _Captured:
        if self.source.live:
            return _Captured(frame, None, 0.0)
        begun = self._clock_ns()
        prepared = self.detector.prepare(frame)
        return _Captured(frame, prepared, (self._clock_ns() - begun) / 1e6)

    def _infer(self) -> None:
        item = self._frames.get(0 if self._finished else POLL_S)
        if item is None or not item.prepared:
            self._hand_over()
        if item is None:
            return
        begun = self._clock_ns()
        if item.prepared:
            geometry = self.detector.set_prepared(item.prepared)
        else:
            geometry = self.detector.set_frame(item.frame)
        self._hand_over()
        ready = self._clock_ns()
        heads = self.detector.invoke()
        done = self._clock_ns()
        self.stats.count(inferred=1)
        preprocess_ms = item.preprocess_ms + (ready - begun) / 1e6
        self._finished = _Inferred(item.frame, heads, geometry, preprocess_ms, (done - ready) / 1e6)

    def _hand_over(self) -> None:
        """Pass the finished heads on; last before the network runs again.

        The network runs without Python's lock. Passed on earlier, the heads would wake the
        postprocessing thread, which would take that lock from this one.
        """
        finished, self._finished = self._finished, None
        if finished:
            self._inferred.put(finished)

    def _end_inference(self) -> None:
        with suppress(Closed):
            self._hand_over()
        self._inferred.close()

    def _postprocess(self) -> None:
        item = self._inferred.get(POLL_S)
        if item is None:
            return
        begun = self._clock_ns()
        detections = self.postprocessor(item.heads, item.geometry)
        done = self._clock_ns()
        result = FrameResult(
            frame=item.frame,
            detections=detections,
            model=self.detector.spec.name,
            labels=self.labels,
            timing=Timing(item.preprocess_ms, item.inference_ms, (done - begun) / 1e6),
            finished_ns=done,
        )
        self.stats.time(result)
        for outlet, inbox in zip(self.outlets, self._results, strict=True):
            self.stats.count_results(outlet.publisher.name, shed=inbox.put(result))

    def _publish(self, publisher: Publisher, inbox: Channel[FrameResult]) -> None:
        result = inbox.get(POLL_S)
        if result is None:
            return
        name = publisher.name
        try:
            publisher.publish(result)
        except PublishError as error:
            self.stats.count_results(name, failed=1)
            if name not in self._failing:
                self._failing.add(name)
                log.warning("%s; results are dropped and counted until it works again", error)
            return
        self.stats.count_results(name, published=1)
        if name in self._failing:
            self._failing.remove(name)
            log.warning("%s works again", name)

    def _end_results(self) -> None:
        for inbox in self._results:
            inbox.close()

    def _on_error(self, worker: Worker) -> None:
        if self._failed is None:
            self._failed = worker
            self._failed_at = time.monotonic()
        self._abort()

    def _abort(self) -> None:
        self._stopping = True
        self.stats.count(dropped=self._frames.abort())
        self._inferred.abort()
        for inbox in self._results:
            inbox.abort()

    def _raise(self) -> None:
        if self._failed is not None and self._failed.error is not None:
            raise self._failed.error
