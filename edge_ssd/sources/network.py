"""A network camera: RTSP, or a stream over HTTP, through OpenCV's FFmpeg."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import cv2

from edge_ssd.errors import DeviceError
from edge_ssd.sources.opencv import OpenCvCamera

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


class NetworkCamera(OpenCvCamera):
    """The frames of one network stream, BGR; see OpenCvCamera.

    RTSP comes over TCP, or over UDP where the camera refuses that, unless the user gave
    OPENCV_FFMPEG_CAPTURE_OPTIONS a value of its own.

    url: returns it, with user and password if it needs them; it is never shown. Asked for at the
        first opening, whose errors its own are.
    address: what messages call it.
    open_timeout_s, read_timeout_s: how long the camera may take to answer with a first
        picture, and between two pictures.
    """

    def __init__(
        self,
        name: str,
        url: Callable[[], str],
        address: str,
        open_timeout_s: float = 5.0,
        read_timeout_s: float = 5.0,
    ) -> None:
        super().__init__(name)
        self._ask_url = url
        self._url = ""
        self._title = f"{name}: {address}"
        self._open_timeout_s = open_timeout_s
        self._read_timeout_s = read_timeout_s

    def _connect(self) -> cv2.VideoCapture:
        self._url = self._url or self._ask_url()
        self._reach()
        # OpenCV's own default; but without it OpenCV 4.11 begins with UDP.
        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_flags;prefer_tcp")
        capture = cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, self._ffmpeg_parameters())
        if not capture.isOpened():
            capture.release()
            raise DeviceError(
                f"{self._title} answers, but gives no stream",
                "check the path, the user and the password, and that a player shows it",
            )
        return capture

    def _lost(self, waited_s: float) -> DeviceError:
        if waited_s < self._read_timeout_s * 0.9:
            return DeviceError(f"{self._title} ended the stream", "check the camera")
        return DeviceError(
            f"{self._title} gave no picture for {waited_s:.1f} s", "check the camera and network"
        )

    def _reach(self) -> None:
        """Say in words what FFmpeg keeps to itself: why the camera cannot be reached."""
        parts = urlsplit(self._url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        try:
            socket.create_connection((host, port), self._open_timeout_s).close()
        except socket.gaierror:
            raise DeviceError(
                f"{self._title}: the host is not known", "check its name, and the network"
            ) from None
        except TimeoutError:
            raise DeviceError(
                f"{self._title} does not answer",
                "check that the camera is on, and its address",
            ) from None
        except OSError as error:
            raise DeviceError(
                f"{self._title}: {error.strerror}", "check the address, port and network"
            ) from None

    def _ffmpeg_parameters(self) -> list[int]:
        parameters = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            round(self._open_timeout_s * 1000),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            round(self._read_timeout_s * 1000),
        ]
        # One thread: with several FFmpeg holds a picture back for each. OpenCV before 4.7
        # does not know the option.
        threads = getattr(cv2, "CAP_PROP_N_THREADS", None)
        return parameters if threads is None else [*parameters, threads, 1]
