"""A USB camera: what is asked and given, odd formats, and which frame is read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.fake_camera import BGR, HEIGHT, WIDTH, FakeCamera, FakeVideoCapture, read

from edge_ssd.config import parse
from edge_ssd.errors import DeviceError
from edge_ssd.sources.usb import UsbCamera, UsbOptions
from edge_ssd.types import PixelFormat


def test_the_configured_wishes_reach_the_camera_and_frames_come(camera: FakeCamera) -> None:
    section = {
        "type": "usb", "path": str(camera.node), "width": WIDTH, "height": HEIGHT, "fps": 30,
        "fourcc": "YUYV",
    }  # fmt: skip
    source = parse({"name": "door", "source": section}).make_source()
    source.open()
    camera.send(BGR)
    frame = source.read(60)
    camera.driver.put(None)
    source.close()

    assert frame is not None
    assert (frame.source, frame.number, frame.pixel_format) == ("door", 0, PixelFormat.BGR)
    assert np.array_equal(frame.image, BGR)
    assert source.live
    capture = camera.captures[0]
    assert capture.path == str(camera.node)
    assert capture.asked == camera.given
    assert next(iter(capture.asked)) == cv2.CAP_PROP_FOURCC  # sizes and rates depend on it
    assert not capture.open


def test_null_leaves_the_cameras_own(camera: FakeCamera, source: UsbCamera) -> None:
    source.open()
    assert camera.captures[0].asked == {}


def test_what_the_camera_gives_instead_is_said_once_and_used(
    camera: FakeCamera, caplog: pytest.LogCaptureFixture
) -> None:
    source = UsbCamera("door", UsbOptions(path=camera.node, width=1280, height=720, fourcc="MJPG"))
    camera.given[cv2.CAP_PROP_FPS] = 29.97
    for _ in range(2):
        source.open()
        camera.send(BGR)
        frame = read(source)
        assert (frame.width, frame.height) == (WIDTH, HEIGHT)
        camera.driver.put(None)
        source.close()
    assert caplog.messages == [
        f"door: {camera.node} gives the format YUYV instead of MJPG, the width 64 instead of 1280, "
        "the height 48 instead of 720"
    ]


def yuv(code: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(BGR, code))


def yuyv() -> NDArray[np.uint8]:
    planar = yuv(cv2.COLOR_BGR2YUV_I420).reshape(-1)
    y, u, v = planar[0], planar[WIDTH * HEIGHT], planar[-1]
    return np.tile(np.array([y, u, y, v], np.uint8), WIDTH * HEIGHT // 2)


UNCONVERTED: dict[str, Callable[[], NDArray[np.uint8]]] = {
    "BGR3": lambda: BGR,
    "RGB3": lambda: BGR[..., ::-1],
    "YUYV": yuyv,
    "YU12": lambda: yuv(cv2.COLOR_BGR2YUV_I420),
    "YV12": lambda: yuv(cv2.COLOR_BGR2YUV_YV12),
    "MJPG": lambda: cv2.imencode(".jpg", BGR)[1],
}


@pytest.mark.parametrize("fourcc", UNCONVERTED)
def test_images_that_opencv_left_unconverted_are_decoded(
    camera: FakeCamera, source: UsbCamera, fourcc: str
) -> None:
    """They come as one row of bytes: (1, 921600) for 640x480 in BGR3."""
    camera.given[cv2.CAP_PROP_FOURCC] = cv2.VideoWriter.fourcc(*fourcc)
    source.open()
    camera.send(np.ascontiguousarray(UNCONVERTED[fourcc]()).reshape(1, -1))
    image = read(source).image
    assert image.shape == BGR.shape
    assert np.abs(image.astype(int) - BGR).max() <= 3


@pytest.fixture
def opencv_5(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is told to convert nothing, it shapes what it does not know as if it were BGR."""
    plain = FakeVideoCapture.retrieve

    def retrieve(capture: FakeVideoCapture) -> tuple[bool, NDArray[Any] | None]:
        decoded, raw = plain(capture)
        if raw is None or raw.shape[0] != 1 or capture.asked.get(cv2.CAP_PROP_CONVERT_RGB) == 0:
            return decoded, raw
        if raw.size % (3 * HEIGHT):
            raise cv2.error("The total width is not divisible by the new number of channels")
        return decoded, raw.reshape(HEIGHT, -1, 3)

    monkeypatch.setattr(FakeVideoCapture, "retrieve", retrieve)


