"""The network in a process of its own: its end costs one frame, and is told."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from command import environment
from service.pipelines import Recorder, make_pipeline, synthetic
from tflite_models import FLOATS, INT8, STOCK, Kinds, raw_heads_model

from edge_ssd.config import ModelOptions, PreprocessOptions
from edge_ssd.detector.delegate import Delegate
from edge_ssd.detector.detector import Detector, InvokeLost, Network, Prepared
from edge_ssd.detector.drift import WINDOW, DriftWatch
from edge_ssd.detector.edgetpu import EdgeTpuDetector
from edge_ssd.detector.fallback import FallbackDetector
from edge_ssd.detector.isolated import MAX_DEATHS, IsolatedDetector
from edge_ssd.errors import DeviceError, ModelError
from edge_ssd.models.spec import ModelSpec
from edge_ssd.service.networks import network
from edge_ssd.sources.synthetic import frame_number
from edge_ssd.types import Geometry, RawHeads

DEADLINE_S = 0.5
MIXED = Kinds(STOCK.image, FLOATS.boxes, FLOATS.scores, FLOATS.anchors)


@pytest.fixture
def isolated(
    tpu_spec: ModelSpec, stand_in: Delegate, runtime_name: str
) -> Iterator[IsolatedDetector]:
    """The stand-in in a child, not yet open."""
    detector = IsolatedDetector(tpu_spec, stand_in, runtime_name, deadline_s=DEADLINE_S)
    yield detector
    detector.close()


@pytest.fixture
def once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in's fault happens once, however many processes there are."""
    monkeypatch.setenv("STAND_IN_ONCE", str(tmp_path / "happened"))


def picture(seed: int) -> Prepared:
    """A picture the stand-in copies into the heads."""
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    return Prepared(pixels, Geometry())


def infer(detector: Network, seed: int) -> RawHeads:
    """Infer a picture, and check that the heads are those of no other."""
    prepared = picture(seed)
    detector.set_prepared(prepared)
    heads = detector.invoke()
    given = prepared.tensor.ravel()
    np.testing.assert_array_equal(heads.boxes.values.ravel(), given[:48])
    np.testing.assert_array_equal(heads.scores.values.ravel(), given[48:96])
    return heads


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize(
    ("kinds", "side"), [(STOCK, 16), (INT8, 16), (FLOATS, 16), (MIXED, 15)],
    ids=["uint8", "int8", "float32", "odd-uint8-to-float32"],
)  # fmt: skip
def test_it_gives_what_the_interpreter_in_this_process_gives(
    kinds: Kinds, side: int, cpu_spec: ModelSpec, runtime_name: str
) -> None:
    cpu_spec.path.write_bytes(raw_heads_model(kinds=kinds, input_shape=(1, side, side, 3)))
    here, there = Detector(cpu_spec, runtime_name), IsolatedDetector(cpu_spec, None, runtime_name)
    there.open()
    with synthetic_source() as frames:
        for frame in frames:
            assert here.set_frame(frame) == there.set_frame(frame)
            expected, found = here.invoke(), there.invoke()
            np.testing.assert_array_equal(found.boxes.values, expected.boxes.values)
            np.testing.assert_array_equal(found.scores.values, expected.scores.values)
            assert (found.boxes.scale, found.scores.zero_point) == (
                expected.boxes.scale, expected.scores.zero_point,
            )  # fmt: skip
    there.close()


def test_the_heads_are_copies(isolated: IsolatedDetector) -> None:
    isolated.open()
    first = infer(isolated, 1)
    kept = first.boxes.values.copy()
    infer(isolated, 2)
    np.testing.assert_array_equal(first.boxes.values, kept)


