"""What every peer's process shares: the clip, the clock, memory, and the result file.

Runs in each peer's own environment: the standard library, numpy and OpenCV alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WARMUP = 20
"""Frames before the clock starts."""
SCORE_THRESHOLD = 0.4
"""Below the 0.5 that is compared, so that a score which differs a little is still seen."""

Detection = tuple[Any, float, float, float, float, float]
"""Class (id from 0, or name), score, ymin, xmin, ymax, xmax normalised to the frame."""


def arguments() -> argparse.Namespace:
    """Return what the command gives each peer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--runtime", default="litert")
    return parser.parse_args()


class Recorder:
    """Takes one frame's detections after the other; the clock runs between two results."""

    def __init__(self, frames: int) -> None:
        self._last = WARMUP + frames
        self._detections: list[list[Detection]] = []
        self._latencies: list[float] = []
        self._begun = self._ended = (0.0, 0.0)

    def add(self, detections: list[Detection], latency_ms: float) -> None:
        """Record a result; more than were asked for are ignored."""
        if self.complete:
            return
        self._detections.append(detections)
        self._latencies.append(latency_ms)
        if len(self._latencies) == WARMUP:
            self._begun = time.perf_counter(), time.process_time()
        if self.complete:
            self._ended = time.perf_counter(), time.process_time()

    @property
    def complete(self) -> bool:
        """Whether every frame asked for has come."""
        return len(self._latencies) == self._last

    def save(self, path: Path, version: str) -> None:
        """Write the measurement; version: of the software measured."""
        if not self.complete:
            raise SystemExit(f"the clip ended after {len(self._latencies)} frames")
        frames = self._last - WARMUP
        latencies = sorted(self._latencies[WARMUP:])
        wall, cpu = (end - start for start, end in zip(self._begun, self._ended, strict=True))
        measured = {
            "version": version,
            "fps": frames / wall,
            "cpu_ms": cpu / frames * 1e3,
            "p50_ms": latencies[frames // 2],
            "p99_ms": latencies[frames * 99 // 100],
            "peak_mb": _megabytes("/proc/self/status", "VmHWM:"),
            "pss_mb": _megabytes("/proc/self/smaps_rollup", "Pss:"),
            "detections": self._detections,
        }
        path.write_text(json.dumps(measured), "utf-8")


def measure(detect: Callable[[Any], list[Detection]], version: str) -> None:
    """Decode, detect, decode, detect …, as the peers' own examples do.

    detect: takes one (height, width, 3) uint8 BGR frame.
    """
    import cv2  # noqa: PLC0415 (ours is measured with the package's own import of it)

    given = arguments()
    clip = cv2.VideoCapture(str(given.clip))
    recorder = Recorder(given.frames)
    while not recorder.complete:
        there, frame = clip.read()
        if not there:
            break
        begun = time.perf_counter()
        found = detect(frame)
        recorder.add(found, (time.perf_counter() - begun) * 1e3)
    recorder.save(given.output, version)


def _megabytes(file: str, key: str) -> float:
    """Return a line of this process's accounts, given in kB."""
    for line in Path(file).read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit(f"{file} has no {key}")
