"""Frames of the picamera2 source: their shape, colours, time and number."""

from __future__ import annotations

import time
from typing import Any

import pytest
from support.fake_picamera2 import BUFFERS, Rig
from support.reading import assert_bars, assert_nothing_is_held, opened, read

from edge_ssd.errors import DeviceError
from edge_ssd.sources.picamera import PiCameraOptions, PiCameraSource
from edge_ssd.types import PixelFormat


def test_frames_are_the_lores_stream_in_the_shape_of_the_main_one(
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
    with pytest.raises(
        DeviceError, match=r"door: the camera gives 568x320 YUYV .* an unknown format"
    ):
        PiCameraSource("door", PiCameraOptions()).open()
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
    lores = lores_size or (None, None)
    wanted = {
        "width": size[0],
        "height": size[1],
        "lores_width": lores[0],
        "lores_height": lores[1],
    }
    for source in opened(**wanted):
        frame = read(rig, source)
        assert (frame.width, frame.height) == got
        assert_bars(frame)


def test_rgb_is_refused_in_words_where_the_isp_cannot(rig: Rig) -> None:
    with pytest.raises(DeviceError, match="camera 0 cannot be started: lores stream must be YUV"):
        PiCameraSource("door", PiCameraOptions(lores_format="RGB888")).open()
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
