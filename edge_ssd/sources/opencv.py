"""A live camera through OpenCV, whose calls may block: a thread of its own reads it."""

from __future__ import annotations

import itertools
import threading
import time
from abc import abstractmethod
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ssd.channels import Channel, Closed
from edge_ssd.errors import DeviceError
from edge_ssd.sources.base import Source, capture_times
from edge_ssd.sources.quiet import quiet_opencv
from edge_ssd.types import Frame, PixelFormat

Image = NDArray[np.uint8]

# Together less than the two seconds that a stop of the service may take.
_OPEN_WAIT_S = 1.0
_CLOSE_WAIT_S = 0.5


class OpenCvCamera(Source):
    """Frames of a camera, BGR; the newest wins, so that no latency builds up.

    Each ``open`` starts a thread, which alone touches the ``cv2.VideoCapture``: it takes every
    frame as it arrives and keeps the last. Numbers count the frames that arrived, through
    every ``open``; a gap shows frames that nobody fetched in time. The capture time is that of
    arrival.

    ``open`` waits a second at most: what fails within it is raised there, what takes longer
    is raised by ``read``. ``close`` waits half a second at most; a driver that blocks longer
    keeps its camera until its own timeout, and ``open`` refuses until then.

    Both raise DeviceError; subclasses leave the camera's name out of theirs.
    """

    live = True

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._numbers = itertools.count()
        self._frames = Channel[Frame](1, lossy=True)
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Start the reading thread; see the class for what is raised."""
        quiet_opencv()
        if self._thread is not None and self._thread.is_alive():
            raise DeviceError(
                f"{self.name}: the driver is still blocked in the last connection to the camera",
                "switch the camera off and on, or restart the service",
            )
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
        """Return the newest frame not read yet; see the class for what is raised."""
        try:
            return self._frames.get(timeout_s)
        except Closed:
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
        """Return why there are no more images, after waiting so long for the next."""

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
                    frame = self._next(capture)
                    if frame is not None:
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
        captured_ns, captured_at = capture_times()
        image = self._image(capture)
        if image is None:
            return None
        number = next(self._numbers)
        return Frame(image, PixelFormat.BGR, self.name, number, captured_ns, captured_at)
