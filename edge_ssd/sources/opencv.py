"""A live camera behind OpenCV, whose calls may block: a thread of its own reads it."""

from __future__ import annotations

import itertools
import threading
import time
from abc import abstractmethod
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

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
    is raised by ``read``. ``close`` waits half a second at most; a driver that hangs longer
    keeps its camera until its own time-out, and ``open`` refuses until then.

    Both raise DeviceError.
    """

    live = True

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._numbers = itertools.count()
        self._slot = _Slot()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Start the reading thread; see the class for what is raised."""
        quiet_opencv()
        if self._thread is not None and self._thread.is_alive():
            raise DeviceError(
                f"{self.name}: the driver still hangs in the last connection to the camera",
                "switch the camera off and on, or restart the service",
            )
        self._slot = slot = _Slot()
        self._thread = threading.Thread(
            target=self._read_on, args=(slot,), name=f"{self.name} reader", daemon=True
        )
        self._thread.start()
        try:
            slot.wait_until_open(_OPEN_WAIT_S)
        except BaseException:
            self.close()
            raise

    def read(self, timeout_s: float) -> Frame | None:
        """Return the newest frame not read yet; see the class for what is raised."""
        return self._slot.take(timeout_s)

    def close(self) -> None:
        """Stop the reading thread, which then releases the camera."""
        self._slot.stop()
        if self._thread is not None:
            self._thread.join(_CLOSE_WAIT_S)

    @abstractmethod
    def _connect(self) -> cv2.VideoCapture:
        """Return the opened capture; may block. Raises DeviceError."""

    @abstractmethod
    def _lost(self, waited_s: float) -> DeviceError:
        """Say why there are no more pictures, after waiting so long for the last."""

    def _picture(self, capture: cv2.VideoCapture) -> Image | None:
        """Return the grabbed picture, (height, width, 3) BGR; None for one that is damaged."""
        decoded, image = capture.retrieve()
        return cast("Image", image) if decoded else None

    def _read_on(self, slot: _Slot) -> None:
        """Run in the thread: connect, then keep the slot filled until told to stop."""
        try:
            capture = self._connect()
            try:
                slot.opened()
                while not slot.stopping:
                    slot.put(self._next(capture))
            finally:
                capture.release()
        except BaseException as error:  # whatever it is, the capture thread must see it
            slot.fail(error)

    def _next(self, capture: cv2.VideoCapture) -> Frame | None:
        begun_s = time.monotonic()
        if not capture.grab():
            raise self._lost(time.monotonic() - begun_s)
        captured_ns, captured_at = capture_times()
        image = self._picture(capture)
        if image is None:
            return None
        number = next(self._numbers)
        return Frame(image, PixelFormat.BGR, self.name, number, captured_ns, captured_at)


class _Slot:
    """Where the reading thread leaves the newest frame, or the error that ended it."""

    def __init__(self) -> None:
        self.stopping = False
        self._changed = threading.Condition()
        self._opened = False
        self._frame: Frame | None = None
        self._error: BaseException | None = None

    def opened(self) -> None:
        with self._changed:
            self._opened = True
            self._changed.notify_all()

    def put(self, frame: Frame | None) -> None:
        with self._changed:
            self._frame = frame or self._frame
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self.stopping = True
            self._changed.notify_all()

    def wait_until_open(self, timeout_s: float) -> None:
        """Wait until it is open or the time is over. Raises the error that prevented it."""
        with self._changed:
            self._changed.wait_for(lambda: self._opened or self._error, timeout_s)
            if self._error is not None and not self._opened:
                raise self._error

    def take(self, timeout_s: float) -> Frame | None:
        """Return the newest frame, or None when none came in time. Raises the thread's error."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame or self._error or self.stopping, timeout_s)
            frame, self._frame = self._frame, None
            if frame is None and self._error is not None:
                raise self._error
            return frame
