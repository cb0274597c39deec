"""How fast the whole pipeline is, over a number of frames."""

from __future__ import annotations

from typing import Any

from edge_ssd.detector import Detector
from edge_ssd.pipeline.lifecycle import run_until_done
from edge_ssd.pipeline.pipeline import Outlet, Pipeline
from edge_ssd.publishers.base import Publisher
from edge_ssd.sources.base import Source
from edge_ssd.types import FrameResult, Timing


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
    """Return the section of a source of that many frames of moving shapes, as fast as taken.

    size: width and height in pixels.
    """
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
