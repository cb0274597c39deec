"""A picamera2 camera that fails is told of in words, holds nothing, and is opened again."""

from __future__ import annotations

import gc
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.fake_picamera2 import BUFFERS, Rig
from support.pipelines import Recorder, make_pipeline, small_spec
from support.reading import assert_bars, assert_nothing_is_held, read
from support.waiting import wait_for

from edge_ssd.errors import DeviceError
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.pipeline import outage
from edge_ssd.sources import picamera_faults
from edge_ssd.sources.picamera import PiCameraOptions, PiCameraSource


def test_busy_names_who_has_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.busy = True
    monkeypatch.setattr(picamera_faults, "holders", lambda *_: ["rpicam-vid (pid 7)"])
    with pytest.raises(DeviceError, match=r"camera 0 is busy: rpicam-vid \(pid 7\) has it open"):
        PiCameraSource("door", PiCameraOptions()).open()
    monkeypatch.setattr(picamera_faults, "holders", lambda *_: [])
    with pytest.raises(DeviceError, match=r"is busy or broken: .* did not complete; .* fuser"):
        PiCameraSource("door", PiCameraOptions()).open()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(12, "Cannot allocate memory"), "no memory for its buffers; .* cma"),
        (PermissionError(13, "Permission denied"), "Permission denied; .* group video"),
        (RuntimeError("Failed to start camera: -5"), "cannot be started: Failed to start .* -5"),
    ],
)
def test_a_start_that_fails_is_explained(rig: Rig, error: Exception, words: str) -> None:
    rig.start_error = error
    with pytest.raises(DeviceError, match=words):
        PiCameraSource("door", PiCameraOptions()).open()
    assert_nothing_is_held(rig)


def test_a_kernel_without_dma_heap_is_explained_and_the_camera_let_go(rig: Rig) -> None:
    rig.dma_heap = False
    with pytest.raises(DeviceError, match=r"neither /dev/dma_heap/vidbuf_cached nor .* exists"):
        PiCameraSource("door", PiCameraOptions()).open()
    assert_nothing_is_held(rig)


def test_without_picamera2_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(DeviceError, match=r"apt install python3-picamera2 .*system-site-packages"):
        PiCameraSource("door", PiCameraOptions()).open()


def test_a_picamera2_that_does_not_fit_numpy_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = "numpy.dtype size changed, may indicate binary incompatibility"
    (tmp_path / "picamera2.py").write_text(f"raise ValueError({says!r})")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    with pytest.raises(DeviceError, match=r"cannot be imported: numpy.* use the system's"):
        PiCameraSource("door", PiCameraOptions()).open()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"format": "NV12"}, "changed from 568x320 YUV420 .* to 568x320 NV12"),
        ({"size": (320, 240)}, "changed from 568x320 .* to 320x240"),
        ({"stride": 640}, "changed from .* 576 bytes per row to .* 640 bytes per row"),
    ],
    ids=["format", "size", "stride"],
)
def test_a_change_in_the_stream_is_an_error_and_opening_again_adopts_it(
    rig: Rig, source: PiCameraSource, fault: dict[str, Any], words: str
) -> None:
    assert_bars(read(rig, source))
    rig.gives = fault
    with pytest.raises(DeviceError, match=words):
        read(rig, source)
    assert rig.camera is not None
    assert len(rig.camera.free) == BUFFERS
    source.close()
    source.open()
    assert_bars(read(rig, source))


def test_a_stride_that_does_not_fit_the_buffer_is_an_error(
    rig: Rig, source: PiCameraSource
) -> None:
    source.close()
    rig.buffer_bytes = 480 * 568  # the camera forgot the padding
    source.open()
    with pytest.raises(DeviceError, match="576 bytes per row do not fit a buffer of 272640 bytes"):
        read(rig, source)
    source.close()
    assert_nothing_is_held(rig)
    rig.buffer_bytes = None
    source.open()
    assert_bars(read(rig, source))


def test_closing_a_stalled_camera_gives_everything_back(rig: Rig, source: PiCameraSource) -> None:
    rig.stalled = True
    assert source.read(timeout_s=0) is None
    source.close()
    source.close()
    assert_nothing_is_held(rig)


def test_a_frame_that_comes_while_closing_is_given_back(rig: Rig, source: PiCameraSource) -> None:
    assert source.read(timeout_s=0) is None
    rig.push()
    source.close()
    assert_nothing_is_held(rig)


def test_nothing_leaks_however_often_it_is_opened_or_cannot_be(rig: Rig) -> None:
    rig.free_running = True
    source = PiCameraSource("door", PiCameraOptions())
    before = descriptors()
    gc.disable()  # what only the garbage collector would close is a leak
    try:
        for _ in range(50):
            source.open()
            assert source.read(timeout_s=0) is not None
            source.close()
            for fault in ("busy", "dma_heap"):
                setattr(rig, fault, not getattr(rig, fault))
                with pytest.raises(DeviceError):
                    source.open()
                setattr(rig, fault, not getattr(rig, fault))
        assert descriptors() <= before
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("fault", "repair"),
    [
        ({"stalled": True}, {"stalled": False}),
        ({"gives": {"format": "NV12"}}, {}),
        ({"gives": {"stride": 512}}, {"gives": {}}),
        ({"stalled": True, "busy": True}, {"stalled": False, "busy": False}),
        ({"stalled": True, "cameras": []}, {"stalled": False, "cameras": Rig().cameras}),
    ],
    ids=["stall", "other format", "wrong stride", "busy when opened again", "unplugged"],
)
def test_the_service_goes_on_after_a_fault(
    rig: Rig,
    fault: dict[str, Any],
    repair: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(outage, "FIRST_RETRY_S", 0.01)
    rig.free_running = True
    recorder = Recorder()
    source = PiCameraSource("door", PiCameraOptions())
    detector = CpuBackend(small_spec(tmp_path))
    pipeline = make_pipeline(source, detector, [recorder], stall_timeout_s=0.1)
    with caplog.at_level(logging.WARNING, outage.__name__):
        pipeline.start()
        await_results(recorder, 5)
        change(rig, fault)
        wait_for(lambda: caplog.messages)
        change(rig, repair)
        wait_for(lambda: any("works again after" in text for text in caplog.messages))
        await_results(recorder, len(recorder.results) + 5)
        pipeline.stop()
    assert recorder.numbers == sorted(set(recorder.numbers))
    assert_bars(recorder.results[-1].frame)
    assert len(caplog.messages) == 2
    assert_nothing_is_held(rig)


def change(rig: Rig, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(rig, name, value)


def descriptors() -> int:
    gc.collect()  # else those of an earlier test may go while this one counts
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def await_results(recorder: Recorder, count: int) -> None:
    wait_for(lambda: len(recorder.results) >= count)
