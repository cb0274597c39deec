"""A minute at full speed with faults all the time: nothing grows, and the counters add up.

The camera takes 260,000 frames; how many of them are inferred depends on the machine, and nothing
here depends on that.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.pipelines import Recorder, make_pipeline, small_spec

from edge_ssd.errors import PublishError
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.pipeline import outage
from edge_ssd.sources.synthetic import FaultOptions, SyntheticOptions, SyntheticSource
from edge_ssd.types import FrameResult

pytestmark = pytest.mark.system

FRAMES = 260_000
SAMPLES = 40

FAULTS = (
    FaultOptions(kind="drop", at_frame=97, every=97),
    FaultOptions(kind="wrong-size", at_frame=131, every=131),
    FaultOptions(kind="error", at_frame=5_003, every=5_003),
    FaultOptions(kind="stall", at_frame=7_001, duration_s=0.02, every=7_001),
)


class Moody(Recorder):
    """Counts and forgets; now and then it fails, or takes its time."""

    def __init__(self, seed: int) -> None:
        super().__init__(f"moody {seed}")
        self.count = 0
        self._random = random.Random(seed)
        self._pause = threading.Event()

    def publish(self, result: FrameResult) -> None:
        mood = self._random.random()
        if mood < 0.001:
            self._pause.wait(0.02)
        elif mood < 0.01:
            raise PublishError("not now")
        self.count += 1


class Measured(Moody):
    """Also notes the process's memory, descriptors and threads, ``SAMPLES`` times."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.samples: list[tuple[int, int, int]] = []

    def publish(self, result: FrameResult) -> None:
        if result.frame.number >= len(self.samples) * FRAMES // SAMPLES:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
            kilobytes = pages * os.sysconf("SC_PAGE_SIZE") // 1024
            self.samples.append((kilobytes, descriptors, threading.active_count()))
        super().publish(result)


@pytest.fixture
def unlogged() -> Iterator[None]:
    """pytest keeps every log record of a test, and this one has thousands."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("unlogged")
def test_a_soak_with_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "FIRST_RETRY_S", 0.01)
    options = SyntheticOptions(width=64, height=48, fps=4000, frame_limit=FRAMES, faults=FAULTS)
    source = SyntheticSource("camera", options)
    measured, other = Measured(1), Moody(2)
    pipeline = make_pipeline(source, CpuBackend(small_spec(tmp_path)), [measured, other], 16)
    pipeline.start()
    pipeline.wait()

    stats = pipeline.stats.snapshot()
    assert stats.captured == stats.dropped + stats.inferred
    # Each error takes the frame it struck with it.
    assert FRAMES - stats.captured - source.skipped == sum(
        FAULTS[2].hits(number) for number in range(FRAMES)
    )
    for publisher in (measured, other):
        name = publisher.name
        assert stats.published[name] == publisher.count
        assert stats.inferred == stats.published[name] + stats.failed[name] + stats.shed[name]
        assert stats.failed[name] > 0

    memory, descriptors, threads = np.array(measured.samples).T
    settled = slice(SAMPLES // 8, None)
    slope = np.polyfit(np.arange(len(memory[settled])), memory[settled], 1)[0]
    print(f"captured {stats.captured}, inferred {stats.inferred}, shed {stats.shed}, ", end="")
    print(f"RSS {memory[0]} -> {memory[-1]} kB, {slope * SAMPLES:.0f} kB per {FRAMES} frames")
    assert slope * SAMPLES < 2048, memory
    assert len(set(descriptors[settled].tolist())) == 1
    assert len(set(threads[settled].tolist())) == 1