def test_an_abort_loses_one_frame_and_is_told(
    isolated: IsolatedDetector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    once: None,
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_FAULT", "aborts@3")
    isolated.open()
    for seed in range(2):
        infer(isolated, seed)
    isolated.set_prepared(picture(2))
    with pytest.raises(InvokeLost):
        isolated.invoke()
    for seed in range(3, 30):
        infer(isolated, seed)
    ended, again = warnings(caplog)
    assert ended.startswith(
        "the network's process was ended by SIGABRT (Aborted); with an Edge TPU, "
    )
    assert ended.endswith("; the frame in it is lost; it is started again")
    assert again.startswith("the network runs again, ")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("segfaults@2", "was ended by SIGSEGV (Segmentation fault)"),
        ("fails@2", "failed to invoke"),
        ("hangs@2", f"the network hung in an inference for {DEADLINE_S:g} s"),
    ],
)
def test_other_ends_lose_one_frame_too(
    fault: str, told: str, isolated: IsolatedDetector, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, once: None,
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_FAULT", fault)
    isolated.open()
    infer(isolated, 1)
    isolated.set_prepared(picture(2))
    with pytest.raises(InvokeLost):
        isolated.invoke()
    infer(isolated, 3)
    assert told in warnings(caplog)[0]


def test_a_failure_at_the_start_is_an_error_and_gives_the_lock_back(
    isolated: IsolatedDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "create-fails")
    with pytest.raises(DeviceError, match="the stand-in was told to fail"):
        isolated.open()
    monkeypatch.delenv("STAND_IN_FAULT")
    isolated.open()
    infer(isolated, 1)


def test_a_start_that_hangs_is_given_up(
    tpu_spec: ModelSpec, stand_in: Delegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "create-hangs")
    detector = IsolatedDetector(tpu_spec, stand_in, load_deadline_s=0.2)
    with pytest.raises(DeviceError, match=r"the network hung in loading for 0\.2 s"):
        detector.open()


def test_while_it_is_open_no_other_process_gets_the_stick(
    isolated: IsolatedDetector, tpu_spec: ModelSpec, stand_in: Delegate
) -> None:
    isolated.open()
    with pytest.raises(DeviceError, match=rf"in use by process {os.getpid()} "):
        EdgeTpuDetector(tpu_spec, stand_in).open()


def test_deaths_in_a_row_wait_longer_and_end_it(
    tpu_spec: ModelSpec, stand_in: Delegate, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_FAULT", "aborts@1")
    now = [0.0]
    detector = IsolatedDetector(tpu_spec, stand_in, clock=lambda: now[0])
    detector.open()
    for _ in range(MAX_DEATHS - 1):
        with pytest.raises(InvokeLost):
            detector.invoke()
        now[0] += 5  # past every pause
    with pytest.raises(DeviceError, match=r"ended by SIGABRT .* failure number 5 within 60 s"):
        detector.invoke()
    deaths = [line.rpartition("; ")[2] for line in warnings(caplog) if "lost" in line]
    assert deaths == [
        "it is started again", "it is started again in 0.5 s", "it is started again in 1 s",
        "it is started again in 2 s",
    ]  # fmt: skip
    detector.close()


def test_deaths_far_apart_never_end_it(
    tpu_spec: ModelSpec, stand_in: Delegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "aborts@1")
    now = [0.0]
    detector = IsolatedDetector(tpu_spec, stand_in, load_deadline_s=1e6, clock=lambda: now[0])
    detector.open()
    before = descriptors_and_threads()
    for _ in range(2 * MAX_DEATHS):
        with pytest.raises(InvokeLost):
            detector.invoke()
        now[0] += 61
    assert descriptors_and_threads() == before
    detector.close()


def test_while_it_waits_it_says_so_and_does_not_block(
    tpu_spec: ModelSpec, stand_in: Delegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "aborts@1")
    now = [0.0]
    detector = IsolatedDetector(tpu_spec, stand_in, clock=lambda: now[0])
    detector.open()
    for _ in range(2):
        with pytest.raises(InvokeLost):
            detector.invoke()
    assert not detector.wait_ready(0)
    now[0] += 0.5
    monkeypatch.delenv("STAND_IN_FAULT")
    infer(detector, 1)
    detector.close()


def test_the_child_ignores_signals_and_ends_when_it_is_closed(
    isolated: IsolatedDetector,
) -> None:
    isolated.open()
    child = isolated.child_pid
    assert child
    os.kill(child, signal.SIGTERM)  # systemd sends it to every process of a service
    os.kill(child, signal.SIGINT)
    infer(isolated, 1)
    isolated.close()
    assert not Path(f"/proc/{child}").exists()


ORPHAN = """
import sys
from pathlib import Path
from edge_ssd.detector.delegate import Delegate
from edge_ssd.detector.isolated import IsolatedDetector
from edge_ssd.models.spec import ModelSpec
detector = IsolatedDetector(ModelSpec("small", Path(sys.argv[1])), Delegate(sys.argv[2], "usb:0"))
detector.open()
print(detector.child_pid, flush=True)
detector.invoke()
"""


def test_a_child_that_hangs_ends_with_a_parent_that_is_killed(
    tpu_spec: ModelSpec, stand_in: Delegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would keep the stick from the service that comes next."""
    monkeypatch.setenv("STAND_IN_FAULT", "hangs@1")
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN, tpu_spec.path, stand_in.library],
        stdout=subprocess.PIPE, env=environment(),
    ) as parent:  # fmt: skip
        assert parent.stdout
        child = int(parent.stdout.readline())
        parent.kill()
    wait_for(lambda: not runs(child))


def runs(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_recorded_stream_loses_the_frame_in_flight_and_no_other(
    isolated: IsolatedDetector, monkeypatch: pytest.MonkeyPatch, once: None
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "aborts@50")
    recorder = Recorder()
    pipeline = make_pipeline(synthetic(live=False, frame_limit=200), isolated, [recorder])
    pipeline.start()
    assert pipeline.wait(30)
    assert recorder.numbers == [*range(49), *range(50, 200)]
    assert [frame_number(result.frame.image) for result in recorder.results] == recorder.numbers
    stats = pipeline.stats.snapshot()
    assert (stats.captured, stats.dropped, stats.inferred) == (200, 1, 199)


def test_a_live_stream_goes_on_with_its_newest_frame_while_the_camera_stays_open(
    isolated: IsolatedDetector, monkeypatch: pytest.MonkeyPatch, once: None
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "aborts@20")
    source, recorder, enough = synthetic(live=True, frame_limit=None), Recorder(), threading.Event()
    opened = count_opens(source)
    recorder.publish = tell_after(60, recorder, enough)  # type: ignore[method-assign]
    pipeline = make_pipeline(source, isolated, [recorder])
    pipeline.start()
    assert enough.wait(30)
    pipeline.stop()
    stats = pipeline.stats.snapshot()
    assert stats.captured == stats.dropped + stats.inferred
    assert recorder.numbers == sorted(set(recorder.numbers))
    gap = max(np.diff(recorder.numbers[15:25]))
    assert gap > 1, "the frame in flight is lost"
    assert opened == [1]


def test_a_stop_does_not_wait_for_a_network_that_starts_again(
    isolated: IsolatedDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "aborts@1")
    pipeline = make_pipeline(synthetic(live=True, frame_limit=None), isolated, [Recorder()])
    pipeline.start()
    wait_for(lambda: pipeline.stats.snapshot().dropped)
    pipeline.stop()
    stats = pipeline.stats.snapshot()
    assert stats.captured == stats.dropped
    assert isolated.child_pid is None


def test_a_hang_in_this_process_ends_the_service_with_a_sentence(
    tpu_spec: ModelSpec, stand_in: Delegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_ssd.service.pipeline.STOP_S", 0.1)
    detector = HangingDetector(tpu_spec, stand_in)
    source = synthetic(live=True, frame_limit=None)
    pipeline = make_pipeline(source, detector, [Recorder()], invoke_deadline_s=0.2)
    pipeline.start()
    with pytest.raises(DeviceError, match=r"hung in an inference for 0\.2 s; with model\.isolat"):
        pipeline.wait(20)
    detector.let_go.set()


class HangingDetector(EdgeTpuDetector):
    """Its first inference takes until ``let_go``."""

    let_go = threading.Event()

    def invoke(self) -> RawHeads:
        assert self.let_go.wait(30)
        return super().invoke()


def fallback_options(tpu_spec: ModelSpec, cpu_spec: ModelSpec, library: str, isolation: str):
    return ModelOptions.model_validate(
        {
            "name": str(tpu_spec.path), "delegate": "edgetpu", "delegate_library": library,
            "delegate_device": "usb:0", "isolation": isolation,
            "on_delegate_failure": "cpu", "cpu_model": str(cpu_spec.path),
        }
    )  # fmt: skip


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_stick_that_fails_at_the_start_is_replaced_by_the_cpu(
    isolation: str, tpu_spec: ModelSpec, cpu_spec: ModelSpec, stand_in: Delegate,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_FAULT", "create-aborts")
    options = fallback_options(tpu_spec, cpu_spec, stand_in.library, isolation)
    found = network(options, PreprocessOptions())
    found.open()
    found.set_prepared(picture(1))
    assert found.invoke().boxes.values.shape == (12, 4)
    assert found.spec.name == "small"
    (warning,) = warnings(caplog)
    assert "SIGABRT" in warning
    assert warning.endswith("until a restart, small runs on the CPU")


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_stick_that_fails_later_costs_a_frame_and_is_replaced_by_the_cpu(
    isolation: str, tpu_spec: ModelSpec, cpu_spec: ModelSpec, stand_in: Delegate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("edge_ssd.detector.isolated.MAX_DEATHS", 1)
    monkeypatch.setenv("STAND_IN_FAULT", "fails@11")
    options = fallback_options(tpu_spec, cpu_spec, stand_in.library, isolation)
    recorder = Recorder()
    source = synthetic(live=False, frame_limit=100)
    pipeline = make_pipeline(source, network(options, PreprocessOptions()), [recorder])
    pipeline.start()
    assert pipeline.wait(30)
    assert recorder.numbers == [*range(10), *range(11, 100)]
    assert recorder.results[-1].model == "small"
    assert pipeline.stats.snapshot().dropped == 1


def test_a_cpu_model_that_predicts_something_else_is_refused(
    tpu_spec: ModelSpec, cpu_spec: ModelSpec, stand_in: Delegate, tmp_path: Path
) -> None:
    cpu_spec.path.write_bytes(raw_heads_model(75, 5))
    with pytest.raises(ModelError, match=r"differ in the number of boxes, the number of classes;"):
        FallbackDetector(EdgeTpuDetector(tpu_spec, stand_in), Detector(cpu_spec))


def test_inference_that_becomes_slow_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    watch = DriftWatch(warm_up=1)
    for milliseconds in [900.0] + [2.0] * WINDOW + [2.5] * WINDOW:
        watch.note(milliseconds)
    assert not warnings(caplog)
    for _ in range(5 * WINDOW):
        watch.note(20.0)
    (warning,) = warnings(caplog)
    assert warning.startswith("inference takes 20.0 ms and took 2.0 ms at first; an Edge TPU that")


def test_a_few_slow_inferences_are_no_drift(caplog: pytest.LogCaptureFixture) -> None:
    watch = DriftWatch(warm_up=0)
    for number in range(10 * WINDOW):
        watch.note(500.0 if number % 3 == 0 else 2.0)
    assert not warnings(caplog)


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_stick_that_becomes_ten_times_slower_is_told(
    isolation: str, tpu_spec: ModelSpec, stand_in: Delegate, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_FAULT", "slow@70")
    kind = {"thread": EdgeTpuDetector, "process": IsolatedDetector}[isolation]
    detector = kind(tpu_spec, stand_in)
    detector.open()
    for seed in range(200):
        infer(detector, seed)
    detector.close()
    assert [line for line in warnings(caplog) if "inference takes" in line]


def descriptors_and_threads() -> tuple[int, int]:
    return len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208


def synthetic_source():
    """Ten synthetic frames."""
    from contextlib import closing

    from edge_ssd.sources.base import frames

    return closing(frames(synthetic(live=False, frame_limit=10)))


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


def wait_for(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait for what no event announces."""
    deadline, gate = time.monotonic() + timeout_s, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        gate.wait(0.002)
