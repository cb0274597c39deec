"""The work of the last threads: raw heads to results, and results to publishers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_ssd.channels import Channel
from edge_ssd.errors import PublishError
from edge_ssd.inference.backend import Backend
from edge_ssd.pipeline.inference import Inferred
from edge_ssd.pipeline.stats import Stats
from edge_ssd.pipeline.worker import POLL_S
from edge_ssd.postprocess import Postprocessor
from edge_ssd.publishers.base import Publisher
from edge_ssd.types import FrameResult, Timing

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Postprocessing:
    """Decodes, filters, offers to every publisher. postprocess: any thread may replace it."""

    postprocess: Postprocessor
    backend: Backend
    inbox: Channel[Inferred]
    publishing: Sequence[Publishing]
    stats: Stats
    clock_ns: Callable[[], int]

    def step(self) -> None:
        """Make the result of one frame. Raises Closed when there are no more."""
        item = self.inbox.get(POLL_S)
        if item is None:
            return
        begun = self.clock_ns()
        detections = self.postprocess(item.heads, item.geometry)
        done = self.clock_ns()
        timing = Timing(item.preprocess_ms, item.inference_ms, (done - begun) / 1e6)
        result = FrameResult(item.frame, detections, self.backend.spec.name, timing, done)
        self.stats.time(result)
        for each in self.publishing:
            each.offer(result)

    def end(self) -> None:
        """Let the publishers deliver what they have, and end."""
        for each in self.publishing:
            each.inbox.close()


class Publishing:
    """Owns a publisher and its queue. ``begin``, ``step``, ``end`` run in the publisher's thread.

    lossy: a full queue discards its oldest result, counted as shed; otherwise ``offer`` waits.
    """

    def __init__(self, publisher: Publisher, queue_size: int, lossy: bool, stats: Stats) -> None:
        self.publisher = publisher
        self.inbox: Channel[FrameResult] = Channel(queue_size, lossy)
        self.begin, self.end = publisher.open, publisher.close
        self._stats = stats
        self._failing = False

    def offer(self, result: FrameResult) -> None:
        """Queue a result; any thread. Raises Closed."""
        self._stats.count_results(self.publisher.name, shed=self.inbox.put(result))

    def step(self) -> None:
        """Publish one result. Raises Closed when there are no more."""
        result = self.inbox.get(POLL_S)
        if result is None:
            return
        name = self.publisher.name
        try:
            self.publisher.publish(result)
        except PublishError as error:
            self._stats.count_results(name, failed=1)
            if not self._failing:
                log.warning("%s; dropping and counting results until it works again", error)
            self._failing = True
            return
        self._stats.count_results(name, published=1)
        if self._failing:
            log.warning("%s works again", name)
        self._failing = False
