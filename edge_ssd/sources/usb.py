"""A USB camera: V4L2 through OpenCV."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any, Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_ssd.checks import Check, Finding, System, fail, ok, skipped
from edge_ssd.errors import DeviceError
from edge_ssd.files import hidden, may, remedy
from edge_ssd.holders import holders
from edge_ssd.sources.base import DEVICE, SourceOptions, in_use, usable
from edge_ssd.sources.opencv import Image, OpenCvCamera

BY_ID = Path("/dev/v4l/by-id")
"""Where udev names cameras by maker, model and serial number."""

# How long the driver may give no image, in seconds. OpenCV's own 10 are long for a camera
# that was unplugged; it reads this once, at the first frame of the process.
_FRAME_TIMEOUT_S = "3"
# After unplugging, the driver gives up before the kernel removes the device, in seconds.
_REMOVAL_S = 0.3
_NAMES = {
    cv2.CAP_PROP_FOURCC: "the format",
    cv2.CAP_PROP_FRAME_WIDTH: "the width",
    cv2.CAP_PROP_FRAME_HEIGHT: "the height",
    cv2.CAP_PROP_FPS: "the rate",
}
# OpenCV's conversion to BGR, rows of bytes per two rows of pixels, and bytes per pixel in a row.
_FORMATS: dict[str, tuple[int | None, int, int]] = {
    "YUYV": (cv2.COLOR_YUV2BGR_YUYV, 2, 2), "YUY2": (cv2.COLOR_YUV2BGR_YUY2, 2, 2),
    "YVYU": (cv2.COLOR_YUV2BGR_YVYU, 2, 2), "UYVY": (cv2.COLOR_YUV2BGR_UYVY, 2, 2),
    "NV12": (cv2.COLOR_YUV2BGR_NV12, 3, 1), "NV21": (cv2.COLOR_YUV2BGR_NV21, 3, 1),
    "YU12": (cv2.COLOR_YUV2BGR_I420, 3, 1), "YV12": (cv2.COLOR_YUV2BGR_YV12, 3, 1),
    "GREY": (cv2.COLOR_GRAY2BGR, 2, 1), "RGB3": (cv2.COLOR_RGB2BGR, 2, 3), "BGR3": (None, 2, 3),
}  # fmt: skip
_JPEG = ("MJPG", "JPEG")
_CONVERTED = {
    "YUYV", "UYVY", "NV12", "NV21", "YU12", "YV12", "411P", *_JPEG, "RGB3", "BGR3", "GREY",
    "Y10", "Y16", "BA81", "GBRG", "S910",
}  # fmt: skip
"""What OpenCV 4.6 to 5 converts to BGR; it may give other formats the shape of BGR."""
if int(cv2.__version__.split(".")[0]) >= 5:
    _CONVERTED |= {"GRBG", "RGGB", "XR24", "AR24", "Y12"}

log = logging.getLogger(__name__)


class UsbOptions(SourceOptions):
    """A USB camera (V4L2). Where it refuses a size, rate or format, its own is used."""

    type: Literal["usb"] = "usb"
    path: Path = Path("/dev/video0")
    """Better its name in /dev/v4l/by-id, which stays the same in another socket."""
    width: int | None = Field(default=640, ge=16, le=10000)
    """Pixels; null for the camera's own."""
    height: int | None = Field(default=480, ge=16, le=10000)
    """Pixels; null for the camera's own."""
    fps: float | None = Field(default=30.0, gt=0, le=1000)
    """Frames per second; null for the camera's own."""
    fourcc: str | None = Field(default=None, min_length=4, max_length=4)
    """The camera's format, such as MJPG (little USB traffic) or YUYV (little work)."""

    def make(self, name: str) -> UsbCamera:
        return UsbCamera(name, self)

    def checks(self) -> tuple[Check, ...]:
        return (
            Check("camera", self._connected, "path", exit_code=DEVICE),
            Check("camera devices", self._usable, "path", exit_code=DEVICE, rights=True),
            in_use(lambda _: [str(self.path)]),
        )

    def _connected(self, system: System) -> Finding:
        if not system.exists(self.path):
            return fail(f"{self.path} does not exist", _connected_cameras(system))
        node = system.path(self.path).resolve().name
        name = system.read(f"/sys/class/video4linux/{node}/name").strip()
        return ok(f"{self.path}: {name or 'connected'}")

    def _usable(self, system: System) -> Finding:
        if not system.exists(self.path):
            return skipped(f"{self.path} does not exist, see above")
        return usable([str(self.path)], system)


