"""The section ``source``: where frames come from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import (
    Field,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from edge_ssd.options import Options
from edge_ssd.secrets import LoginOptions


class VideoSource(Options):
    """A recorded video; every frame is used, in order, as fast as inference goes."""

    type: Literal["video"]
    path: Path
    """The video file."""
    loop: bool = False
    """Begin again at its end."""


class ImagesSource(Options):
    """Pictures, in natural order (img2 before img10); each is used once."""

    type: Literal["images"]
    path: Path
    """A picture, or a folder of pictures."""
    loop: bool = False
    """Begin again after the last."""


class FaultOptions(Options):
    """A fault that the synthetic source plays, as hardware would."""

    kind: Literal["stall", "drop", "error", "wrong-size"]
    """What happens: no frame for a while; a frame lost; the camera fails; another size."""
    at_frame: int = Field(ge=0)
    """The number of the frame it happens at."""
    duration_s: float = Field(default=0.0, ge=0, le=1_000_000)
    """How long a stall lasts, in seconds."""
    every: int | None = Field(default=None, ge=1)
    """Repeat after so many frames."""


class SyntheticSource(Options):
    """A shipped stand-in for a camera: moving shapes, or pictures in a loop."""

    type: Literal["synthetic"]
    width: int = Field(default=640, ge=32, le=10000)
    """Pixels."""
    height: int = Field(default=480, ge=2, le=10000)
    """Pixels."""
    fps: float | None = Field(default=30.0, ge=0.001, le=1_000_000)
    """Frames a second; null for as fast as they are taken."""
    frame_limit: int | None = Field(default=None, ge=1)
    """End after so many frames; null for never."""
    live: bool = True
    """Behave as a camera: frames that nobody takes in time are lost."""
    images: Path | None = None
    """Show the pictures of this folder instead of shapes."""
    faults: tuple[FaultOptions, ...] = ()
    """Faults to play, for tests."""


class PiCameraSource(Options):
    """A camera on the Pi's own connector, through picamera2; its image processor scales."""

    type: Literal["picamera"]
    camera: int | str = 0
    """Its number, or its id or model name, as `rpicam-hello --list-cameras` shows them."""
    width: int = Field(default=1280, ge=64, le=10000)
    """Pixels; with height it chooses the sensor's mode and field of view."""
    height: int = Field(default=720, ge=64, le=10000)
    """Pixels."""
    lores_width: int | None = Field(default=None, ge=64, le=10000)
    """Of the frames, in pixels; null for the same shape with 320 pixels on its shorter side."""
    lores_height: int | None = Field(default=None, ge=64, le=10000)
    """Pixels; give both or neither."""
    lores_format: Literal["YUV420", "RGB888"] = "YUV420"
    """What the camera is asked for; RGB888 spares the processor a conversion, on a Pi 5 only."""
    fps: float | None = Field(default=30.0, gt=0, le=1000)
    """Frames a second; null for whatever the light allows."""
    rotation: Literal[0, 180] = 0
    """Degrees, for a camera that hangs upside down."""
    hflip: bool = False
    """Mirror the picture, left to right."""
    vflip: bool = False
    """Mirror the picture, top to bottom."""
    controls: dict[str, Any] = Field(default_factory=dict)
    """libcamera's controls by name, such as `{AfMode: 2, ExposureTime: 8000}`."""

    @model_validator(mode="after")
    def _lores_fits(self) -> PiCameraSource:
        width, height = self.lores_width, self.lores_height
        if (width is None) != (height is None):
            raise PydanticCustomError("options", "must have both lores_width and lores_height")
        if (width or 0) > self.width or (height or 0) > self.height:
            raise PydanticCustomError("options", "must have a lores size within width x height")
        return self


class UsbSource(Options):
    """A USB camera (V4L2). What the camera makes of size, rate and format is used."""

    type: Literal["usb"]
    path: Path = Path("/dev/video0")
    """Better its name in /dev/v4l/by-id, which stays the same in another socket."""
    width: int | None = Field(default=640, ge=16, le=10000)
    """Pixels; null for the camera's own."""
    height: int | None = Field(default=480, ge=16, le=10000)
    """Pixels; null for the camera's own."""
    fps: float | None = Field(default=30.0, gt=0, le=1000)
    """Frames a second; null for the camera's own."""
    fourcc: str | None = Field(default=None, min_length=4, max_length=4)
    """The camera's format, such as MJPG (little USB traffic) or YUYV (little work)."""


class _StreamSource(LoginOptions):
    schemes: ClassVar[tuple[str, ...]]

    url: str = Field(repr=False)
    """The address of the stream; in messages only its host appears."""
    open_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """How long the camera may take to answer, and to begin the stream, in seconds."""
    read_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """How long it may give no picture, in seconds."""

    @property
    def address(self) -> str:
        """What may be shown of the url: ``rtsp://camera:554``. Paths hold passwords too."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @field_serializer("url")
    def _without_secrets(self, _url: str) -> str:
        return self.address

    @field_validator("url")
    @classmethod
    def _is_stream(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            rest = url.partition(parts.netloc)[2]
            host = parts.hostname if parts.port != 0 else None
        except ValueError:  # the port is no number
            raise cls._not_a_stream() from None
        # An @ further on means that a / ? or # of the password was taken for the host's end.
        if not host or "@" in rest or re.search(r"\s", url) or parts.scheme not in cls.schemes:
            raise cls._not_a_stream()
        return url

    @classmethod
    def _not_a_stream(cls) -> PydanticCustomError:
        return PydanticCustomError(
            "url",
            "must be such as {scheme}://camera.local/stream; in a user or password write "
            "@ : / ? # % as %40 %3A %2F %3F %23 %25",
            {"scheme": cls.schemes[0]},
        )

    @model_validator(mode="after")
    def _one_login(self) -> _StreamSource:
        if self.username and "@" in urlsplit(self.url).netloc:
            raise PydanticCustomError(
                "options", "must have the user in the url or in username, not both"
            )
        return self


class RtspSource(_StreamSource):
    """A network camera, over TCP, or UDP where it refuses that; the newest frame is used."""

    schemes = ("rtsp", "rtsps")

    type: Literal["rtsp"]


class HttpSource(_StreamSource):
    """A stream over HTTP, such as motion JPEG; the newest frame is used."""

    schemes = ("http", "https")

    type: Literal["http"]


SourceOptions = Annotated[
    VideoSource
    | ImagesSource
    | SyntheticSource
    | PiCameraSource
    | UsbSource
    | RtspSource
    | HttpSource,
    Field(discriminator="type"),
]
