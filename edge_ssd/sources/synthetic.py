"""A synthetic camera: the fake that tests and ``bench`` use, with faults on request.

Everything it gives follows from its options and its clock. Each frame carries its number in its
pixels, so that a test can prove that no frame was lost, doubled or torn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_ssd.errors import DeviceError
from edge_ssd.options import Options
from edge_ssd.sources.base import EndOfStream, Source, SourceOptions, capture_times, naming_option
from edge_ssd.sources.images import IMAGE_EXTENSIONS, list_folder, read_image
from edge_ssd.types import Frame, PixelFormat

_NUMBER_BITS = 32
_SHAPES_BGR = ((60, 180, 250), (200, 120, 40), (80, 200, 90))

FaultKind = Literal["stall", "drop", "error", "wrong-size"]


class FaultOptions(Options):
    """A fault that the synthetic source simulates.

    stall: the camera takes no image for `duration_s`; this frame and all later ones come that
    much later. drop: the frame is lost inside the camera, its number never appears. error:
    reading it fails; for `duration_s` more, so do opening and reading. wrong-size: the frame
    has twice the width and height.
    """

    kind: FaultKind
    """What happens."""
    at_frame: int = Field(ge=0)
    """The number of the frame it happens at."""
    duration_s: float = Field(default=0.0, ge=0, le=1_000_000)
    """How long a stall or an error lasts, in seconds."""
    every: int | None = Field(default=None, ge=1)
    """Repeat after this many frames; null for once."""

    def hits(self, number: int) -> bool:
        """Whether it happens at frame ``number``."""
        since = number - self.at_frame
        return since == 0 or (self.every is not None and since > 0 and since % self.every == 0)


class SyntheticOptions(SourceOptions):
    """A simulated camera: moving shapes, or images in a loop."""

    type: Literal["synthetic"] = "synthetic"
    width: int = Field(default=640, ge=_NUMBER_BITS, le=10000)
    """Pixels; at least 32, which hold the frame's number."""
    height: int = Field(default=480, ge=2, le=10000)
    """Pixels."""
    fps: float | None = Field(default=30.0, ge=0.001, le=1_000_000)
    """Frames per second; null for each frame as soon as it is asked for."""
    frame_limit: int | None = Field(default=None, ge=1)
    """End after this many frames; null for never."""
    live: bool = True
    """Behave as a camera: frames not taken in time are lost; false for a recording."""
    images: Path | None = None
    """Show the images of this folder in turn, scaled, instead of shapes."""
    faults: tuple[FaultOptions, ...] = ()
    """Faults to simulate, for tests."""

    def make(self, name: str) -> SyntheticSource:
        if self.images:
            with naming_option("images"):
                list_folder(self.images, IMAGE_EXTENSIONS)
        return SyntheticSource(name, self)


