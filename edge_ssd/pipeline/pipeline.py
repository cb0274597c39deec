"""The pipeline: capture, inference, postprocessing, and a thread for each publisher.

A live source hands over its newest frame and the inference thread resizes it, so that a
frame that is not inferred costs nothing. A recorded source hands over every frame, so the capture
thread resizes it while the one before is inferred.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from edge_ssd.channels import Channel
from edge_ssd.detector import Detector
from edge_ssd.errors import DeviceError, PipelineError
from edge_ssd.pipeline.capture import Capture, Captured
from edge_ssd.pipeline.inference import Inference, Inferred
from edge_ssd.pipeline.results import Postprocessing, Publishing
from edge_ssd.pipeline.stats import Stats
from edge_ssd.pipeline.worker import POLL_S, Worker
from edge_ssd.publishers.base import Publisher
from edge_ssd.sources.base import Source

STOP_S = 2.0  # how long a stop may take


@dataclass(frozen=True, slots=True, eq=False)
class Outlet:
    """A publisher and the size of its queue of results."""

    publisher: Publisher
    queue_size: int = 64


class Pipeline:
    """Joins one source, one detector and any number of publishers, a thread each.

    ``start``, then ``wait`` until the source ends, or ``stop``. An error in any worker stops
    all of them and is raised by ``wait`` and ``stop``.
    """

    def __init__(
        self,
        source: Source,
        detector: Detector,
        outlets: Sequence[Outlet],
        stall_timeout_s: float = 10.0,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.detector = detector
        backend = self.backend = detector.backend
        self.stats = Stats()
        self._clock_ns = clock_ns
        self._frames: Channel[Captured] = Channel(1 if source.live else 2, lossy=source.live)
        self._inferred: Channel[Inferred] = Channel(2)
        self._publishing = [
            Publishing(each.publisher, each.queue_size, source.live, self.stats) for each in outlets
        ]
        shared = self.stats, clock_ns
        self.capture = Capture(source, backend, self._frames, self.stats, stall_timeout_s, clock_ns)
        self.inference = Inference(backend, self._frames, self._inferred, *shared)
        self.postprocessing = Postprocessing(
            detector.postprocess, backend, self._inferred, self._publishing, *shared
        )
        self._failed: Worker | None = None
        self._failed_at = math.inf
        self._overdue = False
        self.workers = self._make_workers()

    def _make_workers(self) -> list[Worker]:
        worker = partial(Worker, on_error=self._on_error, clock=lambda: self._clock_ns() / 1e9)
        capture, inference, postprocessing = self.capture, self.inference, self.postprocessing
        return [
            worker("capture", capture.step, begin=capture.begin, end=capture.end),
            worker("inference", inference.step, begin=inference.begin, end=inference.end),
            worker("postprocess", postprocessing.step, end=postprocessing.end),
            *(
                worker(each.publisher.name, each.step, begin=each.begin, end=each.end)
                for each in self._publishing
            ),
        ]

    def start(self) -> None:
        """Start every thread."""
        for worker in reversed(self.workers):
            worker.start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Return whether every worker has ended in this time. Raises a failed one's error."""
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        for worker in self.workers:
            while not worker.join(min(POLL_S, deadline - time.monotonic())):
                self._check_inference()
                if self._failed_at + STOP_S < time.monotonic():
                    self._raise()  # a blocked worker must not hide the error of another
                if time.monotonic() >= deadline:
                    return False
        self._raise()
        return True

    @property
    def outages(self) -> list[str]:
        """What the camera and the backend suffer from now, in words."""
        outages = self.capture.outage.reason, self.inference.outage.reason
        return [reason for reason in (*outages, self.backend.trouble) if reason]

    def request_stop(self) -> None:
        """Ask the capture thread to take no more frames; those in the queues are finished."""
        self.capture.request_stop()

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Stop: finish the frames in the queues, discard what is not finished in time.

        Raises the error of the worker that failed, or PipelineError that names a blocked one.
        """
        self.request_stop()
        if self.wait(timeout_s * 0.75):
            return
        self._abort()
        if not self.wait(timeout_s * 0.25):
            stuck = [worker.name for worker in self.workers if not worker.join(0)]
            if stuck == ["inference"] and self.inference.opening:
                return  # it takes up to 30 s to be sure of an Edge TPU, and ends with the process
            raise PipelineError(
                f"{', '.join(stuck)} did not stop within {timeout_s:g} s",
                "a device or driver is blocked; the process ends without waiting for it",
            )

    def _check_inference(self) -> None:
        deadline_s = self.backend.invoke_deadline_s
        overdue = deadline_s is not None and self.inference.invoking_s > deadline_s
        # Seen twice: after Ctrl-Z and fg, an inference may look overdue and be about to end.
        if overdue and self._overdue and self._failed is None:
            worker = next(each for each in self.workers if each.name == "inference")
            worker.error = DeviceError(
                f"an inference did not end within {deadline_s:g} s",
                "set model.isolation: process, which recovers by itself",
            )
            self._on_error(worker)
        self._overdue = overdue

    def _on_error(self, worker: Worker) -> None:
        if self._failed is None:
            self._failed = worker
            self._failed_at = time.monotonic()
        self._abort()

    def _abort(self) -> None:
        self.request_stop()
        self.stats.count(dropped=self._frames.abort())
        self._inferred.abort()
        for each in self._publishing:
            each.inbox.abort()

    def _raise(self) -> None:
        if self._failed is not None and self._failed.error is not None:
            raise self._failed.error
