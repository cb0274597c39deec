"""How fast the whole pipeline is, over a number of frames."""

from __future__ import annotations

from typing import Any

from edge_ssd.detector import Detector
from edge_ssd.pipeline.lifecycle import run_until_done
from edge_ssd.pipeline.pipeline import Outlet, Pipeline
from edge_ssd.publishers.base import Publisher
from edge_ssd.sources.base import EndOfStream, Source
from edge_ssd.types import Frame, FrameResult, Timing


def pipeline_fps(source: Source, detector: Detector, count: int) -> tuple[float, Timing]:
    """Return the pipeline's frames per second, and its median times per stage.

    Counted from the first result to the last of ``count``, at least two, which the recorded
    source must have. Main thread only. Raises KeyboardInterrupt, and the pipeline's error.
    """
    finished = _FinishTimes()
    pipeline = Pipeline(_FirstFrames(source, count), detector, [Outlet(finished)])
    if run_until_done(pipeline):
        raise KeyboardInterrupt
    seconds = (finished.ns[-1] - finished.ns[0]) / 1e9
    return (len(finished.ns) - 1) / seconds, pipeline.stats.snapshot().timing


def moving_shapes(count: int, **size: int) -> dict[str, Any]:
    """Return the section of a source of that many frames of moving shapes, as fast as taken.

    size: width and height in pixels.
    """
    return {"type": "synthetic", "live": False, "fps": None, "frame_limit": count} | size


class _FinishTimes(Publisher):
    """Keeps when each result was ready."""

    name = "measuring"

    def __init__(self) -> None:
        self.ns: list[int] = []

    def publish(self, result: FrameResult) -> None:
        self.ns.append(result.finished_ns)


class _FirstFrames(Source):
    """Ends another source after its first frames."""

    def __init__(self, source: Source, count: int) -> None:
        super().__init__(source.name)
        self.live = source.live
        self._source, self._count, self._left = source, count, count

    def open(self) -> None:
        self._source.open()
        self._left = self._count

    def read(self, timeout_s: float) -> Frame | None:
        if not self._left:
            raise EndOfStream
        frame = self._source.read(timeout_s)
        self._left -= frame is not None
        return frame

    def close(self) -> None:
        self._source.close()
