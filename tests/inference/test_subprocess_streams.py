"""A stream goes on when the inference process ends, and stops when it is told to."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from support.frame_numbers import frame_number
from support.inferring import changed
from support.pipelines import Recorder, make_pipeline, synthetic
from support.waiting import wait_for

from edge_ssd.errors import DeviceError
from edge_ssd.inference.edgetpu import EdgeTpuBackend
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.subprocess import SubprocessBackend
from edge_ssd.models.spec import ModelSpec
from edge_ssd.types import RawHeads


def test_a_recorded_stream_loses_the_frame_in_flight_and_no_other(
    isolated: SubprocessBackend, monkeypatch: pytest.MonkeyPatch, once: None
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "aborts@50")
    recorder = Recorder()
    pipeline = make_pipeline(synthetic(live=False, frame_limit=200), isolated, [recorder])
    pipeline.start()
    assert pipeline.wait(60)
    assert recorder.numbers == [*range(49), *range(50, 200)]
    assert [frame_number(result.frame.image) for result in recorder.results] == recorder.numbers
    stats = pipeline.stats.snapshot()
    assert (stats.captured, stats.dropped, stats.inferred) == (200, 1, 199)


def test_a_live_stream_goes_on_with_its_newest_frame_while_the_camera_stays_open(
    isolated: SubprocessBackend, monkeypatch: pytest.MonkeyPatch, once: None
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "aborts@20")
    source, recorder, enough = synthetic(live=True, frame_limit=None), Recorder(), threading.Event()
    opened = count_opens(source)
    recorder.publish = tell_after(60, recorder, enough)  # type: ignore[method-assign]
    pipeline = make_pipeline(source, isolated, [recorder])
    pipeline.start()
    assert enough.wait(60)
    pipeline.stop()
    stats = pipeline.stats.snapshot()
    assert stats.captured == stats.dropped + stats.inferred
    assert recorder.numbers == sorted(set(recorder.numbers))
    gap = max(np.diff(recorder.numbers[15:25]))
    assert gap > 1, "the frame in flight is lost"
    assert opened == [1]


def count_opens(source) -> list[int]:
    """Count how often a source is opened."""
    opened = [0]
    opens = source.open

    def counted() -> None:
        opened[0] += 1
        opens()

    source.open = counted
    return opened


def tell_after(count: int, recorder: Recorder, event: threading.Event):
    """Set an event after so many results."""
    publish = recorder.publish

    def told(result) -> None:
        publish(result)
        if len(recorder.results) >= count:
            event.set()

    return told


def test_a_stop_does_not_wait_for_a_model_that_starts_again(
    isolated: SubprocessBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "aborts@1")
    pipeline = make_pipeline(synthetic(live=True, frame_limit=None), isolated, [Recorder()])
    pipeline.start()
    wait_for(lambda: pipeline.stats.snapshot().dropped)
    pipeline.stop()
    stats = pipeline.stats.snapshot()
    assert stats.captured == stats.dropped
    assert isolated._child is None


def test_a_hang_in_this_process_ends_the_service_with_a_sentence(
    tpu_spec: ModelSpec, stand_in: ModelOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_ssd.pipeline.pipeline.STOP_S", 0.1)
    backend = HangingBackend(tpu_spec, changed(stand_in, invoke_deadline_s=0.2))
    source = synthetic(live=True, frame_limit=None)
    pipeline = make_pipeline(source, backend, [Recorder()])
    pipeline.start()
    with pytest.raises(DeviceError, match=r"inference did not end within 0\.2 s; set model\.isol"):
        pipeline.wait(60)
    backend.let_go.set()
    assert all(worker.join(60) for worker in pipeline.workers)


class HangingBackend(EdgeTpuBackend):
    """Its first inference takes until ``let_go``."""

    let_go = threading.Event()

    def invoke(self) -> RawHeads:
        assert self.let_go.wait(60)
        return super().invoke()
