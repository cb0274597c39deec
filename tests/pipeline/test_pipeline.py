"""The pipeline as a whole, on the real interpreter and the shipped synthetic source."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import pytest
from support.frame_numbers import frame_number
from support.pipelines import GatedDetector, Recorder, make_pipeline, small_spec, synthetic
from support.waiting import wait_for

from edge_ssd.errors import DeviceError, PipelineError
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.models.spec import ModelSpec
from edge_ssd.pipeline.pipeline import Pipeline
from edge_ssd.sources.base import Source
from edge_ssd.sources.synthetic import FaultOptions
from edge_ssd.types import Frame


@pytest.fixture
def detector(tmp_path: Path) -> CpuBackend:
    return CpuBackend(small_spec(tmp_path))


@pytest.fixture
def gated(tmp_path: Path) -> GatedDetector:
    return GatedDetector(small_spec(tmp_path))


def threads_of(pipeline: Pipeline) -> set[str]:
    return {worker.name for worker in pipeline.workers if not worker.join(0)}


def test_a_recorded_source_loses_nothing_and_keeps_the_order(detector: CpuBackend) -> None:
    first, second = Recorder("first"), Recorder("second")
    pipeline = make_pipeline(synthetic(live=False, frame_limit=200), detector, [first, second])
    pipeline.start()
    assert pipeline.wait(60)
    assert first.numbers == second.numbers == list(range(200))
    assert [frame_number(result.frame.image) for result in first.results] == list(range(200))
    stats = pipeline.stats.snapshot()
    assert (stats.captured, stats.dropped, stats.inferred) == (200, 0, 200)
    assert stats.published == {"first": 200, "second": 200}
    assert first.events == ["open", "close"]
    assert not threads_of(pipeline)


def test_every_result_carries_its_times_and_age(detector: CpuBackend) -> None:
    recorder = Recorder()
    pipeline = make_pipeline(synthetic(live=False, frame_limit=3), detector, [recorder])
    pipeline.start()
    assert pipeline.wait(60)
    for result in recorder.results:
        assert result.timing.preprocess_ms > 0
        assert result.timing.inference_ms > 0
        spent = result.timing.preprocess_ms + result.timing.inference_ms
        assert result.age_ms >= spent + result.timing.postprocess_ms
    stats = pipeline.stats.snapshot()
    assert 0 < stats.age_p50_ms <= stats.age_p99_ms
    assert stats.timing.inference_ms > 0


def test_a_live_source_is_always_inferred_at_its_newest_frame(gated: GatedDetector) -> None:
    """Five frames arrive during each inference; the next one to be inferred is the fifth."""
    source, recorder = PushedSource(), Recorder()
    pipeline = make_pipeline(source, gated, [recorder])
    pipeline.start()
    source.push(1)
    for _ in range(20):
        assert gated.entered.acquire(timeout=60)
        source.push(5)
        gated.permits.release()
    assert gated.entered.acquire(timeout=60)
    gated.permits.release()
    source.end()
    assert pipeline.wait(60)
    assert recorder.numbers == [0, *range(5, 101, 5)]
    stats = pipeline.stats.snapshot()
    assert (stats.captured, stats.inferred, stats.dropped) == (101, 21, 80)


def test_captured_is_dropped_plus_inferred_after_a_stop_in_full_flow(detector: CpuBackend) -> None:
    recorder = Recorder()
    pipeline = make_pipeline(synthetic(live=True, frame_limit=None), detector, [recorder])
    pipeline.start()
    wait_for(lambda: len(recorder.results) > 50)
    pipeline.stop()
    stats = pipeline.stats.snapshot()
    assert stats.captured == stats.dropped + stats.inferred
    assert stats.inferred == stats.published["recorder"] + stats.shed["recorder"]
    assert len(set(recorder.numbers)) == len(recorder.numbers)
    assert recorder.numbers == sorted(recorder.numbers)
    assert not threads_of(pipeline)


def test_a_stop_finishes_what_is_under_way(gated: GatedDetector) -> None:
    recorder = Recorder()
    pipeline = make_pipeline(synthetic(live=False, frame_limit=None), gated, [recorder])
    pipeline.start()
    assert gated.entered.acquire(timeout=60)
    pipeline.request_stop()
    gated.permits.release(10)
    pipeline.stop()
    stats = pipeline.stats.snapshot()
    assert stats.captured == stats.inferred == len(recorder.results) > 0


def test_a_worker_that_hangs_is_named_and_does_not_hold_the_stop(gated: GatedDetector) -> None:
    pipeline = make_pipeline(synthetic(live=False, frame_limit=None), gated, [Recorder()])
    pipeline.start()
    assert gated.entered.acquire(timeout=60)
    with pytest.raises(PipelineError, match=r"inference did not stop within 3 s"):
        pipeline.stop(timeout_s=3)
    gated.permits.release(100)
    assert pipeline.wait(60)


def test_an_error_in_the_source_stops_everything_and_is_raised(detector: CpuBackend) -> None:
    recorder = Recorder()
    source = synthetic(live=False, faults=[FaultOptions(kind="error", at_frame=5)])
    pipeline = make_pipeline(source, detector, [recorder])
    pipeline.start()
    with pytest.raises(DeviceError, match="failed at frame 5"):
        pipeline.wait(60)
    assert recorder.events[-1] == "close"
    assert not threads_of(pipeline)


class Missing(CpuBackend):
    """The real interpreter, whose device is not there until it is plugged in."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.plugged_in = threading.Event()

    def open(self) -> None:
        if not self.plugged_in.is_set():
            raise DeviceError("no Edge TPU", "plug it in")