def test_a_format_that_opencv_5_does_not_convert_is_decoded(
    camera: FakeCamera, source: UsbCamera, opencv_5: None
) -> None:
    camera.given[cv2.CAP_PROP_FOURCC] = cv2.VideoWriter.fourcc(*"YVYU")
    source.open()
    y, u, y2, v = yuyv()[:4]
    camera.send(np.tile(np.array([y, v, y2, u], np.uint8), WIDTH * HEIGHT // 2).reshape(1, -1))
    assert np.abs(read(source).image.astype(int) - BGR).max() <= 3


@pytest.mark.parametrize("fourcc", ["NV24", "HSV3", "YUV3", "VYU3"])
def test_three_bytes_a_pixel_are_not_always_bgr(
    camera: FakeCamera, source: UsbCamera, opencv_5: None, fourcc: str
) -> None:
    """Their images have the very size of BGR's, and would have passed with wrong colours."""
    camera.given[cv2.CAP_PROP_FOURCC] = cv2.VideoWriter.fourcc(*fourcc)
    source.open()
    camera.send(BGR.reshape(1, -1))
    says = f"gives 9216 bytes per image of 64x48 {fourcc}, .*; set source.fourcc"
    with pytest.raises(DeviceError, match=says):
        source.read(60)


def test_an_image_of_which_a_part_is_lost_is_passed_over(
    camera: FakeCamera, source: UsbCamera, opencv_5: None
) -> None:
    camera.given[cv2.CAP_PROP_FOURCC] = cv2.VideoWriter.fourcc(*"BGR3")
    source.open()
    camera.send(BGR.reshape(1, -1)[:, :-1], BGR.reshape(1, -1))
    frame = read(source)
    assert (frame.number, frame.image.shape) == (0, BGR.shape)


def test_a_grey_camera_gives_grey_frames(camera: FakeCamera, source: UsbCamera) -> None:
    camera.given[cv2.CAP_PROP_FOURCC] = cv2.VideoWriter.fourcc(*"GREY")
    source.open()
    camera.send(BGR[..., 1])
    assert (read(source).image == 200).all()


@pytest.mark.parametrize(
    ("fourcc", "raw", "says"),
    [
        ("H264", np.zeros((1, 999), np.uint8), "999 bytes per image of 64x48 H264"),
        ("YUYV", np.zeros((1, 921600), np.uint8), "921600 bytes per image of 64x48 YUYV"),
        ("Y16 ", np.zeros((48, 64), np.uint16), r"uint16 numbers of shape \(48, 64\)"),
    ],
)
def test_images_that_cannot_be_understood_are_refused_in_words(
    camera: FakeCamera, source: UsbCamera, fourcc: str, raw: NDArray[Any], says: str
) -> None:
    camera.given[cv2.CAP_PROP_FOURCC] = cv2.VideoWriter.fourcc(*fourcc)
    source.open()
    camera.send(raw)
    with pytest.raises(DeviceError, match=f"door: .* gives {says}.*; set source.fourcc"):
        source.read(60)
    source.close()
    assert not camera.captures[0].open


def test_a_damaged_jpeg_is_passed_over(camera: FakeCamera, source: UsbCamera) -> None:
    camera.given[cv2.CAP_PROP_FOURCC] = cv2.VideoWriter.fourcc(*"MJPG")
    source.open()
    camera.send(np.zeros((1, 500), np.uint8), cv2.imencode(".jpg", BGR)[1].reshape(1, -1))
    assert read(source).number == 0


def test_the_newest_frame_wins_and_the_gap_shows(camera: FakeCamera, source: UsbCamera) -> None:
    source.open()
    camera.send(*(np.full_like(BGR, value) for value in range(5)))
    wait_until_idle(camera)
    frame = read(source)
    assert (frame.number, frame.image[0, 0, 0]) == (4, 4)
    assert source.read(0) is None


def wait_until_idle(camera: FakeCamera) -> None:
    """Wait until the reader has taken every frame and waits for more."""
    while not camera.driver.empty():
        threading.Event().wait(0.001)
    assert camera.captures[-1].waiting.wait(60)
