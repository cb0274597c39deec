"""The life of a pipeline: its source's end, a signal, an error. And its speed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support.pipelines import Recorder, make_pipeline, small_spec, synthetic

from edge_ssd.detector import Detector
from edge_ssd.errors import PublishError
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.pipeline.lifecycle import run_until_done
from edge_ssd.pipeline.measuring import pipeline_fps
from edge_ssd.types import FrameResult


@pytest.fixture
def backend(tmp_path: Path) -> CpuBackend:
    return CpuBackend(small_spec(tmp_path))


class Interrupting(Recorder):
    """Sends this process a signal with its third result."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def publish(self, result: FrameResult) -> None:
        super().publish(result)
        if len(self.results) == 3:
            os.kill(os.getpid(), self.number)


def test_at_the_sources_end_it_was_not_interrupted(backend: CpuBackend) -> None:
    recorder = Recorder()
    assert not run_until_done(make_pipeline(synthetic(live=False), backend, [recorder]))
    assert recorder.numbers == list(range(20))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_what_is_under_way_is_published(
    backend: CpuBackend, number: int
) -> None:
    before = signal.getsignal(number)
    recorder = Interrupting(number)
    source = synthetic(live=False, frame_limit=None)
    assert run_until_done(make_pipeline(source, backend, [recorder]))
    assert recorder.events == ["open", "close"]
    assert recorder.numbers == list(range(len(recorder.numbers)))
    assert signal.getsignal(number) == before


def test_results_that_were_not_delivered_are_an_error(backend: CpuBackend) -> None:
    recorder = Recorder()
    recorder.failing.set()
    with pytest.raises(PublishError, match="20 results could not be delivered"):
        run_until_done(make_pipeline(synthetic(live=False), backend, [recorder]))


def test_the_speed_is_measured_over_the_first_frames(backend: CpuBackend) -> None:
    source = synthetic(live=False, frame_limit=None)
    fps, timing = pipeline_fps(source, Detector.from_backend(backend), 5)
    assert fps > 0
    assert timing.inference_ms > 0
