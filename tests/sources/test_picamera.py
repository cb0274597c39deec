"""The picamera2 source on a fake camera; tests/system/picamera2 has the real picamera2."""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_picamera2 import BARS, BUFFERS, FakeTransform, Rig
from numpy.typing import NDArray
from service.pipelines import Recorder, make_pipeline, small_spec

from edge_ssd import config
from edge_ssd.detector import Detector
from edge_ssd.detector.preprocess import interleaved
from edge_ssd.errors import ConfigError, DeviceError
from edge_ssd.service import build, capture
from edge_ssd.sources import picamera_faults
from edge_ssd.sources.picamera import PiCameraSource
from edge_ssd.types import Frame, PixelFormat


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    rig = Rig()
    rig.install(monkeypatch)
    return rig


@pytest.fixture
def source(rig: Rig) -> Iterator[PiCameraSource]:
    yield from opened()


def opened(**options: Any) -> Iterator[PiCameraSource]:
    source = PiCameraSource("door", **options)
    source.open()
    yield source
    source.close()


def read(rig: Rig, source: PiCameraSource) -> Frame:
    rig.push()
    frame = source.read(timeout_s=0)
    assert frame is not None
    return frame


def rgb(frame: Frame) -> NDArray[np.uint8]:
    frame = interleaved(frame)
    return frame.image if frame.pixel_format is PixelFormat.RGB else frame.image[..., ::-1]


def assert_bars(frame: Frame) -> None:
    image = rgb(frame).astype(int)
    assert image.shape == (frame.height, frame.width, 3)
    centres = ((np.arange(len(BARS)) + 0.5) * frame.width / len(BARS)).astype(int)
    assert np.abs(image[:, centres] - np.array(BARS)).max() <= 3


def test_frames_are_the_lores_stream_in_the_shape_of_the_picture(
    rig: Rig, source: PiCameraSource
) -> None:
    frame = read(rig, source)
    assert (frame.width, frame.height) == (568, 320)
    assert frame.pixel_format is PixelFormat.YUV420
    assert frame.image.shape == (480, 576)  # rows are padded
    assert_bars(frame)


@pytest.mark.parametrize(
    "gives",
    [
        {"format": "YUV420"},
        {"format": "NV12"},
        {"format": "NV12", "size": (320, 240), "stride": 320},
        {"format": "YUV420", "size": (322, 242), "stride": 384},
        {"format": "RGB888"},
        {"format": "BGR888"},
        {"format": "XRGB8888", "stride": 3200},
        {"format": "XBGR8888"},
    ],
    ids=str,
)
def test_colours_are_right_whatever_the_camera_makes_of_the_format(
    rig: Rig, gives: dict[str, Any]
) -> None:
    rig.pi5, rig.gives = True, gives
    for source in opened(lores_format="RGB888"):
        frame = read(rig, source)
        assert (frame.width, frame.height) == gives.get("size", (568, 320))
        assert_bars(frame)


def test_a_format_that_cannot_be_converted_is_refused_by_name(rig: Rig) -> None:
    rig.gives = {"format": "YUYV"}
    with pytest.raises(DeviceError, match=r"door: the camera gives 568x320 YUYV .* not understood"):
        PiCameraSource("door").open()
    assert_nothing_is_held(rig)


@pytest.mark.parametrize(
    ("size", "lores_size", "got"),
    [
        ((641, 481), (321, 241), (320, 240)),
        ((1280, 720), (300, 300), (300, 300)),
        ((4608, 2592), None, (568, 320)),
        ((720, 1280), None, (320, 568)),
        ((320, 240), None, (320, 240)),
        ((200, 101), None, (200, 100)),
    ],
)
def test_sizes_are_even_and_within_the_main_stream(
    rig: Rig, size: tuple[int, int], lores_size: tuple[int, int] | None, got: tuple[int, int]
) -> None:
    for source in opened(size=size, lores_size=lores_size):
        frame = read(rig, source)
        assert (frame.width, frame.height) == got
        assert_bars(frame)


def test_rgb_is_refused_in_words_where_the_isp_cannot(rig: Rig) -> None:
    with pytest.raises(DeviceError, match="camera 0 cannot be started: lores stream must be YUV"):
        PiCameraSource("door", lores_format="RGB888").open()
    assert_nothing_is_held(rig)


def test_a_frame_outlives_its_buffer(rig: Rig, source: PiCameraSource) -> None:
    first = read(rig, source)
    for _ in range(2 * BUFFERS):
        read(rig, source)
    source.close()
    assert_bars(first)
    assert first.image.flags.owndata


def test_a_wait_that_times_out_loses_no_frame_and_no_buffer(
    rig: Rig, source: PiCameraSource
) -> None:
    for _ in range(3 * BUFFERS):
        assert source.read(timeout_s=0) is None
    assert_bars(read(rig, source))
    assert source.read(timeout_s=0) is None
    assert rig.camera is not None
    assert len(rig.camera.free) == BUFFERS


