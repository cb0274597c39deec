"""The pipeline: capture, inference, postprocessing and one publisher thread per sink.

A live source hands over its newest frame and the inference thread resizes it, so that a
frame nobody infers costs nothing. A recorded source hands over every frame, so the capture
thread resizes it while the network is busy with the one before.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from edge_ssd.channels import Channel, Closed
from edge_ssd.detector import Detector
from edge_ssd.errors import DeviceError, PipelineError
from edge_ssd.pipeline.capture import Capture, Captured
from edge_ssd.pipeline.inference import Inference, Inferred
from edge_ssd.pipeline.publishing import Publishing
from edge_ssd.pipeline.stats import Stats
from edge_ssd.pipeline.worker import POLL_S, Worker
from edge_ssd.postprocess import Postprocessor
from edge_ssd.publishers.base import Publisher
from edge_ssd.sources.base import Source
from edge_ssd.types import FrameResult, Timing

STOP_S = 2.0
"""How long a stop may take, in seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Outlet:
    """A publisher and how many results may wait for it."""

    publisher: Publisher
    queue_size: int = 64


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What replaces what, from one frame to the next."""

    postprocessor: Postprocessor
    publishing: Sequence[Publishing]
    removed: Sequence[Publishing]


class Pipeline:
    """Wires one source, one network and any number of publishers, a thread each.

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
        self.postprocessor = detector.postprocess
        self.stats = Stats()
        self._clock_ns = clock_ns
        self._frames: Channel[Captured] = Channel(1 if source.live else 2, lossy=source.live)
        self._inferred: Channel[Inferred] = Channel(2)
        self.capture = Capture(source, backend, self._frames, self.stats, stall_timeout_s, clock_ns)
        self.publishing: Sequence[Publishing] = [
            self._publishing(outlet, None) for outlet in outlets
        ]
        self._offered: Sequence[Publishing] = self.publishing  # as the postprocessing has it
        self._unended = list(self.publishing)
        self._changes: deque[Change] = deque()
        self._change_lock = threading.Lock()
        self._results_ended = False
        self._failed: Worker | None = None
        self._failed_at = math.inf
        self._overdue = False
        self.inference = Inference(backend, self._frames, self._inferred, self.stats, clock_ns)
        self.workers = self._make_workers()

    def _make_workers(self) -> list[Worker]:
        worker = partial(Worker, on_error=self._on_error, clock=self._now_s)
        capture, inference = self.capture, self.inference
        return [
            worker("capture", capture.step, begin=capture.begin, end=capture.end),
            worker("inference", inference.step, begin=inference.begin, end=inference.end),
            worker("postprocess", self._postprocess, end=self._end_results),
            *map(self._publisher_worker, self.publishing),
        ]

    def _publisher_worker(self, each: Publishing) -> Worker:
        name = each.publisher.name
        return Worker(name, each.step, self._on_error, each.begin, each.end, self._now_s)

    def _now_s(self) -> float:
        return self._clock_ns() / 1e9

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
                self._check_inference()
                if self._failed_at + STOP_S < time.monotonic():
                    self._raise()  # one that hangs must not hide the error of another
                if time.monotonic() >= deadline:
                    return False
        self._raise()
        return True

    @property
    def outages(self) -> list[str]:
        """What the camera and the network suffer from now, in words."""
        reasons = (
            self.capture.outage.reason, self.inference.outage.reason, self.backend.trouble,
        )  # fmt: skip
        return [reason for reason in reasons if reason]

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
            if stuck == ["inference"] and self.inference.opening:
                return  # it takes up to 30 s to be sure of an Edge TPU, and ends with the process
            raise PipelineError(
                f"{', '.join(stuck)} did not stop within {timeout_s:g} s",
                "a device or driver hangs; the process ends without it",
            )

    def change(
        self, postprocessor: Postprocessor, wanted: Sequence[Publishing | Outlet]
    ) -> Sequence[Publishing]:
        """Replace the postprocessing and the publishers of a pipeline that runs.

        wanted: publishers that go on as they are, and new ones. Each result goes either to
        all of the old publishers or to all of the new, none is lost: the old ones deliver
        what they have been given and are closed, then the new ones are opened. Only for the
        thread that calls ``wait``. Returns all that publish from now on, in the order wanted.

        Raises Closed when nothing more will be published.
        """
        removed = [each for each in self.publishing if each not in wanted]
        publishing = [
            self._publishing(each, removed) if isinstance(each, Outlet) else each for each in wanted
        ]
        with self._change_lock:
            if self._results_ended:
                raise Closed
            self._changes.append(Change(postprocessor, publishing, removed))
        self.publishing = publishing
        self._take_in([each for each in publishing if each not in wanted])
        return publishing

    def _publishing(self, outlet: Outlet, replaces: Sequence[Publishing] | None) -> Publishing:
        lossy = self.capture.source.live
        return Publishing(outlet.publisher, outlet.queue_size, lossy, self.stats, replaces)

    def _take_in(self, added: Sequence[Publishing]) -> None:
        """Start the threads of new publishers, and forget those that have ended."""
        workers = [self._publisher_worker(each) for each in added]
        self.workers = [each for each in self.workers if not each.join(0)] + workers
        self._unended = [each for each in self._unended if not each.ended] + list(added)
        for worker in workers:
            worker.start()

    def _apply_changes(self) -> None:
        while self._changes:
            change = self._changes.popleft()
            self.postprocessor, self._offered = change.postprocessor, change.publishing
            for each in change.removed:
                each.retire()

    def _postprocess(self) -> None:
        item = self._inferred.get(POLL_S)
        self._apply_changes()
        if item is None:
            return
        begun = self._clock_ns()
        detections = self.postprocessor(item.heads, item.geometry)
        done = self._clock_ns()
        result = FrameResult(
            frame=item.frame,
            detections=detections,
            model=self.backend.spec.name,
            timing=Timing(item.preprocess_ms, item.inference_ms, (done - begun) / 1e6),
            finished_ns=done,
        )
        self.stats.time(result)
        for each in self._offered:
            each.offer(result)

    def _end_results(self) -> None:
        with self._change_lock:
            self._results_ended = True
        self._apply_changes()
        for each in self._offered:
            each.inbox.close()

    def _check_inference(self) -> None:
        deadline_s = self.backend.invoke_deadline_s
        overdue = deadline_s is not None and self.inference.invoking_s > deadline_s
        # Seen twice: after Ctrl-Z and fg, an inference may look overdue and be about to end.
        if overdue and self._overdue and self._failed is None:
            worker = next(each for each in self.workers if each.name == "inference")
            worker.error = DeviceError(
                f"an inference did not end within {deadline_s:g} s",
                "with model.isolation: process the model is restarted by itself",
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
        for each in self._unended:
            each.inbox.abort()

    def _raise(self) -> None:
        if self._failed is not None and self._failed.error is not None:
            raise self._failed.error
