"""A camera made of numbers: the fake that tests and ``bench`` use, faults on request.

Everything it gives follows from its arguments and the clock it is handed. Each frame carries
its number in its pixels; ``frame_number`` reads it back, so that a test can prove that no
frame was lost, doubled or torn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import DeviceError
from edge_ssd.sources.base import EndOfStream, Source
from edge_ssd.sources.images import read_image
from edge_ssd.types import Frame, PixelFormat

_NUMBER_BITS = 32
_SHAPES_BGR = ((60, 180, 250), (200, 120, 40), (80, 200, 90))

FaultKind = Literal["stall", "drop", "error", "wrong-size"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong at frame ``at_frame``, and each ``every`` frames after it.

    stall: the camera takes no picture for ``duration_s``; this frame and all later ones come
        that much later.
    drop: the frame is lost inside the camera, its number is never seen.
    error: reading it raises DeviceError; for ``duration_s`` more, so do ``open`` and ``read``.
    wrong-size: the frame has twice the width and height.
    """

    kind: FaultKind
    at_frame: int
    duration_s: float = 0.0
    every: int | None = None

    def hits(self, number: int) -> bool:
        """Whether it strikes frame ``number``."""
        since = number - self.at_frame
        return since == 0 or (self.every is not None and since > 0 and since % self.every == 0)


