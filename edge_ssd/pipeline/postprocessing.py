"""The postprocessing thread's work: raw heads to results, offered to every publisher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_ssd.channels import Channel
from edge_ssd.inference.backend import Backend
from edge_ssd.pipeline.inference import Inferred
from edge_ssd.pipeline.publishing import Publishing
from edge_ssd.pipeline.stats import Stats
from edge_ssd.pipeline.worker import POLL_S
from edge_ssd.postprocess import Postprocessor
from edge_ssd.types import FrameResult, Timing


@dataclass(eq=False)
class Postprocessing:
    """Decodes and filters; any thread may replace ``postprocess`` from one frame to the next."""

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
