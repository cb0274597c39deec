"""A camera that fails: closed, tried again at growing intervals, said once. No waiting here."""

from __future__ import annotations

import logging
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from support.pipelines import small_spec, synthetic

from edge_ssd.channels import Channel, Closed
from edge_ssd.errors import DeviceError
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.pipeline.capture import Capture, Captured
from edge_ssd.pipeline.outage import GIVE_UP_S
from edge_ssd.pipeline.stats import Stats
from edge_ssd.sources.base import Source
from edge_ssd.sources.synthetic import FaultOptions

STALL_S = 10.0


class Bench:
    """A capture stage on a live source of 10 fps, with a clock that the test turns."""

    def __init__(self, folder: Path, *faults: FaultOptions) -> None:
        self.now_ns = 0
        self.stats = Stats()
        self.outbox: Channel[Captured] = Channel(100_000)
        self.source = synthetic(
            live=True, frame_limit=None, fps=10, faults=faults,
            clock=lambda: self.now_ns, wait=self.wait,
        )  # fmt: skip
        self.capture = Capture(
            self.source, CpuBackend(small_spec(folder)), self.outbox, self.stats, STALL_S,
            lambda: self.now_ns,
        )  # fmt: skip
        # What waits for the next try lets the test's time pass instead.
        self.capture.outage.wait = lambda seconds: self.wait(None, seconds)

    def wait(self, _event: threading.Event | None, seconds: float | None = None) -> bool:
        self.now_ns += max(1, round((seconds or 0) * 1e9))
        return False

    def run(self, until_s: float) -> list[int]:
        """Step until this time; return the frames handed over since the last call."""
        while self.now_ns < until_s * 1e9:
            self.capture.step()
        taken = []
        while (item := self.outbox.get(0)) is not None:
            taken.append(item.frame.number)
        return taken


def test_a_camera_that_fails_is_opened_again_and_no_frame_comes_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, FaultOptions(kind="error", at_frame=5, duration_s=3))
    bench.capture.begin()
    with caplog.at_level(logging.WARNING):
        numbers = bench.run(12)
    assert numbers[:5] == [0, 1, 2, 3, 4]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 30
    lost, back = caplog.messages
    assert "the camera failed at frame 5" in lost
    assert lost.endswith("; retrying")
    assert "works again after" in back


def test_a_stalled_camera_is_opened_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(tmp_path, FaultOptions(kind="stall", at_frame=5, duration_s=2 * STALL_S))
    bench.capture.begin()
    with caplog.at_level(logging.WARNING):
        assert bench.run(9) == [0, 1, 2, 3, 4]
        assert not caplog.messages
        assert bench.run(60)
    assert "no frame for 10." in caplog.messages[0]
    assert "works again after" in caplog.messages[-1]
    assert len(caplog.messages) == 2


def test_tries_are_further_and_further_apart(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FaultOptions(kind="error", at_frame=1, duration_s=200))
    bench.capture.begin()
    tries: list[float] = []
    opened = bench.source.open

    def note() -> None:
        tries.append(bench.now_ns / 1e9)
        opened()

    bench.source.open = note  # type: ignore[method-assign]
    bench.run(190)
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert 0.3 < tries[0] < 0.8
    assert all(later > 1.2 * earlier for earlier, later in pairwise(gaps[:4]))
    assert 20 < max(gaps) < 40


def test_a_camera_lost_for_long_ends_the_service_with_its_error(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FaultOptions(kind="error", at_frame=1, duration_s=1e6))
    bench.capture.begin()
    with pytest.raises(DeviceError, match="still broken"):
        bench.run(1e6)
    assert GIVE_UP_S < bench.now_ns / 1e9 < GIVE_UP_S + 60


def test_an_outage_is_over_only_when_a_frame_came(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A camera that opens and gives nothing is still lost; it is not announced as back."""
    bench = Bench(tmp_path)
    bench.capture.begin()
    bench.source.read = lambda timeout_s: bench.wait(None, timeout_s) or None  # type: ignore
    with caplog.at_level(logging.WARNING):
        assert not bench.run(90)
    assert len(caplog.messages) == 1


class Missing:
    """A camera that is not there for so long, then is; notes when it was opened."""

    def __init__(self, bench: Bench, for_s: float) -> None:
        self.tries: list[float] = []
        self._bench, self._for_s, self._open = bench, for_s, bench.source.open
        bench.source.open = self  # type: ignore[method-assign]

    def __call__(self) -> None:
        now_s = self._bench.now_ns / 1e9
        self.tries.append(now_s)
        if now_s < self._for_s:
            raise DeviceError("no camera found", "plug one in")
        self._open()


def test_a_camera_that_is_missing_at_the_start_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path)
    missing = Missing(bench, for_s=100)
    with caplog.at_level(logging.WARNING):
        bench.capture.begin()
        assert bench.run(90) == []
        assert bench.capture.outage.reason == "no camera found"
        assert bench.run(200)[0] == 0
    assert bench.capture.outage.reason is None
    lost, back = caplog.messages
    assert lost == "no camera found; plug one in; retrying"
    assert back.startswith("camera: works again after 1")
    assert len(missing.tries) < 12


def test_a_camera_that_stays_missing_ends_the_service_with_its_error(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    Missing(bench, for_s=1e6)
    bench.capture.begin()
    with pytest.raises(DeviceError, match="no camera found"):
        bench.run(1e6)
    assert GIVE_UP_S < bench.now_ns / 1e9 < GIVE_UP_S + 60


def test_a_recording_that_fails_to_open_is_not_tried_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    missing = Missing(bench, for_s=1e6)
    bench.source.live = False
    with pytest.raises(DeviceError, match="no camera found"):
        bench.capture.begin()
    assert len(missing.tries) == 1


def test_a_stop_ends_an_outage_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FaultOptions(kind="error", at_frame=0, duration_s=1e6))
    bench.capture.begin()
    bench.run(5)
    bench.capture.request_stop()
    with pytest.raises(Closed):
        bench.capture.step()


def test_the_source_is_closed_at_the_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    closed: list[Source] = []
    bench.source.close = lambda: closed.append(bench.source)  # type: ignore[method-assign]
    bench.capture.begin()
    bench.capture.end()
    assert closed == [bench.source]
    with pytest.raises(Closed):
        bench.outbox.get(0)
