"""A USB camera: what is asked and given, odd formats, unplugging, hanging, and good words.

No machine of ours has a camera, so ``FakeVideoCapture`` stands for OpenCV's: like it, it grants
sizes of its own choice, blocks in ``grab`` until a frame comes, and returns False when the
camera is gone. The device nodes are real: pseudo-terminals.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from privileges import without_root_rights
from service.pipelines import Recorder, make_pipeline, small_spec

from edge_ssd.config import parse
from edge_ssd.detector import Detector
from edge_ssd.errors import DeviceError
from edge_ssd.service import build
from edge_ssd.sources import opencv, usb
from edge_ssd.sources.usb import UsbCamera
from edge_ssd.types import Frame, PixelFormat

WIDTH, HEIGHT = 64, 48
BGR = np.full((HEIGHT, WIDTH, 3), (30, 200, 90), np.uint8)


class FakeCamera:
    """The hardware: a node under by-id, frames in its driver, and what it can do."""

    def __init__(self, folder: Path) -> None:
        self.by_id = folder / "by-id"
        self.by_id.mkdir()
        self.node = self.by_id / "usb-Acme_Cam_1234-video-index0"
        self._terminal, slave = os.openpty()
        self.device = Path(os.ttyname(slave))
        os.close(slave)
        self.given: dict[int, float] = {
            cv2.CAP_PROP_FRAME_WIDTH: WIDTH,
            cv2.CAP_PROP_FRAME_HEIGHT: HEIGHT,
            cv2.CAP_PROP_FPS: 30,
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"YUYV"),
        }
        self.refuses_to_open = False
        self.captures: list[FakeVideoCapture] = []
        self.driver: queue.Queue[NDArray[Any] | None] = queue.Queue()
        self.all_taken = threading.Event()
        self.plug_in()

    def plug_in(self) -> None:
        self.driver = queue.Queue()
        self.node.symlink_to(self.device)

    def unplug(self) -> None:
        self.node.unlink()
        self.driver.put(None)

    def send(self, *images: NDArray[Any]) -> None:
        for image in images:
            self.driver.put(image)

    def throw_away(self) -> None:
        os.close(self._terminal)


class FakeVideoCapture:
    """``cv2.VideoCapture`` on a FakeCamera."""

    def __init__(self, camera: FakeCamera, path: str, api: int) -> None:
        assert api == cv2.CAP_V4L2
        self.camera, self.path = camera, path
        self.asked: dict[int, float] = {}
        self.owner = threading.get_ident()
        self.open = not camera.refuses_to_open
        self.waiting = threading.Event()
        self._picture: NDArray[Any] | None = None
        camera.captures.append(self)

    def isOpened(self) -> bool:  # noqa: N802
        return self.open

    def set(self, option: int, value: float) -> bool:
        self.asked[option] = value
        return True

    def get(self, option: int) -> float:
        return self.camera.given[option]

    def grab(self) -> bool:
        assert threading.get_ident() == self.owner
        self.waiting.set()
        self._picture = self.camera.driver.get()
        self.waiting.clear()
        return self._picture is not None

    def retrieve(self) -> tuple[bool, NDArray[Any] | None]:
        return True, self._picture

    def release(self) -> None:
        assert threading.get_ident() == self.owner
        self.open = False


@pytest.fixture
def camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCamera]:
    fake = FakeCamera(tmp_path)
    monkeypatch.setattr(cv2, "VideoCapture", lambda path, api: FakeVideoCapture(fake, path, api))
    monkeypatch.setattr(usb, "BY_ID", fake.by_id)
    yield fake
    fake.driver.put(None)
    fake.throw_away()


@pytest.fixture
def source(camera: FakeCamera) -> Iterator[UsbCamera]:
    source = UsbCamera("door", camera.node)
    yield source
    camera.driver.put(None)
    source.close()


def read(source: UsbCamera) -> Frame:
    frame = source.read(10)
    assert frame is not None
    return frame


def wait_until_idle(camera: FakeCamera) -> None:
    """Wait until the reader has taken every frame and waits for more."""
    while not camera.driver.empty():
        threading.Event().wait(0.001)
    assert camera.captures[-1].waiting.wait(10)


def test_the_configured_wishes_reach_the_camera_and_frames_come(camera: FakeCamera) -> None:
    section = {
        "type": "usb", "path": str(camera.node), "width": WIDTH, "height": HEIGHT, "fps": 30,
        "fourcc": "YUYV",
    }  # fmt: skip
    source = build.source(parse({"name": "door", "source": section}))
    source.open()
    camera.send(BGR)
    frame = source.read(10)
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
    source = UsbCamera("door", camera.node, 1280, 720, 30, "MJPG")
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
def test_pictures_that_opencv_left_unconverted_are_decoded(
    camera: FakeCamera, source: UsbCamera, fourcc: str
) -> None:
    """They come as one row of bytes: (1, 921600) for 640x480 in BGR3."""
    camera.given[cv2.CAP_PROP_FOURCC] = cv2.VideoWriter.fourcc(*fourcc)
    source.open()
    camera.send(np.ascontiguousarray(UNCONVERTED[fourcc]()).reshape(1, -1))
    image = read(source).image
    assert image.shape == BGR.shape
    assert np.abs(image.astype(int) - BGR).max() <= 3


def test_pictures_that_opencv_5_refuses_to_shape_are_decoded(
    camera: FakeCamera, source: UsbCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It raises for formats it does not know, until it is told to convert nothing."""
    plain = FakeVideoCapture.retrieve

    def retrieve(capture: FakeVideoCapture) -> tuple[bool, NDArray[Any] | None]:
        if capture.asked.get(cv2.CAP_PROP_CONVERT_RGB) != 0:
            raise cv2.error("The total width is not divisible by the new number of channels")
        return plain(capture)

    monkeypatch.setattr(FakeVideoCapture, "retrieve", retrieve)
    source.open()
    camera.send(yuyv().reshape(1, -1))
    assert np.abs(read(source).image.astype(int) - BGR).max() <= 3


