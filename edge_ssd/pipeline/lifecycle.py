"""The life of a pipeline: start, wait, stop. And the signals that ask for the stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from edge_ssd.pipeline.pipeline import Pipeline
from edge_ssd.pipeline.publishing import check_delivered
from edge_ssd.pipeline.worker import POLL_S


def run_until_done(pipeline: Pipeline, tick: Callable[[], None] = lambda: None) -> bool:
    """Run a pipeline to its source's end, or to the first SIGINT or SIGTERM.

    Returns whether a signal ended it. tick: called every 0.2 s. Main thread only. Raises the
    pipeline's error, and PublishError when the source came to its end and not every result could
    be delivered.
    """
    with stop_on_signals(pipeline.request_stop) as received:
        pipeline.start()
        return wait_until_done(pipeline, received, tick)


def wait_until_done(
    pipeline: Pipeline, received: Sequence[int], tick: Callable[[], None] = lambda: None
) -> bool:
    """Wait for the end of a pipeline that was started, as ``run_until_done`` does.

    received: the signals, as ``stop_on_signals`` yields them.
    """
    while not pipeline.wait(POLL_S):
        if received:
            pipeline.stop()
            break
        tick()
    if not received:
        check_delivered(pipeline.stats)
    return bool(received)


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