def test_a_late_reader_gets_the_newest_frame(rig: Rig, source: PiCameraSource) -> None:
    stamps = iter(range(1_000_000_000, 2_000_000_000, 1_000_000))
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    rig.sensor_ns = lambda: now - 10**9 + next(stamps)
    assert rig.push(20) == 20
    newest = source.read(timeout_s=0)
    assert newest is not None
    assert read(rig, source).captured_ns - newest.captured_ns == pytest.approx(1e6, abs=1e5)


def test_the_capture_time_is_the_sensors(rig: Rig, source: PiCameraSource) -> None:
    """On another clock: that one goes on while the machine is suspended."""
    rig.sensor_ns = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 50_000_000
    before_ns, before_s = time.monotonic_ns(), time.time()
    frame = read(rig, source)
    after_ns, after_s = time.monotonic_ns(), time.time()
    assert before_ns <= frame.captured_ns + 50_000_000 <= after_ns
    assert before_s - 0.001 <= frame.captured_at.timestamp() + 0.05 <= after_s + 0.001


@pytest.mark.parametrize("ahead_ns", [None, 10**12])
def test_a_capture_time_is_never_in_the_future(
    rig: Rig, source: PiCameraSource, ahead_ns: int | None
) -> None:
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    rig.sensor_ns = lambda: None if ahead_ns is None else now + ahead_ns
    before_ns = time.monotonic_ns()
    assert before_ns <= read(rig, source).captured_ns <= time.monotonic_ns()


def test_frame_numbers_go_on_when_it_is_opened_again(rig: Rig, source: PiCameraSource) -> None:
    numbers = [read(rig, source).number for _ in range(3)]
    source.close()
    source.open()
    assert [*numbers, read(rig, source).number] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "camera", [1, "imx477", "/base/i2c/imx477@1a"], ids=["number", "model", "id"]
)
def test_a_camera_is_chosen_by_number_model_or_id(rig: Rig, camera: int | str) -> None:
    rig.cameras.append({"Model": "imx477", "Id": "/base/i2c/imx477@1a", "Num": 1})
    for _ in opened(camera=camera):
        assert rig.opened == [1]


def test_a_camera_that_is_not_there_is_told_from_those_that_are(rig: Rig) -> None:
    with pytest.raises(DeviceError, match=r"no camera 'imx219'; found 0 = imx708 \(/base/i2c"):
        PiCameraSource("door", camera="imx219").open()
    with pytest.raises(DeviceError, match="no camera 1; found 0 = imx708"):
        PiCameraSource("door", camera=1).open()
    rig.cameras.clear()
    with pytest.raises(DeviceError, match="door: no camera found; check its ribbon cable"):
        PiCameraSource("door").open()


def test_busy_names_who_has_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.busy = True
    monkeypatch.setattr(picamera_faults, "holders", lambda *_: ["rpicam-vid (pid 7)"])
    with pytest.raises(DeviceError, match=r"camera 0 is busy: rpicam-vid \(pid 7\) has it open"):
        PiCameraSource("door").open()
    monkeypatch.setattr(picamera_faults, "holders", lambda *_: [])
    with pytest.raises(DeviceError, match=r"is busy or broken: .* did not complete; .* fuser"):
        PiCameraSource("door").open()


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
        PiCameraSource("door").open()
    assert_nothing_is_held(rig)


def test_a_kernel_without_dma_heap_is_explained_and_the_camera_let_go(rig: Rig) -> None:
    rig.dma_heap = False
    with pytest.raises(DeviceError, match=r"neither /dev/dma_heap/vidbuf_cached nor .* exists"):
        PiCameraSource("door").open()
    assert_nothing_is_held(rig)


def test_without_picamera2_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(DeviceError, match=r"apt install python3-picamera2 .*system-site-packages"):
        PiCameraSource("door").open()


def test_a_picamera2_that_does_not_fit_numpy_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = "numpy.dtype size changed, may indicate binary incompatibility"
    (tmp_path / "picamera2.py").write_text(f"raise ValueError({says!r})")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    with pytest.raises(DeviceError, match=r"cannot be imported: numpy.* use the numpy of the sys"):
        PiCameraSource("door").open()


def test_controls_reach_the_camera(rig: Rig) -> None:
    controls = {"AfMode": 2, "ExposureTime": 8000, "ColourGains": [1.5, 2.0], "AeEnable": False}
    for _ in opened(fps=20, controls=controls):
        assert rig.camera is not None
        assert rig.camera.controls == controls | {"FrameDurationLimits": (50000, 50000)}


def test_every_control_the_camera_refuses_is_named_with_its_range(rig: Rig) -> None:
    controls = {
        "AfMod": 2,
        "ExposureTime": 10**6,
        "AfMode": 1.5,
        "ColourGains": [1, 99],
        "Rainbow": 1,
        "AeEnable": "yes",
    }
    with pytest.raises(ConfigError) as caught:
        PiCameraSource("door", controls=controls).open()
    assert caught.value.problems == [
        "source.controls.AfMod: this camera has no such control; did you mean AfMode?",
        "source.controls.ExposureTime: must be from 1 to 66666 (it is 1000000)",
        "source.controls.AfMode: must be an integer (it is 1.5)",
        "source.controls.ColourGains: must be from 0.0 to 32.0 (it is 99)",
        "source.controls.Rainbow: this camera has no such control",
        "source.controls.AeEnable: must be from False to True (it is 'yes')",
    ]
    assert_nothing_is_held(rig)