def test_a_grey_camera_gives_grey_frames(camera: FakeCamera, source: UsbCamera) -> None:
    camera.given[cv2.CAP_PROP_FOURCC] = cv2.VideoWriter.fourcc(*"GREY")
    source.open()
    camera.send(BGR[..., 1])
    assert (read(source).image == 200).all()


@pytest.mark.parametrize(
    ("fourcc", "raw", "says"),
    [
        ("H264", np.zeros((1, 999), np.uint8), "999 bytes a picture of 64x48 H264"),
        ("YUYV", np.zeros((1, 921600), np.uint8), "921600 bytes a picture of 64x48 YUYV"),
        ("Y16 ", np.zeros((48, 64), np.uint16), r"uint16 numbers of shape \(48, 64\)"),
    ],
)
def test_pictures_that_cannot_be_understood_are_refused_in_words(
    camera: FakeCamera, source: UsbCamera, fourcc: str, raw: NDArray[Any], says: str
) -> None:
    camera.given[cv2.CAP_PROP_FOURCC] = cv2.VideoWriter.fourcc(*fourcc)
    source.open()
    camera.send(raw)
    with pytest.raises(DeviceError, match=f"door: .* gives {says}.*; set source.fourcc"):
        source.read(10)
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


def test_a_camera_that_is_not_there_is_named_with_those_that_are(camera: FakeCamera) -> None:
    with pytest.raises(DeviceError, match=rf"door: /dev/video99 is not there.*{camera.node.name}"):
        UsbCamera("door", Path("/dev/video99")).open()
    camera.unplug()
    with pytest.raises(DeviceError, match=r"plug the camera in; .*by-id lists none"):
        UsbCamera("door", camera.node).open()


