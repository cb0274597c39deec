"""Run inside the machine that ``build_machine.sh`` makes: UsbCamera on vivid."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import camera
import cv2
import numpy as np
import pytest
from camera import BARS, NODE, SIZES

from edge_ssd.errors import DeviceError
from edge_ssd.sources.usb import UsbCamera, UsbOptions
from edge_ssd.types import Frame, PixelFormat

# Of these OpenCV leaves YVYU unconverted, and OpenCV 4 also BGR3.
FORMATS = ["YUYV", "UYVY", "YVYU", "NV12", "NV21", "YU12", "YV12", "RGB3", "BGR3"]

OWN = {"width": None, "height": None, "fps": None}
Open = Callable[..., UsbCamera]


@pytest.fixture(autouse=True)
def plugged_in() -> None:
    camera.plug_in()


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open a UsbCamera with such wishes; it is closed at the end."""
    sources = []

    def open_source(**wishes: Any) -> UsbCamera:
        source = UsbCamera("door", UsbOptions(path=NODE, **{**OWN, **wishes}))
        sources.append(source)
        source.open()
        return source

    yield open_source
    for source in sources:
        source.close()


def read(source: UsbCamera) -> Frame:
    frame = source.read(10)
    assert frame is not None
    return frame


def assert_bars(bgr: Any, bars: Any = BARS) -> None:
    width = bgr.shape[1]
    centres = ((np.arange(len(bars)) + 0.5) * width / len(bars)).astype(int)
    rows = bgr[:, centres, ::-1].astype(int)
    assert np.abs(rows - np.array(bars)).max() <= 4


@pytest.mark.parametrize("fourcc", FORMATS)
def test_the_colours_are_right_in_every_format(
    opened: Open, caplog: pytest.LogCaptureFixture, fourcc: str
) -> None:
    source = opened(fourcc=fourcc, width=640, height=480)
    for _ in range(2):
        frame = read(source)
        assert (frame.pixel_format, frame.width, frame.height) == (PixelFormat.BGR, 640, 480)
        assert_bars(frame.image)
    assert not caplog.messages


def test_the_colours_are_right_when_no_format_is_asked_for(opened: Open) -> None:
    print("OpenCV", cv2.__version__)
    assert_bars(read(opened()).image)


def test_a_grey_camera_gives_grey_frames(opened: Open) -> None:
    luma = np.array(BARS) @ (0.2126, 0.7152, 0.0722)
    assert_bars(read(opened(fourcc="GREY")).image, np.repeat(luma[:, None], 3, axis=1))


@pytest.mark.parametrize(
    ("fourcc", "size"), [("XB24", 1228800), ("NV24", 921600), ("HSV3", 921600)]
)
def test_a_format_that_cannot_be_understood_is_refused_in_words(
    opened: Open, fourcc: str, size: int
) -> None:
    """The last two have the very size of BGR, and OpenCV 5 would shape them so."""
    says = f"door: .* gives {size} bytes per image of 640x480 {fourcc}, .*set source.fourcc"
    with pytest.raises(DeviceError, match=says):
        read(opened(fourcc=fourcc, width=640, height=480))


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_had_for_the_asking(
    opened: Open, caplog: pytest.LogCaptureFixture, size: tuple[int, int]
) -> None:
    width, height = size
    frame = read(opened(fourcc="YUYV", width=width, height=height, fps=5))
    assert (frame.width, frame.height) == size
    assert_bars(frame.image)
    assert not caplog.messages


def test_frames_come_at_the_rate_asked_for_numbered_and_stamped(opened: Open) -> None:
    source = opened(fourcc="YUYV", width=320, height=180, fps=5)
    frames = [read(source) for _ in range(8)]
    numbers = [frame.number for frame in frames]
    stamps = [frame.captured_ns for frame in frames]
    assert numbers == sorted(set(numbers))
    assert stamps == sorted(set(stamps))
    assert stamps[-1] < time.monotonic_ns()
    # vivid's own rate is 25 and more; a slow machine can only make it less than 5.
    assert (stamps[-1] - stamps[1]) / (numbers[-1] - numbers[1]) > 0.15e9


def test_what_the_camera_makes_of_the_wishes_is_one_warning(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    source = opened(fourcc="MJPG", width=700, height=500, fps=60)
    assert_bars(read(source).image)
    source.close()
    source.open()
    assert read(source).image.shape == (480, 640, 3)
    assert caplog.messages == [
        "door: /dev/video0 gives the format BGR3 instead of MJPG, the width 640 instead of 700, "
        "the height 480 instead of 500, the rate 25 instead of 60"
    ]


def test_nobody_reads_for_a_while_and_the_next_frame_is_fresh(opened: Open) -> None:
    source = opened(fourcc="YUYV", width=320, height=180, fps=10)
    first = read(source)
    threading.Event().wait(2)  # twenty frames arrive
    frame = read(source)
    assert frame.number > first.number + 5
    assert time.monotonic_ns() - frame.captured_ns < 1e9


HOLDER = """
import cv2
capture = cv2.VideoCapture("/dev/video0", cv2.CAP_V4L2)
print(capture.grab(), flush=True)
input()
capture.release()
"""


def test_a_busy_camera_names_its_holder_and_works_when_that_has_ended(opened: Open) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        message = rf"door: /dev/video0 is in use by python.* \(pid {holder.pid}\); stop that"
        with pytest.raises(DeviceError, match=message):
            opened(fourcc="YUYV")
        holder.communicate("\n")
    assert_bars(read(opened(fourcc="YUYV")).image)


def test_unplugged_and_plugged_in_again_it_goes_on_counting(opened: Open) -> None:
    source = opened(fourcc="YUYV")
    while (last := read(source).number) < 10:
        pass
    camera.unplug()
    with pytest.raises(DeviceError, match="door: /dev/video0 was unplugged"):
        while True:
            last = read(source).number
    source.close()
    with pytest.raises(DeviceError, match="door: /dev/video0 does not exist"):
        source.open()
    camera.plug_in()
    source.open()
    frame = read(source)
    assert frame.number > last
    assert_bars(frame.image)