def test_a_frame_rate_beyond_the_camera_is_lowered_and_said(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in opened(fps=120):
        assert rig.camera is not None
        assert rig.camera.controls["FrameDurationLimits"] == (16666, 16666)
    assert "door: source.fps: 120 asked, the camera gives 60 at this size" in caplog.messages
    del rig.advertised["FrameDurationLimits"]
    for _ in opened(fps=30):
        assert rig.camera.controls == {}
    assert "door: source.fps: this camera has a frame rate of its own" in caplog.messages
    caplog.clear()
    for _ in opened(fps=None):
        assert not caplog.messages


@pytest.mark.parametrize(
    ("options", "transform"),
    [
        ({}, FakeTransform()),
        ({"rotation": 180}, FakeTransform(True, True)),
        ({"hflip": True}, FakeTransform(True, False)),
        ({"rotation": 180, "hflip": True}, FakeTransform(False, True)),
    ],
)
def test_rotation_and_flips_are_one_transform(
    rig: Rig, options: dict[str, Any], transform: FakeTransform
) -> None:
    for _ in opened(**options):
        assert rig.camera is not None
        assert rig.camera.camera_config["transform"] == transform


def test_a_camera_that_cannot_flip_says_so(rig: Rig) -> None:
    rig.can_flip = False
    with pytest.raises(ConfigError, match=r"source\.rotation: this camera can neither rotate"):
        PiCameraSource("door", rotation=180).open()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"format": "NV12"}, "changed from 568x320 YUV420 .* to 568x320 NV12"),
        ({"size": (320, 240)}, "changed from 568x320 .* to 320x240"),
        ({"stride": 640}, "changed from .* 576 bytes a row to .* 640 bytes a row"),
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
    with pytest.raises(DeviceError, match="576 bytes a row do not fit a buffer of 272640 bytes"):
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
    source = PiCameraSource("door")
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
    ("fault", "mend"),
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
    mend: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(capture, "FIRST_RETRY_S", 0.01)
    rig.free_running = True
    recorder = Recorder()
    source = PiCameraSource("door")
    detector = Detector(small_spec(tmp_path))
    pipeline = make_pipeline(source, detector, [recorder], stall_timeout_s=0.1)
    with caplog.at_level(logging.WARNING, capture.__name__):
        pipeline.start()
        await_results(recorder, 5)
        change(rig, fault)
        await_that(lambda: any("is opened again" in text for text in caplog.messages))
        change(rig, mend)
        await_that(lambda: any("works again after" in text for text in caplog.messages))
        await_results(recorder, len(recorder.results) + 5)
        pipeline.stop()
    assert recorder.numbers == sorted(set(recorder.numbers))
    assert_bars(recorder.results[-1].frame)
    assert len(caplog.messages) == 2
    assert_nothing_is_held(rig)


def test_a_shipped_configuration_makes_it(rig: Rig) -> None:
    options = config.load(Path(__file__).parents[2] / "configs" / "picamera.yaml")
    values = {
        "type": "picamera", "camera": "imx708", "width": 800, "height": 600, "lores_width": 300,
        "lores_height": 200, "rotation": 180, "vflip": True, "controls": {"AfMode": 2},
    }  # fmt: skip
    for section in (options, config.parse({"source": values})):
        source = build.source(section)
        source.open()
        source.close()
    assert rig.camera is not None
    made = rig.camera.camera_config
    assert (made["main"]["size"], made["lores"]["size"]) == ((800, 600), (300, 200))
    assert made["transform"] == FakeTransform(hflip=True, vflip=False)
    assert rig.camera.controls == {"AfMode": 2, "FrameDurationLimits": (33333, 33333)}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"lores_width": 300}, "source: must have both lores_width and lores_height"),
        (
            {"width": 320, "height": 240, "lores_width": 300, "lores_height": 300},
            "source: must have a lores size within width x height",
        ),
        ({"rotation": 90}, "source.rotation: must be 0 or 180"),
        ({"lores_format": "MJPEG"}, "source.lores_format: must be one of YUV420, RGB888"),
    ],
)
def test_a_bad_option_is_refused_before_any_camera_is_asked(
    options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse({"source": {"type": "picamera"} | options})
    assert caught.value.problems[0].startswith(problem)


def assert_nothing_is_held(rig: Rig) -> None:
    assert rig.camera is not None
    assert not rig.camera.is_open
    assert not rig.camera.jobs
    assert all(memory.closed for memory in rig.camera.memories)
    assert len(rig.camera.free) == len(rig.camera.memories)


def change(rig: Rig, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(rig, name, value)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def await_results(recorder: Recorder, count: int) -> None:
    await_that(lambda: len(recorder.results) >= count)


def await_that(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