def test_a_file_is_no_camera(tmp_path: Path, camera: FakeCamera) -> None:
    path = tmp_path / "video0"
    path.touch()
    with pytest.raises(DeviceError, match="is not a device"):
        UsbCamera("door", path).open()


def test_a_camera_of_another_group_names_the_group(camera: FakeCamera) -> None:
    camera.device.chmod(0)
    source = UsbCamera("door", camera.node)
    with without_root_rights(), pytest.raises(DeviceError, match="add the user to the group video"):
        source.open()


def test_a_busy_camera_names_its_holder(camera: FakeCamera, source: UsbCamera) -> None:
    camera.refuses_to_open = True
    holder = subprocess.Popen(
        [sys.executable, "-c", f"f = open({str(camera.device)!r}); print(); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(DeviceError, match=rf"is in use by python.*pid {holder.pid}\)"):
            source.open()
        holder.communicate(b"\n")
    with pytest.raises(DeviceError, match=r"gives no pictures; .*index0"):
        source.open()


def test_unplugged_and_plugged_in_again_it_goes_on_counting(
    camera: FakeCamera, source: UsbCamera
) -> None:
    source.open()
    camera.send(BGR)
    assert read(source).number == 0
    camera.unplug()
    with pytest.raises(DeviceError, match="was unplugged"):
        source.read(10)
    source.close()
    with pytest.raises(DeviceError, match="is not there"):
        source.open()
    camera.plug_in()
    source.open()
    camera.send(BGR)
    assert read(source).number == 1
    assert [capture.open for capture in camera.captures] == [False, True]


def test_a_driver_that_knows_of_the_plug_before_the_kernel_does_is_understood(
    camera: FakeCamera, source: UsbCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames end first, the device goes a moment later."""
    monkeypatch.setattr(usb, "_REMOVAL_S", 10)
    asked = threading.Event()
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: exists(path) and not asked.set())
    source.open()
    asked.clear()
    camera.driver.put(None)
    assert asked.wait(10)
    camera.node.unlink()
    with pytest.raises(DeviceError, match="was unplugged"):
        source.read(10)


def test_a_running_pipeline_survives_the_plug(
    camera: FakeCamera, source: UsbCamera, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder()
    pipeline = make_pipeline(source, Detector(small_spec(tmp_path)), [recorder])
    pipeline.start()
    camera.send(BGR)
    wait_for(lambda: recorder.numbers == [0])
    camera.unplug()
    wait_for(lambda: "was unplugged" in caplog.text)
    camera.plug_in()
    camera.send(BGR)
    wait_for(lambda: recorder.numbers == [0, 1])
    camera.driver.put(None)
    pipeline.stop()
    assert "works again" in caplog.text


def test_a_driver_that_hangs_blocks_nobody(
    camera: FakeCamera, source: UsbCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opencv, "_CLOSE_WAIT_S", 0.01)
    source.open()
    assert source.read(0.01) is None
    source.close()
    with pytest.raises(DeviceError, match="the driver still hangs in the last connection"):
        source.open()
    camera.driver.put(None)  # the driver's own time-out
    wait_for(lambda: not camera.captures[0].open)
    source.close()
    source.open()
    camera.send(BGR)
    assert read(source).number == 0


def test_a_silent_camera_is_reported_when_the_driver_gives_up(
    camera: FakeCamera, source: UsbCamera
) -> None:
    source.open()
    camera.driver.put(None)
    with pytest.raises(DeviceError, match=r"gave no picture for \d+\.\d s; check the cable"):
        source.read(10)


def test_an_error_that_nobody_foresaw_is_not_swallowed(
    camera: FakeCamera, source: UsbCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.open()
    monkeypatch.setattr(FakeVideoCapture, "retrieve", lambda _: 1 / 0)
    camera.send(BGR)
    with pytest.raises(ZeroDivisionError):
        source.read(10)


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if condition():
            return
        threading.Event().wait(0.001)
    pytest.fail("it did not come to pass in ten seconds")