def test_a_device_of_the_network_that_is_missing_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    missing, recorder = Missing(small_spec(tmp_path)), Recorder()
    pipeline = make_pipeline(synthetic(live=True, frame_limit=None), missing, [recorder])
    pipeline.start()
    wait_for(lambda: pipeline.outages and pipeline.stats.snapshot().dropped > 100)
    assert pipeline.outages == ["no Edge TPU"]
    missing.plugged_in.set()
    wait_for(lambda: len(recorder.results) > 100)
    assert pipeline.outages == []
    pipeline.stop()
    stats = pipeline.stats.snapshot()
    assert stats.captured == stats.dropped + stats.inferred
    lost, back = caplog.messages
    assert lost == "no Edge TPU; plug it in; retrying"
    assert back.startswith("small: works again after ")


def test_a_stop_does_not_wait_for_a_device_that_is_missing(tmp_path: Path) -> None:
    pipeline = make_pipeline(
        synthetic(live=True, frame_limit=None), Missing(small_spec(tmp_path)), [Recorder()]
    )
    pipeline.start()
    wait_for(lambda: pipeline.outages and pipeline.stats.snapshot().captured)
    pipeline.stop()
    stats = pipeline.stats.snapshot()
    assert stats.captured == stats.dropped


def test_a_source_that_ends_does_not_wait_for_a_device_that_is_missing(tmp_path: Path) -> None:
    pipeline = make_pipeline(
        synthetic(live=True, frame_limit=50), Missing(small_spec(tmp_path)), [Recorder()]
    )
    pipeline.start()
    assert pipeline.wait(60)
    stats = pipeline.stats.snapshot()
    assert (stats.captured, stats.dropped) == (50, 50)


def test_a_stop_while_the_device_is_being_opened_is_no_failure(tmp_path: Path) -> None:
    """To be sure of an Edge TPU takes up to half a minute; nobody waits for it at the end."""
    entered, gate = threading.Event(), threading.Event()

    class Slow(CpuBackend):
        def open(self) -> None:
            entered.set()
            assert gate.wait(60)

    pipeline = make_pipeline(
        synthetic(live=True, frame_limit=None), Slow(small_spec(tmp_path)), [Recorder()]
    )
    pipeline.start()
    assert entered.wait(60)
    pipeline.stop(timeout_s=3)
    gate.set()
    assert pipeline.wait(60)


def test_a_recording_has_no_time_for_a_device_that_is_missing(tmp_path: Path) -> None:
    pipeline = make_pipeline(synthetic(live=False), Missing(small_spec(tmp_path)), [Recorder()])
    pipeline.start()
    with pytest.raises(DeviceError, match="no Edge TPU"):
        pipeline.wait(60)


def test_an_inference_across_a_stopped_process_is_no_hang(gated: GatedDetector) -> None:
    """After Ctrl-Z and fg it looks an hour old, once, and is about to end."""
    recorder, stopped_ns = Recorder(), [0]

    def clock_ns() -> int:
        if stopped_ns[0] and threading.current_thread() is threading.main_thread():
            gated.permits.release()
            wait_for(lambda: recorder.results)
        return time.monotonic_ns() + stopped_ns[0]

    source = synthetic(live=False, frame_limit=1)
    pipeline = make_pipeline(source, gated, [recorder], clock_ns=clock_ns)
    pipeline.start()
    assert gated.entered.acquire(timeout=60)
    stopped_ns[0] = 3600 * 10**9
    assert pipeline.wait(60)
    assert recorder.numbers == [0]


