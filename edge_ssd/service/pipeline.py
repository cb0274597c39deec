"""The pipeline: capture, inference, postprocessing and one publisher thread per sink.

A live source hands over its newest frame and the inference thread resizes it, so that a
frame nobody infers costs nothing. A recorded source hands over every frame, so the capture
thread resizes it while the network is busy with the one before.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from edge_ssd.detector import Detector
from edge_ssd.errors import PipelineError
from edge_ssd.postprocess import Postprocessor
from edge_ssd.publishers.base import Publisher
from edge_ssd.service.capture import Capture, Captured
from edge_ssd.service.channels import Channel
from edge_ssd.service.inference import Inference, Inferred
from edge_ssd.service.publishing import Publishing
from edge_ssd.service.stats import Stats
from edge_ssd.service.worker import POLL_S, Worker
from edge_ssd.sources.base import Source
from edge_ssd.types import FrameResult, Timing

STOP_S = 2.0
"""How long a stop may take, in seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Outlet:
    """A publisher and how many results may wait for it."""

    publisher: Publisher
    queue_size: int = 64


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
        self.detector = detector
        self.postprocessor = postprocessor
        self.labels = labels
        self.stats = Stats()
        self._clock_ns = clock_ns
        self._frames: Channel[Captured] = Channel(1 if source.live else 2, lossy=source.live)
        self._inferred: Channel[Inferred] = Channel(2)
        self.capture = Capture(
            source, detector, self._frames, self.stats, stall_timeout_s, clock_ns
        )
        self.publishing = [
            Publishing(outlet.publisher, outlet.queue_size, source.live, self.stats)
            for outlet in outlets
        ]
        self._failed: Worker | None = None
        self._failed_at = math.inf
        self.workers = self._make_workers()

    def _make_workers(self) -> list[Worker]:
        worker = partial(Worker, on_error=self._on_error, clock=lambda: self._clock_ns() / 1e9)
        capture = self.capture
        inference = Inference(
            self.detector, self._frames, self._inferred, self.stats, self._clock_ns
        )
        return [
            worker("capture", capture.step, begin=capture.begin, end=capture.end),
            worker("inference", inference.step, end=inference.end),
            worker("postprocess", self._postprocess, end=self._end_results),
            *(
                worker(
                    each.publisher.name,
                    each.step,
                    begin=each.publisher.open,
                    end=each.publisher.close,
                )
                for each in self.publishing
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
        self.capture.request_stop()

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
        for each in self.publishing:
            each.offer(result)

    def _end_results(self) -> None:
        for each in self.publishing:
            each.inbox.close()

    def _on_error(self, worker: Worker) -> None:
        if self._failed is None:
            self._failed = worker
            self._failed_at = time.monotonic()
        self._abort()

    def _abort(self) -> None:
        self.request_stop()
        self.stats.count(dropped=self._frames.abort())
        self._inferred.abort()
        for each in self.publishing:
            each.inbox.abort()

    def _raise(self) -> None:
        if self._failed is not None and self._failed.error is not None:
            raise self._failed.error
