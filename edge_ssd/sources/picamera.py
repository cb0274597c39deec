"""A camera that libcamera drives, through picamera2: the ISP scales, the CPU copies once.

Two streams are configured. ``main`` chooses the sensor mode, and with it the field of view;
its buffers are never mapped. ``lores`` is the same view, scaled by the ISP for the detector; it is
what the frames carry.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Mapping
from concurrent.futures import TimeoutError as JobTimeoutError  # the builtin from Python 3.11 on
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from edge_ssd.checks import Check
from edge_ssd.errors import ConfigError, DeviceError, EdgeSsdError, Problem
from edge_ssd.options import require
from edge_ssd.sources import picamera_checks
from edge_ssd.sources.base import Source, SourceOptions, capture_times
from edge_ssd.types import Frame, PixelFormat

# The shorter side of the lores stream by default: SSD models take 300 or 320.
_LORES_PIXELS = 320
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
    """The layout of one stream's buffers, as the camera reports it; sizes in pixels."""

    format: str
    width: int
    height: int
    stride: int

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> _Stream:
        width, height = configuration["size"]
        return cls(configuration["format"], width, height, configuration["stride"])

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.format} with {self.stride} bytes per row"

    def copy(self, buffer: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image in a buffer as ``Frame.image`` has it; the only copy made."""
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


class PiCameraOptions(SourceOptions):
    """A camera on the Pi's own connector, through picamera2; its image processor scales."""

    type: Literal["picamera"] = "picamera"
    camera: int | str = 0
    """Its number, or its id or model name, as `rpicam-hello --list-cameras` shows them."""
    width: int = Field(default=1280, ge=64, le=10000)
    """Pixels; with height it chooses the sensor's mode and field of view."""
    height: int = Field(default=720, ge=64, le=10000)
    """Pixels."""
    lores_width: int | None = Field(default=None, ge=64, le=10000)
    """Of the frames, in pixels; null for the shape of width x height, 320 on its shorter side."""
    lores_height: int | None = Field(default=None, ge=64, le=10000)
    """Pixels; give both or neither."""
    lores_format: Literal["YUV420", "RGB888"] = "YUV420"
    """RGB888, on a Pi 5 only, saves the CPU a conversion."""
    fps: float | None = Field(default=30.0, gt=0, le=1000)
    """Frames per second; null for what the light allows."""
    rotation: Literal[0, 180] = 0
    """Degrees; 180 for a camera mounted upside down."""
    hflip: bool = False
    """Mirror left to right."""
    vflip: bool = False
    """Mirror top to bottom."""
    controls: dict[str, Any] = Field(default_factory=dict)
    """libcamera's controls by name, such as `{AfMode: 2, ExposureTime: 8000}`."""

    @model_validator(mode="after")
    def _lores_fits(self) -> PiCameraOptions:
        width, height = self.lores_width, self.lores_height
        require((width is None) == (height is None), "both lores_width and lores_height")
        fits = (width or 0) <= self.width and (height or 0) <= self.height
        require(fits, "a lores size within width x height")
        return self

    @property
    def lores_size(self) -> tuple[int, int]:
        """Width and height that the frames are asked to have, in pixels; even, as the ISP needs."""
        if self.lores_width and self.lores_height:
            return self.lores_width, self.lores_height
        ratio = min(1.0, _LORES_PIXELS / min(self.width, self.height))
        return int(self.width * ratio) // 2 * 2, int(self.height * ratio) // 2 * 2

    def make(self, name: str) -> PiCameraSource:
        return PiCameraSource(name, self)

    def checks(self) -> tuple[Check, ...]:
        return picamera_checks.checks(self.camera)


class PiCameraSource(Source):
    """The newest frames of a camera, as its lores stream has them.

    The format and size that the camera really gives are read back, and frames have those.
    ``open`` raises DeviceError where picamera2 or the camera is missing, busy or refuses,
    ConfigError for a control it does not have or a value out of its range. ``read`` raises
    DeviceError when the format changes in the stream.
    """

    live = True

    def __init__(self, name: str, options: PiCameraOptions) -> None:
        super().__init__(name)
        self._options = options
        self._camera: Any = None
        self._mapped_array: Any = None
        self._stream: _Stream | None = None
        self._job: Any = None
        self._numbers = itertools.count()

    def open(self) -> None:
        picamera2, libcamera = picamera_checks.import_picamera2()
        cameras = picamera2.Picamera2.global_camera_info()
        number = picamera_checks.choose(self._options.camera, cameras, f"{self.name}: ")
        self._mapped_array = picamera2.MappedArray
        # Made in two steps, so that what a failing one leaves open can be closed.
        self._camera = picamera2.Picamera2.__new__(picamera2.Picamera2)
        try:
            self._camera.__init__(number)
            self._configure(libcamera)
            self._camera.start()
        except (EdgeSsdError, RuntimeError, OSError) as error:
            self.close()
            if isinstance(error, EdgeSsdError):
                raise
            title = f"{self.name}: camera {self._options.camera}"
            raise picamera_checks.explained(title, error) from error

    def read(self, timeout_s: float) -> Frame | None:
        try:
            request = self._next_request(timeout_s)
            if request is None:
                return None
            try:
                return self._frame(request)
            finally:
                request.release()
        except RuntimeError as error:  # of picamera2 or libcamera
            raise DeviceError(f"{self.name}: {error}", "check the camera and its cable") from error

    def close(self) -> None:
        camera, job = self._camera, self._job
        self._camera = self._job = None
        if job:
            # Nothing else would release the buffer of a request that still comes.
            with suppress(Exception):
                camera.cancel_all_and_flush()
                job.get_result(timeout=_CANCEL_S).release()
        if camera:
            _close(camera)

    def _configure(self, libcamera: Any) -> None:
        """Configure both streams, and read back what they really are."""
        camera, options = self._camera, self._options
        turned = options.rotation == 180
        hflip, vflip = options.hflip != turned, options.vflip != turned
        asked = camera.create_preview_configuration(
            main={"size": (options.width, options.height), "format": "YUV420"},
            lores={"size": options.lores_size, "format": options.lores_format},
            transform=libcamera.Transform(hflip=hflip, vflip=vflip),
            colour_space=libcamera.ColorSpace.Smpte170m(),  # what ``Frame.image`` asks for
            display=None,
            encode=None,
        )
        camera.configure(asked)
        given = camera.camera_configuration()
        if (given["transform"].hflip, given["transform"].vflip) != (hflip, vflip):
            text = "this camera can neither rotate nor flip"
            raise ConfigError([Problem("source.rotation", text, "set it to 0, and no flips")])
        self._stream = _Stream.of(given["lores"])
        if self._stream.format not in _FORMATS:
            problem = f"{self.name}: the camera gives {self._stream}, an unknown format"
            raise DeviceError(problem, "use `type: usb` for a webcam")
        log.info("%s: camera %s gives %s", self.name, options.camera, self._stream)
        self._set_controls(camera.camera_controls)

    def _set_controls(self, advertised: Mapping[str, Any]) -> None:
        controls = self._options.controls
        if problems := picamera_checks.control_problems(controls, advertised):
            raise ConfigError(problems)
        duration, warning = picamera_checks.frame_duration(self._options.fps, advertised)
        if warning:
            log.warning("%s: %s", self.name, warning)
        self._camera.set_controls(duration | controls)

    def _next_request(self, timeout_s: float) -> Any:
        # Asked for once and awaited over many calls: picamera2 loses the frame of a wait that
        # timed out, and after four of those it has no buffer left.
        if self._job is None:
            self._job = self._camera.capture_request(wait=False)
        try:
            request = self._job.get_result(timeout=timeout_s)
        except JobTimeoutError:
            return None
        self._job = None
        return request

    def _frame(self, request: Any) -> Frame:
        stream = _Stream.of(request.config["lores"])
        if stream != self._stream:
            problem = f"{self.name}: the camera changed from {self._stream} to {stream}"
            raise DeviceError(problem, "another program may have configured it")
        with self._mapped_array(request, "lores", reshape=False, write=False) as mapped:
            image = stream.copy(mapped.array)
        pixel_format, _ = _FORMATS[stream.format]
        size = (stream.width, stream.height) if pixel_format.planar else None
        times = capture_times(_monotonic_ns(request.get_metadata().get("SensorTimestamp")))
        return Frame(image, pixel_format, self.name, next(self._numbers), *times, size=size)


def _monotonic_ns(sensor_ns: int | None) -> int | None:
    """Return when the sensor took the image, by the monotonic clock.

    sensor_ns: by CLOCK_BOOTTIME, which unlike the monotonic clock runs while suspended; None
        where the camera does not report it.
    """
    # An interruption between the two readings makes the difference too large, never too small.
    ahead_ns = min(
        -time.monotonic_ns() + time.clock_gettime_ns(time.CLOCK_BOOTTIME) for _ in range(3)
    )
    return None if sensor_ns is None else sensor_ns - ahead_ns


def _close(camera: Any) -> None:
    """Close a picamera2 object in any state, and what its ``close`` leaves open."""
    try:
        camera.close()
    except Exception as error:  # half open, or its device is gone: the rest must still be closed
        log.debug("picamera2 could not close: %s", error)
    camera.is_open = False
    pipe = getattr(camera, "notifymeread", None)
    if pipe is not None and not pipe.closed:
        pipe.close()
        os.close(camera.notifyme_w)
    camera.allocator = None  # it keeps the dma-heap open until the next garbage collection
