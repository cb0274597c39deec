"""A camera five times faster than the model: how old are the detections?

Prints one JSON object. The age is compared with the model's own period, measured in the same
run, so the ratio holds on any machine: at most 2 periods at the 99th percentile is the aim.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

from edge_ssd import Detector
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.pipeline.pipeline import Outlet, Pipeline
from edge_ssd.publishers.base import Publisher
from edge_ssd.sources.synthetic import SyntheticOptions, SyntheticSource
from edge_ssd.types import FrameResult

FASTER = 5
FRAMES = 4000
INVOKES = 100


class Numbers(Publisher):
    """Keeps which frames were inferred."""

    name = "numbers"

    def __init__(self) -> None:
        self.seen: list[int] = []

    def publish(self, result: FrameResult) -> None:
        self.seen.append(result.frame.number)


def main() -> None:
    detector, periods = Detector(threads=1), []
    assert isinstance(detector.backend, CpuBackend)
    for _ in range(INVOKES):
        begun = time.perf_counter()
        detector.backend.interpreter.invoke()
        periods.append((time.perf_counter() - begun) * 1e3)
    period_ms = statistics.median(periods)
    options = SyntheticOptions(fps=FASTER * 1e3 / period_ms, frame_limit=FRAMES)
    source = SyntheticSource("camera", options)
    numbers = Numbers()
    pipeline = Pipeline(source, detector, [Outlet(numbers)])
    pipeline.start()
    pipeline.wait()
    stats = pipeline.stats.snapshot()
    report = {
        "inference_period_ms": round(period_ms, 2),
        "captured": stats.captured,
        "dropped": stats.dropped,
        "inferred": stats.inferred,
        "skipped_by_the_camera": source.skipped,
        "inferred_twice": len(numbers.seen) - len(set(numbers.seen)),
        "age_p50_periods": round(stats.age_p50_ms / period_ms, 2),
        "age_p99_periods": round(stats.age_p99_ms / period_ms, 2),
    }
    json.dump(report, sys.stdout)
    print()


if __name__ == "__main__":
    main()