def test_an_error_that_nobody_foresaw_stops_everything_too(detector: CpuBackend) -> None:
    class Broken(Recorder):
        def publish(self, _result: object) -> None:
            raise ZeroDivisionError("a bug")

    pipeline = make_pipeline(synthetic(live=True, frame_limit=None), detector, [Broken()])
    pipeline.start()
    with pytest.raises(ZeroDivisionError, match="a bug"):
        pipeline.wait(60)
    assert not threads_of(pipeline)


def test_a_recording_that_stalls_stops_the_service(detector: CpuBackend) -> None:
    source = synthetic(
        live=False, fps=1000, faults=[FaultOptions(kind="stall", at_frame=3, duration_s=60)]
    )
    pipeline = make_pipeline(source, detector, [Recorder()], stall_timeout_s=0.05)
    pipeline.start()
    with pytest.raises(DeviceError, match=r"camera: no frame for \d+\.\d s; check the camera"):
        pipeline.wait(60)


def test_a_frame_of_another_size_in_the_stream_is_detected_in_its_own_pixels(
    detector: CpuBackend,
) -> None:
    recorder = Recorder()
    source = synthetic(
        live=False, frame_limit=4, faults=[FaultOptions(kind="wrong-size", at_frame=2)]
    )
    pipeline = make_pipeline(source, detector, [recorder])
    pipeline.start()
    assert pipeline.wait(60)
    assert [result.frame.width for result in recorder.results] == [64, 64, 128, 64]


def test_a_publisher_that_fails_is_said_once_counted_and_tried_again(
    detector: CpuBackend, caplog: pytest.LogCaptureFixture
) -> None:
    source, bad, good = PushedSource(live=False), Recorder("bad"), Recorder("good")
    pipeline = make_pipeline(source, detector, [bad, good])
    bad.failing.set()
    pipeline.start()
    with caplog.at_level(logging.WARNING):
        source.push(10)
        wait_for(lambda: pipeline.stats.snapshot().failed.get("bad") == 10)
        bad.failing.clear()
        source.push(5)
        source.end()
        assert pipeline.wait(60)
    stats = pipeline.stats.snapshot()
    assert (stats.failed["bad"], stats.published["bad"], stats.published["good"]) == (10, 5, 15)
    assert [record.message for record in caplog.records] == [
        "bad: no room; make room; dropping and counting results until it works again",
        "bad works again",
    ]


def test_a_blocked_publisher_of_a_live_source_sheds_its_oldest_and_delays_nobody(
    detector: CpuBackend,
) -> None:
    source, slow, fast = PushedSource(), Recorder("slow"), Recorder("fast")
    slow.open_gate.clear()
    pipeline = make_pipeline(source, detector, [slow, fast], queue_size=4)
    pipeline.start()
    for count in range(1, 51):
        source.push(1)
        wait_for(lambda count=count: len(fast.results) == count)
    slow.open_gate.set()
    source.end()
    assert pipeline.wait(60)
    stats = pipeline.stats.snapshot()
    assert fast.numbers == list(range(50))
    assert slow.numbers[-4:] == [46, 47, 48, 49]
    assert stats.shed["slow"] == 50 - len(slow.numbers) > 0
    assert stats.shed["fast"] == 0


class PushedSource(Source):
    """Gives a frame for each push; ``push`` returns once the capture thread came for more."""

    def __init__(self, live: bool = True) -> None:
        super().__init__("pushed")
        self.live = live
        self._inner = synthetic(live=False, frame_limit=None)
        self._wanted = threading.Semaphore(0)
        self._asked = threading.Semaphore(0)

    def open(self) -> None:
        self._inner.open()

    def read(self, timeout_s: float) -> Frame | None:
        self._asked.release()
        if not self._wanted.acquire(timeout=60):
            return None
        return self._inner.read(timeout_s)

    def close(self) -> None:
        self._inner.close()

    def push(self, count: int) -> None:
        for _ in range(count):
            assert self._asked.acquire(timeout=60)
            self._wanted.release()
        assert self._asked.acquire(timeout=60)
        self._asked.release()

    def end(self) -> None:
        self._inner = synthetic(live=False, frame_limit=1)
        self._inner.open()
        self._inner.read(0)
        self._wanted.release()
