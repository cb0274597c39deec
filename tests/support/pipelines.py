"""A small real network and publishers that tell a test what happened."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge_ssd.detector import Detector
from edge_ssd.errors import PublishError
from edge_ssd.inference.backend import Backend
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.models.spec import ModelSpec
from edge_ssd.pipeline.pipeline import Outlet, Pipeline
from edge_ssd.postprocess.anchors import generate, mobilenet_layout
from edge_ssd.publishers.base import Publisher
from edge_ssd.sources.base import Source
from edge_ssd.sources.synthetic import FaultOptions, SyntheticOptions, SyntheticSource
from edge_ssd.types import FrameResult, RawHeads
from support.tflite_models import raw_heads_model

ANCHORS, COLUMNS = 12, 4


class GatedDetector(CpuBackend):
    """The real interpreter, which infers one frame per permit."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.permits = threading.Semaphore(0)
        self.entered = threading.Semaphore(0)

    def invoke(self) -> RawHeads:
        self.entered.release()
        assert self.permits.acquire(timeout=60)
        return super().invoke()


class Recorder(Publisher):
    """Keeps what it is given; fails or waits when told to."""

    def __init__(self, name: str = "recorder") -> None:
        self.name = name
        self.results: list[FrameResult] = []
        self.events: list[str] = []
        self.failing = threading.Event()
        self.open_gate = threading.Event()
        self.open_gate.set()

    def open(self) -> None:
        self.events.append("open")

    def publish(self, result: FrameResult) -> None:
        assert self.open_gate.wait(60)
        if self.failing.is_set():
            raise PublishError(f"{self.name}: no room", "make room")
        self.results.append(result)

    def close(self) -> None:
        self.events.append("close")

    @property
    def numbers(self) -> list[int]:
        """The frame numbers published, in order."""
        return [result.frame.number for result in self.results]


def small_spec(folder: Path) -> ModelSpec:
    """Return a network of 16 x 16 pixels that runs in microseconds."""
    path = folder / "small.tflite"
    path.write_bytes(raw_heads_model(ANCHORS, COLUMNS))
    anchors = generate(mobilenet_layout(16, 16), 16, 16)[:ANCHORS]
    return ModelSpec(name="small", path=path, anchors=anchors, labels=("a", "b", "c"))


def make_pipeline(
    source: Source,
    backend: Backend,
    publishers: Sequence[Publisher],
    queue_size: int = 64,
    **options: Any,
) -> Pipeline:
    """Wire a pipeline around a backend of ``small_spec``."""
    outlets = [Outlet(publisher, queue_size) for publisher in publishers]
    return Pipeline(source, Detector.from_backend(backend), outlets, **options)


def synthetic(
    live: bool,
    frame_limit: int | None = 20,
    fps: float | None = None,
    faults: Sequence[FaultOptions] = (),
    **clocks: Callable[..., Any],
) -> SyntheticSource:
    """Return a synthetic source of 64 x 48 pixels."""
    options = SyntheticOptions(
        width=64, height=48, fps=fps, frame_limit=frame_limit, live=live, faults=tuple(faults)
    )
    return SyntheticSource("camera", options, **clocks)
