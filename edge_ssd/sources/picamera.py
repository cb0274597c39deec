"""A camera that libcamera drives, through picamera2: the ISP scales, the CPU copies once.

Two streams are configured. ``main`` chooses the sensor mode, and with it the field of view;
nobody maps its buffers. ``lores`` is the same view, scaled by the ISP for the detector; it is
what the frames carry.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as JobTimeoutError  # the builtin from Python 3.11 on
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import ConfigError, DeviceError, EdgeSsdError, Problem
from edge_ssd.sources.base import Source, capture_times
from edge_ssd.sources.picamera_controls import control_problems, frame_duration
from edge_ssd.sources.picamera_faults import explained, import_picamera2
from edge_ssd.types import Frame, PixelFormat

_LORES_PIXELS = 320
"""The shorter side of the lores stream where none is given: SSD models take 300 or 320."""

_CANCEL_S = 1.0

# picamera2 names the bytes of a pixel from the last one in memory to the first.
_FORMATS = {
    "YUV420": (PixelFormat.YUV420, 1),
    "NV12": (PixelFormat.NV12, 1),
    "RGB888": (PixelFormat.BGR, 3),
    "BGR888": (PixelFormat.RGB, 3),
    "XRGB8888": (PixelFormat.BGR, 4),
    "XBGR8888": (PixelFormat.RGB, 4),
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stream:
    """How one stream's buffers are laid out, as the camera says it; sizes in pixels."""

    format: str
    width: int
    height: int
    stride: int

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> _Stream:
        width, height = configuration["size"]
        return cls(configuration["format"], width, height, configuration["stride"])

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.format} with {self.stride} bytes a row"

    def copy(self, buffer: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the picture in a buffer as ``Frame.image`` has it; the one copy made."""
        pixel_format, pixel_bytes = _FORMATS[self.format]
        rows = self.height * 3 // 2 if pixel_format.planar else self.height
        if self.stride < self.width * pixel_bytes or buffer.size < rows * self.stride:
            raise DeviceError(f"{self} do not fit a buffer of {buffer.size} bytes")
        image = buffer[: rows * self.stride].reshape(rows, self.stride)
        if not pixel_format.planar:
            image = image[:, : self.width * pixel_bytes]
            image = image.reshape(self.height, self.width, pixel_bytes)[..., :3]
        owned: NDArray[np.uint8] = image.copy()
        return owned


class PiCameraSource(Source):
    """The newest frames of a camera, as its lores stream has them.

    camera: its number, or its id or model name, as ``rpicam-hello --list-cameras`` has them.
    size: width and height of the main stream, in pixels.
    lores_size: those of the frames; None for the shape of ``size`` with a shorter side of 320.
    lores_format: YUV420, or RGB888 where the ISP can (Pi 5). What the camera makes of format
        and size is read back, and frames are what it says.
    fps: frames a second; None for whatever the light allows.
    rotation: 0 or 180 degrees; hflip, vflip: mirrored left to right, top to bottom.
    controls: libcamera's controls by name.

    ``open`` raises DeviceError where picamera2 or the camera is missing, busy or refuses,
    ConfigError for a control it does not have or a value out of its range. ``read`` raises
    DeviceError when the format changes in the stream.
    """

    live = True

    def __init__(
        self,
        name: str,
        camera: int | str = 0,
        size: tuple[int, int] = (1280, 720),
        lores_size: tuple[int, int] | None = None,
        lores_format: str = "YUV420",
        fps: float | None = 30.0,
        rotation: int = 0,
        hflip: bool = False,
        vflip: bool = False,
        controls: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(name)
        self._wanted = camera
        self._size = size
        self._lores_size = lores_size or _same_shape(size)
        self._lores_format = lores_format
        self._fps = fps
        self._flips = (hflip != (rotation == 180), vflip != (rotation == 180))
        self._controls = dict(controls or {})
        self._camera: Any = None
        self._mapped_array: Any = None
        self._stream: _Stream | None = None
        self._job: Any = None
        self._number = 0

    def open(self) -> None:
        """Start the camera; see the class for what is raised."""
        picamera2, libcamera = import_picamera2()
        number = self._choose(picamera2.Picamera2.global_camera_info())
        self._mapped_array = picamera2.MappedArray
        # Made in two steps, so that what a failing one leaves open can be closed.
        self._camera = picamera2.Picamera2.__new__(picamera2.Picamera2)
        try:
            self._camera.__init__(number)
            self._configure(libcamera)
            self._camera.start()
        except EdgeSsdError:
            self.close()
            raise
        except (RuntimeError, OSError) as error:
            self.close()
            raise explained(f"{self.name}: camera {self._wanted}", error) from error

    def read(self, timeout_s: float) -> Frame | None:
        """Return the newest frame that was not read yet, waiting for one if need be."""
        try:
            request = self._next_request(timeout_s)
            if request is None:
                return None
            try:
                image = self._picture(request)
                metadata = request.get_metadata()
            finally:
                request.release()
        except RuntimeError as error:  # of picamera2 or libcamera
            raise DeviceError(f"{self.name}: {error}", "check the camera and its cable") from error
        return self._frame(image, metadata)

    def close(self) -> None:
        """Stop the camera and give its buffers back."""
        camera, self._camera = self._camera, None
        job, self._job = self._job, None
        if camera is None:
            return
        if job is not None:
            # A request that comes after all would be nobody's, and its buffer lost.
            with suppress(Exception):
                camera.cancel_all_and_flush()
                job.get_result(timeout=_CANCEL_S).release()
        _close(camera)

    def _choose(self, cameras: Sequence[Mapping[str, Any]]) -> int:
        for number, info in enumerate(cameras):
            if self._wanted in (number, info["Id"], info["Model"]):
                return number
        if not cameras:
            raise DeviceError(
                f"{self.name}: no camera found",
                "check its ribbon cable; `rpicam-hello --list-cameras` must show it",
            )
        found = ", ".join(f"{n} = {info['Model']} ({info['Id']})" for n, info in enumerate(cameras))
        raise DeviceError(
            f"{self.name}: no camera {self._wanted!r}; found {found}", "correct source.camera"
        )

    def _configure(self, libcamera: Any) -> None:
        """Configure both streams, and read back what they really are."""
        camera, (hflip, vflip) = self._camera, self._flips
        asked = camera.create_preview_configuration(
            main={"size": self._size, "format": "YUV420"},
            lores={"size": self._lores_size, "format": self._lores_format},
            transform=libcamera.Transform(hflip=hflip, vflip=vflip),
            colour_space=libcamera.ColorSpace.Smpte170m(),  # what ``Frame.image`` asks for
            display=None,
            encode=None,
        )
        camera.configure(asked)
        given = camera.camera_configuration()
        if (given["transform"].hflip, given["transform"].vflip) != self._flips:
            problem = "this camera can neither rotate nor flip"
            remedy = "set it to 0, and no flips"
            raise ConfigError([Problem("source.rotation", problem, remedy)])
        self._stream = _Stream.of(given["lores"])
        if self._stream.format not in _FORMATS:
            raise DeviceError(
                f"{self.name}: the camera gives {self._stream}, which is not understood",
                "use `type: usb` for a webcam",
            )
        log.info("%s: camera %s gives %s", self.name, self._wanted, self._stream)
        self._set_controls(camera.camera_controls)

    def _set_controls(self, advertised: Mapping[str, Any]) -> None:
        problems = control_problems(self._controls, advertised)
        if problems:
            raise ConfigError(problems)
        duration, warning = frame_duration(self._fps, advertised)
        if warning:
            log.warning("%s: %s", self.name, warning)
        self._camera.set_controls(duration | self._controls)

    def _next_request(self, timeout_s: float) -> Any:
        # Asked for once and awaited over many calls: picamera2 would hand the frame of a wait
        # that timed out to nobody, and after four of those it has no buffer left.
        if self._job is None:
            self._job = self._camera.capture_request(wait=False)
        try:
            request = self._job.get_result(timeout=timeout_s)
        except JobTimeoutError:
            return None
        self._job = None
        return request

    def _picture(self, request: Any) -> NDArray[np.uint8]:
        stream = _Stream.of(request.config["lores"])
        if stream != self._stream:
            raise DeviceError(
                f"{self.name}: the camera changed from {self._stream} to {stream}",
                "another program may have configured it",
            )
        with self._mapped_array(request, "lores", reshape=False, write=False) as mapped:
            return stream.copy(mapped.array)

    def _frame(self, image: NDArray[np.uint8], metadata: Mapping[str, Any]) -> Frame:
        assert self._stream is not None
        pixel_format, _ = _FORMATS[self._stream.format]
        size = (self._stream.width, self._stream.height) if pixel_format.planar else None
        captured_ns, captured_at = _capture_times(metadata.get("SensorTimestamp"))
        number, self._number = self._number, self._number + 1
        return Frame(image, pixel_format, self.name, number, captured_ns, captured_at, size=size)


def _capture_times(sensor_ns: int | None) -> tuple[int, datetime]:
    """Return when the sensor took the picture, as ``capture_times`` gives it.

    sensor_ns: CLOCK_BOOTTIME, which unlike the monotonic clock goes on while suspended; None
        where the camera does not say, which is taken for now.
    """
    now_ns, now = capture_times()
    if sensor_ns is None:
        return now_ns, now
    # An interruption between the two readings makes the difference too large, never too small.
    ahead_ns = min(
        -time.monotonic_ns() + time.clock_gettime_ns(time.CLOCK_BOOTTIME) for _ in range(3)
    )
    captured_ns = min(sensor_ns - ahead_ns, now_ns)
    return captured_ns, now - timedelta(microseconds=(now_ns - captured_ns) / 1000)


def _same_shape(size: tuple[int, int]) -> tuple[int, int]:
    """Scale a size down to a shorter side of 320, even as the ISP needs it."""
    ratio = min(1.0, _LORES_PIXELS / min(size))
    width, height = (int(side * ratio) // 2 * 2 for side in size)
    return width, height


def _close(camera: Any) -> None:
    """Close a picamera2 object, in whatever state, and what its ``close`` leaves open."""
    try:
        camera.close()
    except Exception as error:  # half open, or its device is gone: go on with the rest
        log.debug("picamera2 could not close: %s", error)
    camera.is_open = False
    pipe = getattr(camera, "notifymeread", None)
    if pipe is not None and not pipe.closed:
        pipe.close()
        os.close(camera.notifyme_w)
    camera.allocator = None  # it keeps the dma-heap open until the next garbage collection