class SyntheticSource(Source):
    """Moving shapes, or images in a loop, at a camera's pace; frames are BGR.

    A live one takes frame n n periods after ``open``, and a late reader gets the newest: numbers
    count the frames taken, so a gap shows what was missed. One that is not live never skips.
    ``close`` from another thread wakes a waiting ``read``, which then returns None. A live
    source that is opened again continues with the next number and without the stall it was in,
    so that a fault happens once and no number comes twice; any other starts over.

    skipped: frames that were dropped in the camera, or not fetched in time.
    clock, wait: monotonic nanoseconds, and ``threading.Event.wait``; tests pass their own.
    Raises InputError (``open``) for an unreadable image, DeviceError (``open``, ``read``) where
    a fault says so.
    """

    def __init__(
        self,
        name: str,
        options: SyntheticOptions,
        clock: Callable[[], int] = time.monotonic_ns,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        super().__init__(name)
        self.live = options.live
        self._options = options
        self._period_ns = round(1e9 / options.fps) if options.fps else None
        self._clock = clock
        self._wait = wait
        self._closed = threading.Event()
        self._canvases: list[NDArray[np.uint8]] = []
        self._number = 0
        self._due_ns = 0
        self._broken_until_ns: int | None = None
        self.skipped = 0

    def open(self) -> None:
        self._raise_if_broken()
        if not self._canvases:
            self._canvases = self._make_canvases()
        if not self.live:
            self._number = 0
        self._closed.clear()
        self._due_ns = self._clock()
        if not self._number:
            self._due_ns += self._stall_ns(0)

    def read(self, timeout_s: float) -> Frame | None:
        self._raise_if_broken()
        self._skip_what_is_late()
        if self.frame_count is not None and self._number >= self.frame_count:
            raise EndOfStream
        wait_s = (self._due_ns - self._clock()) / 1e9
        if wait_s > 0:
            self._wait(self._closed, min(wait_s, timeout_s))
        if self._closed.is_set() or wait_s > timeout_s:
            return None
        number, due_ns = self._number, self._due_ns
        self._advance()
        if errors := self._hits("error", number):
            lasting_s = max(fault.duration_s for fault in errors)
            self._broken_until_ns = self._clock() + round(1e9 * lasting_s)
            raise DeviceError(f"{self.name}: the camera failed at frame {number}", "open it again")
        return self._frame(number, due_ns)

    def close(self) -> None:
        self._closed.set()

    @property
    def frame_count(self) -> int | None:
        """How many frames the camera will take, ``skipped`` ones included."""
        return self._options.frame_limit

    def _make_canvases(self) -> list[NDArray[np.uint8]]:
        folder, width, height = self._options.images, self._options.width, self._options.height
        if folder is None:  # a dark diagonal gradient
            ramp = np.add.outer(np.linspace(40, 110, height), np.linspace(0, 60, width))
            return [np.repeat(ramp.astype(np.uint8)[:, :, None], 3, axis=2)]
        images = map(read_image, list_folder(folder, IMAGE_EXTENSIONS))
        return [cast("NDArray[np.uint8]", cv2.resize(image, (width, height))) for image in images]

    def _skip_what_is_late(self) -> None:
        while self._number != self.frame_count and (
            self._hits("drop", self._number) or self._overtaken()
        ):
            self.skipped += 1
            self._advance()

    def _overtaken(self) -> bool:
        """Whether the camera has taken a newer frame already; an error is never skipped."""
        return (
            self.live
            and self._period_ns is not None
            and self._number + 1 != self.frame_count
            and self._following_due_ns() <= self._clock()
            and not self._hits("error", self._number)
        )

    def _advance(self) -> None:
        self._due_ns = self._following_due_ns()
        self._number += 1

    def _following_due_ns(self) -> int:
        taken_ns = self._clock() if self._period_ns is None else self._due_ns + self._period_ns
        return taken_ns + self._stall_ns(self._number + 1)

    def _stall_ns(self, number: int) -> int:
        return round(1e9 * sum(fault.duration_s for fault in self._hits("stall", number)))

    def _hits(self, kind: FaultKind, number: int) -> list[FaultOptions]:
        return [each for each in self._options.faults if each.kind == kind and each.hits(number)]

    def _raise_if_broken(self) -> None:
        if self._broken_until_ns is not None and self._clock() < self._broken_until_ns:
            raise DeviceError(f"{self.name}: the camera is still broken", "try again later")

    def _frame(self, number: int, due_ns: int) -> Frame:
        canvas = self._canvases[number % len(self._canvases)]
        doubled = self._hits("wrong-size", number)
        image = canvas.repeat(2, axis=0).repeat(2, axis=1) if doubled else canvas.copy()
        if self._options.images is None:
            _draw_shapes(image, number)
        # Black and white pixels, highest bit first, at both ends so that a torn frame shows.
        bits = np.unpackbits(np.array([number], ">u4").view(np.uint8))
        image[0, :_NUMBER_BITS] = image[-1, :_NUMBER_BITS] = (bits * 255)[:, None]
        paced = self.live and self._period_ns is not None
        times = capture_times(due_ns if paced else None, self._clock)
        return Frame(image, PixelFormat.BGR, self.name, number, *times)


def _draw_shapes(image: NDArray[np.uint8], number: int) -> None:
    """Draw three discs that cross the image, each at its own speed and height."""
    height, width = image.shape[:2]
    radius = max(2, min(width, height) // 8)
    for index, color_bgr in enumerate(_SHAPES_BGR):
        x = (number * (index + 1) * max(1, width // 160) + index * width // 3) % width
        y = (index + 1) * height // 4
        cv2.circle(image, (x, y), radius, color_bgr, cv2.FILLED)
