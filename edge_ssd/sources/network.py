"""An IP camera: RTSP, or a stream over HTTP, through OpenCV's FFmpeg."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import ClassVar, Literal
from urllib.parse import quote, urlsplit

import cv2
from pydantic import Field, field_serializer, field_validator, model_validator
from pydantic_core import PydanticCustomError

from edge_ssd.checks import Check, Finding, System, ok
from edge_ssd.errors import DeviceError
from edge_ssd.options import require
from edge_ssd.reachable import unreachable
from edge_ssd.secrets import LoginOptions
from edge_ssd.sources.base import DEVICE, SourceOptions, naming_option
from edge_ssd.sources.opencv import OpenCvCamera, one_thread

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


class StreamOptions(LoginOptions, SourceOptions):
    """What a stream over RTSP and one over HTTP have in common."""

    schemes: ClassVar[tuple[str, ...]]

    url: str = Field(repr=False)
    """The address of the stream; messages show only its host."""
    open_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """How long the camera may take to answer, and to begin the stream, in seconds."""
    read_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """How long it may give no image, in seconds."""

    def make(self, name: str) -> NetworkCamera:
        return NetworkCamera(name, self)

    def checks(self) -> tuple[Check, ...]:
        camera = Check("camera", self._answers, "url", exit_code=DEVICE, limit_s=30)
        return camera, *super().checks()

    @property
    def address(self) -> str:
        """The part of the url that may be shown: ``rtsp://camera:554``. Paths hold passwords."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def reach(self) -> None:
        """Connect once. Raises DeviceError with the reason, which FFmpeg does not report."""
        parts = urlsplit(self.url)
        port = parts.port or _PORTS[parts.scheme]
        if problem := unreachable(parts.hostname or "", port, self.address, self.open_timeout_s):
            raise DeviceError(problem, "check the address, and that the camera is on and connected")

    def read_url(self) -> str:
        """Return the url with user and password. Raises ConfigError when that cannot be read."""
        if self.username is None:
            return self.url
        with naming_option(self.password_option):
            password = self.read_password()
        login = ":".join(quote(part, safe="") for part in (self.username, password or ""))
        scheme, rest = self.url.split("://", 1)
        return f"{scheme}://{login}@{rest}"

    def _answers(self, _system: System) -> Finding:
        self.reach()
        return ok(f"{self.address} answers")

    @field_serializer("url")
    def _without_secrets(self, _url: str) -> str:
        return self.address

    @field_validator("url")
    @classmethod
    def _is_stream(cls, url: str) -> str:
        host = None
        with suppress(ValueError):  # the port is no number
            parts = urlsplit(url)
            # An @ behind the host: a / ? or # of the password was taken for the host's end.
            whole = "@" not in url.partition(parts.netloc)[2] and not re.search(r"\s", url)
            if whole and parts.scheme in cls.schemes and parts.port != 0:
                host = parts.hostname
        if not host:
            raise PydanticCustomError(
                "url",
                "must be such as {scheme}://camera.local/stream; in a user or password write "
                "@ : / ? # % as %40 %3A %2F %3F %23 %25",
                {"scheme": cls.schemes[0]},
            )
        return url

    @model_validator(mode="after")
    def _one_user(self) -> StreamOptions:
        twice = self.username and "@" in urlsplit(self.url).netloc
        require(not twice, "the user in the url or in username, not both")
        return self


class RtspOptions(StreamOptions):
    """An RTSP camera, over TCP, or UDP where it refuses that; the newest frame is used."""

    schemes = ("rtsp", "rtsps")

    type: Literal["rtsp"] = "rtsp"


class HttpOptions(StreamOptions):
    """A stream over HTTP, such as motion JPEG; the newest frame is used."""

    schemes = ("http", "https")

    type: Literal["http"] = "http"


class NetworkCamera(OpenCvCamera):
    """The frames of one stream, BGR; see OpenCvCamera.

    RTSP uses TCP, or UDP where the camera refuses that, unless the user has set
    OPENCV_FFMPEG_CAPTURE_OPTIONS. The password is read at the first ``open``, which raises
    ConfigError where that fails.
    """

    def __init__(self, name: str, options: StreamOptions) -> None:
        super().__init__(name)
        self._options = options
        self._url = ""

    def _connect(self) -> cv2.VideoCapture:
        self._url = self._url or self._options.read_url()
        self._options.reach()
        # OpenCV's own default; but without it OpenCV 4.11 starts with UDP.
        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_flags;prefer_tcp")
        open_ms = round(self._options.open_timeout_s * 1000)
        read_ms = round(self._options.read_timeout_s * 1000)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, open_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, read_ms]
        capture = cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, [*limits, *one_thread()])
        if not capture.isOpened():
            capture.release()
            problem = f"{self._options.address} answers, but gives no stream"
            remedy = "check the path, the user and the password, and that a player shows it"
            raise DeviceError(problem, remedy)
        return capture

    def _lost(self, waited_s: float) -> DeviceError:
        address = self._options.address
        if waited_s < self._options.read_timeout_s * 0.9:
            return DeviceError(f"{address} ended the stream", "check the camera")
        problem = f"{address} gave no image for {waited_s:.1f} s"
        return DeviceError(problem, "check the camera and its connection")