class UsbCamera(OpenCvCamera):
    """Frames of a V4L2 camera, BGR; see OpenCvCamera. Warns of a size or format not asked for."""

    def __init__(self, name: str, options: UsbOptions) -> None:
        super().__init__(name)
        self._device = options.path
        fourcc = cv2.VideoWriter.fourcc(*options.fourcc) if options.fourcc else None
        wanted: dict[int, float | None] = {
            cv2.CAP_PROP_FOURCC: fourcc,
            cv2.CAP_PROP_FRAME_WIDTH: options.width,
            cv2.CAP_PROP_FRAME_HEIGHT: options.height,
            cv2.CAP_PROP_FPS: options.fps,
        }
        self._wanted = {option: value for option, value in wanted.items() if value is not None}
        self._warned = ""

    def _connect(self) -> cv2.VideoCapture:
        self._check_device()
        os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", _FRAME_TIMEOUT_S)
        capture = cv2.VideoCapture(str(self._device), cv2.CAP_V4L2)
        if capture.isOpened():
            # In this order: the format decides which sizes there are, both which rates.
            for option, value in self._wanted.items():
                capture.set(option, value)
        if not capture.isOpened():
            capture.release()
            raise self._refused()
        if _fourcc(capture) not in _CONVERTED:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        self._warn_of_differences(capture)
        return capture

    def _lost(self, waited_s: float) -> DeviceError:
        removed_by_s = time.monotonic() + _REMOVAL_S
        while self._device.exists() and time.monotonic() < removed_by_s:
            time.sleep(0.01)
        if not self._device.exists():
            return DeviceError(f"{self._device} was unplugged", _connected_cameras())
        problem = f"{self._device} gave no image for {waited_s:.1f} s"
        return DeviceError(problem, "check the cable, the power supply and the USB hub")

    def _image(self, capture: cv2.VideoCapture) -> Image | None:
        try:
            decoded, raw = capture.retrieve()
        except cv2.error:  # OpenCV 5 cannot shape an image of which a part is lost
            return None
        if not decoded:
            return None
        width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        try:
            return _to_bgr(raw, _fourcc(capture), width, height)
        except ValueError as error:
            other = "set source.fourcc to one that `v4l2-ctl --list-formats` lists, such as MJPG"
            raise DeviceError(f"{self._device} gives {error}", other) from None

    def _check_device(self) -> None:
        device = self._device
        if error := hidden(device):
            raise DeviceError(f"{device}: {error.strerror}", remedy(device, error))
        if not device.is_char_device():
            problem = "is not a device" if device.exists() else "does not exist"
            raise DeviceError(f"{device} {problem}", _connected_cameras())
        if not may(device):
            problem = f"{device} may not be used by this user"
            raise DeviceError(problem, "add the user to the group video")

    def _refused(self) -> DeviceError:
        if used_by := holders(str(self._device.resolve())):
            problem = f"{self._device} is in use by {', '.join(used_by)}"
            return DeviceError(problem, "stop that, or choose another camera")
        several = "a camera has several devices, of which one gives images"
        index0 = f"{several}: try the one ending in index0; {_connected_cameras()}"
        return DeviceError(f"{self._device} gives no images", index0)

    def _warn_of_differences(self, capture: cv2.VideoCapture) -> None:
        """Warn, once for the same differences, where the camera gives something else."""
        given = {option: capture.get(option) for option in self._wanted}
        # Cameras report 29.97 for 30; some report 0 for unknown.
        warning = ", ".join(
            f"{_NAMES[option]} {_text(option, given[option])} instead of {_text(option, wanted)}"
            for option, wanted in self._wanted.items()
            if given[option] and abs(wanted - given[option]) >= 0.5
        )
        if warning and warning != self._warned:
            log.warning("%s: %s gives %s", self.name, self._device, warning)
        self._warned = warning


def _to_bgr(raw: NDArray[Any], fourcc: str, width: int, height: int) -> Image | None:
    """Return one image as (height, width, 3) uint8 BGR; None for a damaged JPEG.

    raw: what OpenCV gave: (height, width, 3), which is BGR for the formats in _CONVERTED, or the
        camera's bytes in any shape.
    fourcc, width, height: what the camera reports to send.
    Raises ValueError, with what came, for data in an unknown format.
    """
    if raw.dtype != np.uint8:
        raise ValueError(f"{raw.dtype} numbers of shape {raw.shape}, an unknown format")
    if raw.ndim == 3 and raw.shape[2] == 3 and fourcc in _CONVERTED:
        return cast("Image", raw)
    data = np.ascontiguousarray(raw).reshape(-1)
    if fourcc in _JPEG:
        return cast("Image | None", cv2.imdecode(data, cv2.IMREAD_COLOR))
    code, rows, pixel_bytes = _FORMATS.get(fourcc, (None, 0, 0))
    shape = (height * rows // 2, width, pixel_bytes)
    if fourcc not in _FORMATS or data.size != np.prod(shape):
        size = f"{width}x{height}"
        raise ValueError(f"{data.size} bytes per image of {size} {fourcc}, an unknown format")
    image = data.reshape(shape)
    return image if code is None else cast("Image", cv2.cvtColor(image, code))


def _text(option: int, value: float) -> str:
    """Return an option's value in words: a format as its four letters, such as MJPG."""
    if option != cv2.CAP_PROP_FOURCC:
        return f"{value:g}"
    return int(value).to_bytes(4, "little", signed=value < 0).decode("latin-1").strip()


def _fourcc(capture: cv2.VideoCapture) -> str:
    return _text(cv2.CAP_PROP_FOURCC, capture.get(cv2.CAP_PROP_FOURCC))


def _connected_cameras(system: System | None = None) -> str:
    """Return the USB cameras that udev lists, as a remedy."""
    names = [path.name for path in (system or System()).glob(f"{BY_ID}/*")]
    if not names:
        return f"plug the camera in; {BY_ID} lists none"
    return f"plug it in, or choose one that {BY_ID} lists: {', '.join(names)}"
