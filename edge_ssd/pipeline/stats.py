"""What the pipeline counts and times."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np

from edge_ssd.types import FrameResult, Timing

WINDOW = 1000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The counters so far, and the times of the last 1000 frames.

    captured = dropped + inferred, once the pipeline has drained. detections: of all frames.
    published and failed count results by publisher name; shed counts results that a full
    publisher queue discarded.
    timing: medians, in milliseconds. age: from capture to detections, in milliseconds.
    """

    captured: int
    dropped: int
    inferred: int
    detections: int
    published: dict[str, int]
    failed: dict[str, int]
    shed: dict[str, int]
    timing: Timing
    age_p50_ms: float
    age_p99_ms: float


class Stats:
    """Counters that any thread may add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._published: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._shed: Counter[str] = Counter()
        self._recent: deque[tuple[float, float, float, float]] = deque(maxlen=WINDOW)

    def count(self, captured: int = 0, dropped: int = 0, inferred: int = 0) -> None:
        """Add to the frame counters."""
        with self._lock:
            self._counts.update(captured=captured, dropped=dropped, inferred=inferred)

    def count_results(self, name: str, published: int = 0, failed: int = 0, shed: int = 0) -> None:
        """Add to one publisher's counters."""
        with self._lock:
            self._published[name] += published
            self._failed[name] += failed
            self._shed[name] += shed

    def time(self, result: FrameResult) -> None:
        """Note one result's times and age."""
        timing = result.timing
        row = (timing.preprocess_ms, timing.inference_ms, timing.postprocess_ms, result.age_ms)
        with self._lock:
            self._recent.append(row)
            self._counts["detections"] += len(result.detections)

    def snapshot(self) -> Snapshot:
        """Return everything as it is now."""
        with self._lock:
            rows = np.array(self._recent or [(0.0, 0.0, 0.0, 0.0)])
            counts = self._counts.copy()
            published, failed, shed = dict(self._published), dict(self._failed), dict(self._shed)
        return Snapshot(
            captured=counts["captured"],
            dropped=counts["dropped"],
            inferred=counts["inferred"],
            detections=counts["detections"],
            published=published,
            failed=failed,
            shed=shed,
            timing=Timing(*np.median(rows[:, :3], axis=0).tolist()),
            age_p50_ms=float(np.percentile(rows[:, 3], 50)),
            age_p99_ms=float(np.percentile(rows[:, 3], 99)),
        )