class SyntheticSource(Source):
    """Moving shapes, or pictures in a loop, at a camera's pace; frames are BGR.

    width, height: pixels; at least 32 x 2, which the frame number needs.
    fps: frames per second; None gives each frame as soon as it is asked for.
    frame_limit: the stream ends before this frame number; None never ends.
    live: True behaves as a camera: frame n is taken n periods after ``open`` whether anyone
        reads or not, and a late reader gets the newest one. Numbers count the frames taken,
        so a gap shows what was missed. False never skips: a late reader gets the next frame
        at once, and catches up.
    images: pictures to show in turn, scaled to width x height, instead of shapes.
    clock, wait: monotonic nanoseconds, and ``threading.Event.wait`` or the like; a test
        hands in its own.

    ``close`` from another thread wakes a waiting ``read``, which then returns None. A live
    source that is opened again goes on with the next number and without the stall it was in,
    so that a fault strikes once and no number comes twice; any other starts over.

    Raises ValueError for a size too small, InputError (``open``) for an unreadable picture,
    DeviceError (``open``, ``read``) where a fault says so.
    """

    def __init__(
        self,
        name: str,
        width: int,
        height: int,
        fps: float | None,
        frame_limit: int | None,
        *,
        live: bool,
        images: Sequence[Path] = (),
        faults: Sequence[Fault] = (),
        clock: Callable[[], int] = time.monotonic_ns,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        super().__init__(name)
        if width < _NUMBER_BITS or height < 2:
            raise ValueError(f"a frame of {width}x{height} cannot carry its number in 32 pixels")
        self.live = live
        self._size = (width, height)
        self._period_ns = round(1e9 / fps) if fps else None
        self._frame_limit = frame_limit
        self._images = images
        self._faults = faults
        self._clock = clock
        self._wait = wait
        self._closed = threading.Event()
        self._canvases: list[NDArray[np.uint8]] = []
        self._number = 0
        self._due_ns = 0
        self._broken_until_ns: int | None = None
        self._skipped = 0

    def open(self) -> None:
        """Start the camera: its next frame is due now."""
        self._raise_if_broken()
        if not self._canvases:
            width, height = self._size
            self._canvases = [
                cast("NDArray[np.uint8]", cv2.resize(read_image(path), (width, height)))
                for path in self._images
            ] or [_background(width, height)]
        if not self.live:
            self._number = 0
        self._closed.clear()
        self._due_ns = self._clock()
        if not self._number:
            self._due_ns += self._stall_ns(0)

    def read(self, timeout_s: float) -> Frame | None:
        """Wait for the next frame; None when it is not due in time or ``close`` was called."""
        self._raise_if_broken()
        self._skip_what_is_late()
        if self._frame_limit is not None and self._number >= self._frame_limit:
            raise EndOfStream
        wait_s = (self._due_ns - self._clock()) / 1e9
        woken = self._wait(self._closed, min(wait_s, timeout_s)) if wait_s > 0 else False
        if woken or self._closed.is_set() or wait_s > timeout_s:
            return None
        number, due_ns = self._number, self._due_ns
        self._advance()
        if self._struck("error", number):
            self._break(number)
        return self._frame(number, due_ns)

    def close(self) -> None:
        """Stop the camera and wake whoever waits in ``read``."""
        self._closed.set()

    @property
    def frame_count(self) -> int | None:
        """How many frames the camera will take, ``skipped`` ones included."""
        return self._frame_limit

    @property
    def skipped(self) -> int:
        """Frames the camera took that nobody can read: dropped, or not fetched in time."""
        return self._skipped

    def _skip_what_is_late(self) -> None:
        while self._number != self._frame_limit:
            if not (self._struck("drop", self._number) or self._overtaken()):
                return
            self._skipped += 1
            self._advance()

    def _overtaken(self) -> bool:
        """Whether the camera has taken a newer frame already; an error is never passed over."""
        return (
            self.live
            and self._period_ns is not None
            and self._number + 1 != self._frame_limit
            and self._following_due_ns() <= self._clock()
            and not self._struck("error", self._number)
        )

    def _advance(self) -> None:
        self._due_ns = self._following_due_ns()
        self._number += 1

    def _following_due_ns(self) -> int:
        taken_ns = self._clock() if self._period_ns is None else self._due_ns + self._period_ns
        return taken_ns + self._stall_ns(self._number + 1)

    def _stall_ns(self, number: int) -> int:
        return round(
            1e9 * sum(f.duration_s for f in self._faults if f.kind == "stall" and f.hits(number))
        )

    def _struck(self, kind: FaultKind, number: int) -> bool:
        return any(fault.kind == kind and fault.hits(number) for fault in self._faults)

    def _break(self, number: int) -> None:
        lasting_s = max(f.duration_s for f in self._faults if f.kind == "error" and f.hits(number))
        self._broken_until_ns = self._clock() + round(1e9 * lasting_s)
        raise DeviceError(f"{self.name}: the camera failed at frame {number}", "open it again")

    def _raise_if_broken(self) -> None:
        if self._broken_until_ns is not None and self._clock() < self._broken_until_ns:
            raise DeviceError(f"{self.name}: the camera is still broken", "try again later")

    def _frame(self, number: int, due_ns: int) -> Frame:
        canvas = self._canvases[number % len(self._canvases)]
        if self._struck("wrong-size", number):
            image = np.repeat(np.repeat(canvas, 2, axis=0), 2, axis=1)
        else:
            image = canvas.copy()
        if not self._images:
            _draw_shapes(image, number)
        _write_number(image, number)
        now_ns = self._clock()
        captured_ns = due_ns if self.live and self._period_ns is not None else now_ns
        age = timedelta(microseconds=(now_ns - captured_ns) / 1000)
        captured_at = datetime.now(timezone.utc) - age
        return Frame(image, PixelFormat.BGR, self.name, number, captured_ns, captured_at)


def frame_number(image: NDArray[np.uint8]) -> int:
    """Read the number that a (height, width, 3) synthetic frame carries.

    Raises ValueError when its first and last rows disagree (a torn frame), or it has none.
    """
    first, last = image[0, :_NUMBER_BITS, 0], image[-1, :_NUMBER_BITS, 0]
    if not np.isin(first, (0, 255)).all() or len(first) < _NUMBER_BITS:
        raise ValueError("the picture carries no frame number")
    if not np.array_equal(first, last):
        raise ValueError("the picture is torn: its first and last rows are of different frames")
    return int(np.packbits(first > 0).view(">u4")[0])


def _write_number(image: NDArray[np.uint8], number: int) -> None:
    # Black and white pixels, highest bit first, at both ends so that a torn frame shows.
    bits = np.unpackbits(np.array([number], ">u4").view(np.uint8))
    image[0, :_NUMBER_BITS] = image[-1, :_NUMBER_BITS] = (bits * 255)[:, None]


def _background(width: int, height: int) -> NDArray[np.uint8]:
    """A quiet diagonal gradient."""
    ramp = np.add.outer(np.linspace(40, 110, height), np.linspace(0, 60, width))
    return np.repeat(ramp.astype(np.uint8)[:, :, None], 3, axis=2)


def _draw_shapes(image: NDArray[np.uint8], number: int) -> None:
    """Three discs that cross the picture, each at a speed and height of its own."""
    height, width = image.shape[:2]
    radius = max(2, min(width, height) // 8)
    for index, color_bgr in enumerate(_SHAPES_BGR):
        x = (number * (index + 1) * max(1, width // 160) + index * width // 3) % width
        y = (index + 1) * height // 4
        cv2.circle(image, (x, y), radius, color_bgr, cv2.FILLED)
