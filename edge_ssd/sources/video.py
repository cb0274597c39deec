"""A recorded video: every frame, in order, none lost."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import InputError
from edge_ssd.sources.base import EndOfStream, Source, capture_times
from edge_ssd.sources.images import missing, unreadable
from edge_ssd.sources.quiet import quiet_opencv
from edge_ssd.types import Frame, PixelFormat

VIDEO_EXTENSIONS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm")

# The header's length is only believed to be wrong when more than this share is missing.
_MISSING_SHARE = 0.1

_logger = logging.getLogger(__name__)


class VideoSource(Source):
    """The frames of one video file, BGR, with ``path`` and ``position_s`` set.

    They are turned upright as the file says (OpenCV 4.6 alone turns them the wrong way).
    Capture times are those of reading. A video that breaks off ends there, with one warning.

    loop: start over after the last frame, for ever; frame numbers go on counting.

    ``open`` raises InputError when the file is missing, is no video, or not one frame can be
    decoded.
    """

    live = False

    def __init__(self, name: str, path: Path, loop: bool = False) -> None:
        super().__init__(name)
        self._path = path
        self._loop = loop
        self._capture: cv2.VideoCapture | None = None
        self._first: NDArray[np.uint8] | None = None
        self._number = 0
        self._position_ms = 0.0
        self._warned = False

    def open(self) -> None:
        """Open the file and decode its first frame; see the class for what is raised."""
        quiet_opencv()
        self._number = 0
        self._rewind()

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame; the timeout is not needed, files never stall for long."""
        image = self._decode()
        if image is None:
            self._warn_if_broken_off()
            if not self._loop:
                raise EndOfStream
            self._rewind()
            image = self._decode()
        if image is None:
            raise EndOfStream
        number, self._number = self._number, self._number + 1
        return Frame(
            image, PixelFormat.BGR, self.name, number, *capture_times(), str(self._path),
            position_s=self._position_ms / 1000,
        )  # fmt: skip

    def close(self) -> None:
        """Close the file."""
        if self._capture is not None:
            self._capture.release()
        self._capture = self._first = None

    @property
    def frame_count(self) -> int | None:
        """What the file's header says, where that is plausible; None when looping."""
        if self._capture is None or self._loop:
            return None
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return int(count) if 0 < count < 2**31 else None

    def _rewind(self) -> None:
        # Opening again is exact; seeking to 0 is not, in every container.
        self.close()
        try:
            self._path.open("rb").close()
        except FileNotFoundError as error:
            raise missing(self._path) from error
        except OSError as error:
            raise unreadable(self._path, error) from error
        # Absolute, or FFmpeg takes what stands before a colon for a protocol.
        self._capture = cv2.VideoCapture(
            str(self._path.absolute()), cv2.CAP_FFMPEG, _decoder_options()
        )
        # OpenCV 4.11, the last one for numpy 1, leaves it off.
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self._first = self._decode()
        if self._first is None:
            self.close()
            raise InputError(
                f"{self._path}: no frame could be decoded",
                "check that it plays, and is a video this OpenCV knows (H.264 in .mp4 is safe)",
            )

    def _decode(self) -> NDArray[np.uint8] | None:
        image, self._first = self._first, None
        if image is None and self._capture is not None:
            decoded, picture = self._capture.read()
            if decoded:
                image = cast("NDArray[np.uint8]", picture)
                self._position_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        return image

    def _warn_if_broken_off(self) -> None:
        # OpenCV ends a damaged video as it ends a whole one. Compared by time, because where
        # the header has no frame count OpenCV computes one from the duration.
        if self._capture is None or self._warned:
            return
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        if not (count > 0 and fps > 0):
            return
        duration_s, reached_s = count / fps, self._position_ms / 1000 + 1 / fps
        if reached_s < (1 - _MISSING_SHARE) * duration_s:
            self._warned = True
            problem = f"breaks off after {reached_s:.1f} of {duration_s:.1f} seconds"
            _logger.warning("%s: the video %s", self._path, problem)


def _decoder_options() -> list[int]:
    # One thread: FFmpeg's default of one per core takes cores from inference and a fifth
    # more processor time a frame. OpenCV before 4.7 does not know the option.
    threads = getattr(cv2, "CAP_PROP_N_THREADS", None)
    return [] if threads is None else [threads, 1]
