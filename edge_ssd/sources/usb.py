"""A USB camera: V4L2 through OpenCV."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import cv2

from edge_ssd.errors import DeviceError
from edge_ssd.files import hidden, remedy
from edge_ssd.holders import holders
from edge_ssd.sources.opencv import Image, OpenCvCamera
from edge_ssd.sources.v4l2 import CONVERTED, to_bgr

BY_ID = Path("/dev/v4l/by-id")
"""Where udev names cameras by maker, model and serial number."""

# How long the driver may give no picture, in seconds. OpenCV's own 10 are long for a camera
# whose plug has been pulled; it reads this once, at the first frame of the process.
_FRAME_TIMEOUT_S = "3"

# A driver gives up a moment before the kernel removes the device of a pulled plug, in seconds.
_REMOVAL_S = 0.3

_WORDS = {
    cv2.CAP_PROP_FOURCC: "the format",
    cv2.CAP_PROP_FRAME_WIDTH: "the width",
    cv2.CAP_PROP_FRAME_HEIGHT: "the height",
    cv2.CAP_PROP_FPS: "the rate",
}

log = logging.getLogger(__name__)


class UsbCamera(OpenCvCamera):
    """The frames of one V4L2 camera, BGR; see OpenCvCamera.

    device: /dev/video0, or its name under /dev/v4l/by-id, which stays the same when the
        camera is plugged in elsewhere.
    width, height: pixels; fps: frames per second; fourcc: the camera's format, such as MJPG.
        None leaves the camera's own. They are wishes: where the camera gives something else,
        one warning says so and that is used.
    """

    def __init__(
        self,
        name: str,
        device: Path,
        width: int | None = None,
        height: int | None = None,
        fps: float | None = None,
        fourcc: str | None = None,
    ) -> None:
        super().__init__(name)
        self._device = device
        self._wanted: dict[int, float | None] = {
            cv2.CAP_PROP_FOURCC: None if fourcc is None else cv2.VideoWriter.fourcc(*fourcc),
            cv2.CAP_PROP_FRAME_WIDTH: width,
            cv2.CAP_PROP_FRAME_HEIGHT: height,
            cv2.CAP_PROP_FPS: fps,
        }
        self._told = ""

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
        self._tell_difference(capture)
        return capture

    def _lost(self, waited_s: float) -> DeviceError:
        if self._is_removed():
            return DeviceError(f"{self.name}: {self._device} was unplugged", _what_is_there())
        return DeviceError(
            f"{self.name}: {self._device} gave no picture for {waited_s:.1f} s",
            "check the cable, the power supply and the USB hub",
        )

    def _picture(self, capture: cv2.VideoCapture) -> Image | None:
        try:
            decoded, raw = capture.retrieve()
        except cv2.error:  # OpenCV 5 cannot shape a picture of which a part is lost
            return None
        if not decoded:
            return None
        width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        try:
            return to_bgr(raw, _fourcc(capture), width, height)
        except ValueError as error:
            raise DeviceError(
                f"{self.name}: {self._device} gives {error}",
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
            problem = f"{self.name}: {self._device}: {error.strerror}"
            raise DeviceError(problem, remedy(self._device, error))
        if not self._device.exists():
            raise DeviceError(f"{self.name}: {self._device} is not there", _what_is_there())
        if not self._device.is_char_device():
            raise DeviceError(f"{self.name}: {self._device} is not a device", _what_is_there())
        if not os.access(self._device, os.R_OK | os.W_OK, effective_ids=True):
            raise DeviceError(
                f"{self.name}: {self._device} may not be used by this user",
                "add the user to the group video",
            )

    def _refused(self) -> DeviceError:
        used_by = holders(str(self._device.resolve()))
        if used_by:
            return DeviceError(
                f"{self.name}: {self._device} is in use by {', '.join(used_by)}",
                "stop that, or choose another camera",
            )
        return DeviceError(
            f"{self.name}: {self._device} gives no pictures",
            "a camera has several devices of which one gives pictures: try its other one, "
            f"ending in index0; {_what_is_there()}",
        )

    def _tell_difference(self, capture: cv2.VideoCapture) -> None:
        """Warn, once for the same difference, of what the camera made of the wishes."""
        differences = []
        for option, wanted in self._wanted.items():
            given = capture.get(option)
            # Cameras say 29.97 for 30; some say 0 where they do not know.
            if wanted is not None and given and abs(wanted - given) >= 0.5:
                word, given_text = _WORDS[option], _text(option, given)
                differences.append(f"{word} {given_text} instead of {_text(option, wanted)}")
        told = ", ".join(differences)
        if told and told != self._told:
            log.warning("%s: %s gives %s", self.name, self._device, told)
        self._told = told


def fourcc_text(code: float) -> str:
    """Return the four letters of a format code, such as MJPG."""
    return int(code).to_bytes(4, "little", signed=int(code) < 0).decode("latin-1").strip()


def _fourcc(capture: cv2.VideoCapture) -> str:
    return fourcc_text(capture.get(cv2.CAP_PROP_FOURCC))


def _text(option: int, value: float) -> str:
    return fourcc_text(value) if option == cv2.CAP_PROP_FOURCC else f"{value:g}"


def _what_is_there() -> str:
    names = sorted(path.name for path in BY_ID.glob("*"))
    if not names:
        return f"plug the camera in; {BY_ID} lists none"
    return f"in {BY_ID} there are: {', '.join(names)}"
