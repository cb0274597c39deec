"""The peers, and rounds in which each runs once in a process of its own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import environments
from environments import PeerError
from harness import Detection

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FIGURES = ("fps", "cpu_ms", "p50_ms", "p99_ms", "peak_mb", "pss_mb")
LOOP = "sequential.py"
"""The script whose detections the others' are compared with."""


def own_python() -> str:
    """Return the interpreter that runs this, which has edge_ssd."""
    return sys.executable


@dataclass
class Peer:
    """One row: a script of this folder, the Python to run it with, and a model file or name.

    problem: why it cannot be measured here, if so. results: one of each round.
    """

    name: str
    script: str
    model: str
    python: Callable[[], str] = own_python
    runtime: str = "litert"
    problem: str = ""
    results: list[dict[str, Any]] = field(default_factory=list)

    def median(self, figure: str) -> float:
        """Return the median of all rounds."""
        return statistics.median(result[figure] for result in self.results)

    @property
    def version(self) -> str:
        """The software's own name and version."""
        return str(self.results[0]["version"])

    @property
    def detections(self) -> list[list[Detection]]:
        """What it found, frame by frame; the same in every round."""
        return [[tuple(row) for row in frame] for frame in self.results[0]["detections"]]

    def run(self, clip: Path, frames: int, folder: Path) -> None:
        """Measure it once. Raises PeerError."""
        output = folder / "result.json"
        command = [
            self.python(), str(HERE / self.script), "--clip", str(clip), "--model", self.model,
            "--frames", str(frames), "--output", str(output), "--runtime", self.runtime,
        ]  # fmt: skip
        finished = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        if finished.returncode:
            lines = finished.stderr.strip().splitlines()
            raise PeerError(lines[-1] if lines else f"ended with {finished.returncode}")
        self.results.append(json.loads(output.read_text("utf-8")))
        output.unlink()


def peers(model: Path, folder: Path) -> list[Peer]:
    """Return every peer on ``model``; ours also on what `models prepare` makes of it."""
    return [
        Peer("MediaPipe Tasks", "mediapipe_tasks.py", str(model), _mediapipe),
        Peer("sequential loop, litert", LOOP, str(model)),
        Peer("sequential loop, tflite-runtime", LOOP, str(model), _tflite_runtime,
             "tflite-runtime"),
        Peer("OpenCV's cv2.dnn", "opencv_dnn.py", str(model)),
        Peer("edge_ssd, the same file", "ours.py", str(model)),
        _prepared("edge_ssd, raw heads", model, folder / "raw_heads.tflite"),
        _prepared("edge_ssd, requantised", model, folder / "requantised.tflite", "--int8"),
        Peer("edge_ssd, its bundled model", "ours.py", "ssdlite_mobilenet_v2_coco"),
    ]  # fmt: skip


def measure(peers: Sequence[Peer], clip: Path, frames: int, rounds: int) -> Iterator[str]:
    """Run every peer once a round, the first one turning; yield what was done."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            start = number % len(peers)
            for peer in [*peers[start:], *peers[:start]]:
                if peer.problem:
                    continue
                try:
                    peer.run(clip, frames, Path(folder))
                except PeerError as error:
                    peer.problem = str(error)
                    yield f"round {number + 1}  {peer.name}: {peer.problem}"
                    continue
                yield f"round {number + 1}  {peer.name}: {peer.results[-1]['fps']:.1f} fps"


def _prepared(name: str, model: Path, output: Path, *options: str) -> Peer:
    command = [sys.executable, "-m", "edge_ssd", "models", "prepare", str(model), "-o", str(output)]
    finished = subprocess.run(
        [*command, *options], capture_output=True, text=True, check=False, cwd=ROOT
    )
    return Peer(name, "ours.py", str(output), problem=finished.stderr.strip()
                if finished.returncode else "")  # fmt: skip


def _mediapipe() -> str:
    return environments.with_packages("mediapipe", ("mediapipe",))


def _tflite_runtime() -> str:
    return environments.with_packages(
        "tflite-runtime", environments.TFLITE_RUNTIME, environments.python_for_tflite_runtime()
    )
