"""A USB camera: V4L2 through OpenCV."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Literal

import cv2
from pydantic import Field

from edge_ssd.checks import Check, Finding, System, fail, ok, skipped
from edge_ssd.errors import DeviceError
from edge_ssd.files import hidden, remedy
from edge_ssd.holders import holders
from edge_ssd.sources.base import SourceOptions
from edge_ssd.sources.camera_checks import DEVICE, in_use, usable
from edge_ssd.sources.opencv import Image, OpenCvCamera
from edge_ssd.sources.v4l2 import CONVERTED, to_bgr

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
        """Return the source; see SourceOptions."""
        return UsbCamera(name, self)

    def checks(self) -> tuple[Check, ...]:
        """Return what ``edge-ssd doctor`` examines."""
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
    """The frames of one V4L2 camera, BGR; see OpenCvCamera.

    Where the camera gives another size, rate or format than its options ask for, one warning
    says so.
    """

    def __init__(self, name: str, options: UsbOptions) -> None:
        super().__init__(name)
        self._device = options.path
        fourcc = options.fourcc
        self._wanted: dict[int, float | None] = {
            cv2.CAP_PROP_FOURCC: None if fourcc is None else cv2.VideoWriter.fourcc(*fourcc),
            cv2.CAP_PROP_FRAME_WIDTH: options.width,
            cv2.CAP_PROP_FRAME_HEIGHT: options.height,
            cv2.CAP_PROP_FPS: options.fps,
        }
        self._warned = ""

    def _connect(self) -> cv2.VideoCapture:
        self._check_device()
        os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", _FRAME_TIMEOUT_S)
        capture = cv2.VideoCapture(str(self._device), cv2.CAP_V4L2)
        if capture.isOpened():
            # In this order: the format decides which sizes there are, both which rates.
            for option, value in self._wanted.items():
                if value is not None:
                    capture.set(option, value)
        if not capture.isOpened():
            capture.release()
            raise self._refused()
        if _fourcc(capture) not in CONVERTED:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        self._warn_of_differences(capture)
        return capture

    def _lost(self, waited_s: float) -> DeviceError:
        if self._is_removed():
            return DeviceError(f"{self._device} was unplugged", _connected_cameras())
        return DeviceError(
            f"{self._device} gave no image for {waited_s:.1f} s",
            "check the cable, the power supply and the USB hub",
        )

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
            return to_bgr(raw, _fourcc(capture), width, height)
        except ValueError as error:
            raise DeviceError(
                f"{self._device} gives {error}",
                "set source.fourcc to one that `v4l2-ctl --list-formats` lists, such as MJPG",
            ) from None

    def _is_removed(self) -> bool:
        deadline_s = time.monotonic() + _REMOVAL_S
        while self._device.exists():
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.01)
        return True

    def _check_device(self) -> None:
        error = hidden(self._device)
        if error:
            problem = f"{self._device}: {error.strerror}"
            raise DeviceError(problem, remedy(self._device, error))
        if not self._device.exists():
            raise DeviceError(f"{self._device} does not exist", _connected_cameras())
        if not self._device.is_char_device():
            raise DeviceError(f"{self._device} is not a device", _connected_cameras())
        if not os.access(self._device, os.R_OK | os.W_OK, effective_ids=True):
            raise DeviceError(
                f"{self._device} may not be used by this user",
                "add the user to the group video",
            )

    def _refused(self) -> DeviceError:
        used_by = holders(str(self._device.resolve()))
        if used_by:
            return DeviceError(
                f"{self._device} is in use by {', '.join(used_by)}",
                "stop that, or choose another camera",
            )
        return DeviceError(
            f"{self._device} gives no images",
            "a camera has several devices, of which one gives images: try the one ending in "
            f"index0; {_connected_cameras()}",
        )

    def _warn_of_differences(self, capture: cv2.VideoCapture) -> None:
        """Warn, once for the same differences, where the camera gives something else."""
        differences = []
        for option, wanted in self._wanted.items():
            given = capture.get(option)
            # Cameras report 29.97 for 30; some report 0 for unknown.
            if wanted is not None and given and abs(wanted - given) >= 0.5:
                word, given_text = _NAMES[option], _text(option, given)
                differences.append(f"{word} {given_text} instead of {_text(option, wanted)}")
        warning = ", ".join(differences)
        if warning and warning != self._warned:
            log.warning("%s: %s gives %s", self.name, self._device, warning)
        self._warned = warning


def _fourcc_text(code: float) -> str:
    """Return the four letters of a format code, such as MJPG."""
    return int(code).to_bytes(4, "little", signed=int(code) < 0).decode("latin-1").strip()


def _fourcc(capture: cv2.VideoCapture) -> str:
    return _fourcc_text(capture.get(cv2.CAP_PROP_FOURCC))


def _text(option: int, value: float) -> str:
    return _fourcc_text(value) if option == cv2.CAP_PROP_FOURCC else f"{value:g}"


def _connected_cameras(system: System | None = None) -> str:
    """Return the USB cameras that udev lists, as a remedy."""
    names = [path.name for path in (system or System()).glob(f"{BY_ID}/*")]
    if not names:
        return f"plug the camera in; {BY_ID} lists none"
    return f"plug it in, or choose one that {BY_ID} lists: {', '.join(names)}"
