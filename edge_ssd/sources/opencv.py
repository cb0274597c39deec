"""OpenCV's settings, and a live camera through it, read by a thread because calls may block."""

from __future__ import annotations

import itertools
import os
import threading
import time
from abc import abstractmethod
from contextlib import suppress
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ssd.channels import Channel, Closed
from edge_ssd.errors import DeviceError
from edge_ssd.sources.base import Source, capture_times
from edge_ssd.types import Frame, PixelFormat

Image = NDArray[np.uint8]

# Together less than the two seconds that a stop of the service may take.
_OPEN_WAIT_S = 1.0
_CLOSE_WAIT_S = 0.5


def quiet_opencv() -> None:
    """Silence OpenCV's log and its FFmpeg for the whole process; cheap, may be called often.

    Sources report a broken file themselves, in one line. A value the user gave to
    OPENCV_LOG_LEVEL or OPENCV_FFMPEG_LOGLEVEL is left alone. What libjpeg and libpng print of a
    damaged (not a truncated) image cannot be suppressed.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if "OPENCV_LOG_LEVEL" not in os.environ:
        # The function moved between OpenCV 4 and 5.
        utils: Any = cv2.utils
        (cv2 if hasattr(cv2, "setLogLevel") else utils.logging).setLogLevel(0)


def one_thread() -> list[int]:
    """Return the parameters of ``cv2.VideoCapture`` that let FFmpeg decode in one thread.

    Its default of one thread per core takes cores from inference, a fifth more CPU time per frame,
    and delays one image per thread. OpenCV before 4.7 does not know the parameter.
    """
    threads = getattr(cv2, "CAP_PROP_N_THREADS", None)
    return [] if threads is None else [threads, 1]


class OpenCvCamera(Source):
    """Frames of a camera, BGR; only the newest is kept, so that no latency builds up.

    Each ``open`` starts a thread, which alone uses the ``cv2.VideoCapture``. Numbers count the
    frames that arrived, through every ``open``; a gap shows frames that were not fetched in
    time. The capture time is that of arrival.

    ``open`` waits a second at most; ``read`` raises what fails later. ``close`` waits half a
    second at most; a driver that blocks longer keeps its camera until its own timeout, and
    ``open`` refuses until then. Both raise DeviceError; subclasses leave the camera's name out.
    """

    live = True

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._numbers = itertools.count()
        self._frames = Channel[Frame](1, lossy=True)
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        quiet_opencv()
        if self._thread is not None and self._thread.is_alive():
            blocked = "the driver is still blocked in the last connection to the camera"
            remedy = "switch the camera off and on, or restart the service"
            raise DeviceError(f"{self.name}: {blocked}", remedy)
        self._frames = frames = Channel[Frame](1, lossy=True)
        settled = threading.Event()
        self._thread = threading.Thread(
            target=self._read_on, args=(frames, settled), name=f"{self.name} reader", daemon=True
        )
        self._thread.start()
        settled.wait(_OPEN_WAIT_S)
        if frames.drained:
            self.close()
            frames.get(0)  # raises what ended the thread

    def read(self, timeout_s: float) -> Frame | None:
        with suppress(Closed):
            return self._frames.get(timeout_s)
        return None

    def close(self) -> None:
        """Stop the reading thread, which then releases the camera."""
        self._frames.close()
        if self._thread is not None:
            self._thread.join(_CLOSE_WAIT_S)

    @abstractmethod
    def _connect(self) -> cv2.VideoCapture:
        """Return the opened capture; may block. Raises DeviceError."""

    @abstractmethod
    def _lost(self, waited_s: float) -> DeviceError:
        """Return why there are no more images, after ``waited_s`` seconds for the next."""

    def _image(self, capture: cv2.VideoCapture) -> Image | None:
        """Return the grabbed image, (height, width, 3) BGR; None for one that is damaged."""
        decoded, image = capture.retrieve()
        return cast("Image", image) if decoded else None

    def _read_on(self, frames: Channel[Frame], settled: threading.Event) -> None:
        """Run in the thread: connect, then hand over frames until ``frames`` is closed."""
        try:
            capture = self._connect()
            try:
                settled.set()
                while not frames.closed:
                    if frame := self._next(capture):
                        frames.put(frame)
            finally:
                capture.release()
        except Closed:
            pass
        except DeviceError as error:
            frames.close(DeviceError(f"{self.name}: {error.problem}", error.remedy))
        except BaseException as error:  # whatever it is, the capture thread must see it
            frames.close(error)
        finally:
            settled.set()

    def _next(self, capture: cv2.VideoCapture) -> Frame | None:
        begun_s = time.monotonic()
        if not capture.grab():
            raise self._lost(time.monotonic() - begun_s)
        times = capture_times()
        image = self._image(capture)
        if image is None:
            return None
        return Frame(image, PixelFormat.BGR, self.name, next(self._numbers), *times)
