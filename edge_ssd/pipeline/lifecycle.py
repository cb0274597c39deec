"""The life of a pipeline: start, wait, stop; the signals that ask for it; and how fast it is."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from edge_ssd.detector import Detector
from edge_ssd.errors import PublishError
from edge_ssd.pipeline.pipeline import STOP_S, Outlet, Pipeline
from edge_ssd.pipeline.worker import POLL_S
from edge_ssd.publishers.base import Publisher
from edge_ssd.sources.base import Source
from edge_ssd.types import FrameResult, Timing


def run_until_done(pipeline: Pipeline, stop_s: float = STOP_S) -> bool:
    """Run a pipeline in the main thread to its end; return whether SIGINT or SIGTERM ended it.

    stop_s: how long a stop may take, in seconds.
    """
    with stop_on_signals(pipeline.request_stop) as received:
        pipeline.start()
        wait_until_done(pipeline, received, stop_s=stop_s)
        return bool(received)


def wait_until_done(
    pipeline: Pipeline,
    received: Sequence[int],
    tick: Callable[[], None] = lambda: None,
    stop_s: float = STOP_S,
) -> None:
    """Wait for the end of a pipeline that was started; stop it once a signal was received.

    received: the signals, as ``stop_on_signals`` yields them. tick: called every 0.2 s.
    Raises the pipeline's error, and PublishError when the source came to its end and not every
    result could be delivered.
    """
    while not pipeline.wait(POLL_S):
        if received:
            pipeline.stop(stop_s)
            break
        tick()
    failed = sum(pipeline.stats.snapshot().failed.values())
    if failed and not received:
        raise PublishError(f"{failed} results could not be delivered", "see the warning above")


@contextmanager
def stop_on_signals(request_stop: Callable[[], None]) -> Iterator[list[int]]:
    """Call ``request_stop`` at the first SIGINT or SIGTERM, end the process at the second.

    Yields the list of signals received so far. Main thread only.
    """
    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        request_stop()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def pipeline_fps(source: Source, detector: Detector, count: int) -> tuple[float, Timing]:
    """Return the pipeline's frames per second, and its median times per stage.

    Counted from the first result to the last of ``count``, at least two, which the recorded
    source must have. Main thread only. Raises KeyboardInterrupt, and the pipeline's error.
    """
    finished = _FinishTimes(count)
    pipeline = finished.pipeline = Pipeline(source, detector, [Outlet(finished)])
    if run_until_done(pipeline):
        raise KeyboardInterrupt
    seconds = (finished.ns[count - 1] - finished.ns[0]) / 1e9
    return (count - 1) / seconds, pipeline.stats.snapshot().timing


def moving_shapes(count: int, **size: int) -> dict[str, Any]:
    """Return the section of a source of moving shapes, without pauses; ``size`` is in pixels."""
    return {"type": "synthetic", "live": False, "fps": None, "frame_limit": count} | size


class _FinishTimes(Publisher):
    """Keeps when each result was ready, and stops the pipeline once there are enough."""

    name = "measuring"
    pipeline: Pipeline

    def __init__(self, wanted: int) -> None:
        self.ns: list[int] = []
        self._wanted = wanted

    def publish(self, result: FrameResult) -> None:
        self.ns.append(result.finished_ns)
        if len(self.ns) >= self._wanted:
            self.pipeline.request_stop()
