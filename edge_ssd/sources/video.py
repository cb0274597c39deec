"""A recorded video: every frame, in order, none lost."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path
from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import InputError
from edge_ssd.sources.base import EndOfStream, Source, SourceOptions, capture_times, naming_option
from edge_ssd.sources.images import check_readable, is_folder
from edge_ssd.sources.opencv import one_thread, quiet_opencv
from edge_ssd.types import Frame, PixelFormat

VIDEO_EXTENSIONS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm")

# The header's length is only believed to be wrong when more than this share is missing.
_MISSING_SHARE = 0.1

log = logging.getLogger(__name__)


class VideoOptions(SourceOptions):
    """A recorded video; every frame is used, in order, as fast as inference goes."""

    type: Literal["video"] = "video"
    path: Path
    """The video file."""
    loop: bool = False
    """Start again after the last frame; frame numbers keep counting."""

    def make(self, name: str) -> VideoSource:
        with naming_option("path"):
            _check_file(self.path)
        return VideoSource(name, self)


class VideoSource(Source):
    """The frames of one video file, BGR, with ``path`` and ``position_s`` set.

    They are turned upright as the file says (OpenCV 4.6 alone turns them the wrong way).
    Capture times are those of reading. A video that breaks off ends there, with one warning.
    ``open`` raises InputError when the file is missing, is no video, or not one frame can be
    decoded.
    """

    live = False

    def __init__(self, name: str, options: VideoOptions) -> None:
        super().__init__(name)
        self._path, self._loop = options.path, options.loop
        self._capture: cv2.VideoCapture | None = None
        self._first: NDArray[np.uint8] | None = None
        self._numbers = itertools.count()
        self._position_ms = 0.0
        self._warned = False

    def open(self) -> None:
        quiet_opencv()
        self._numbers = itertools.count()
        self._rewind()

    def read(self, timeout_s: float) -> Frame | None:
        image = self._decode()
        if image is None:
            self._warn_if_broken_off()
            if self._loop:
                self._rewind()
                image = self._decode()
        if image is None:
            raise EndOfStream
        number, path = next(self._numbers), str(self._path)
        times, position_s = capture_times(), self._position_ms / 1000
        return Frame(image, PixelFormat.BGR, self.name, number, *times, path, position_s=position_s)

    def close(self) -> None:
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
        _check_file(self._path)
        # Absolute, or FFmpeg takes what stands before a colon for a protocol.
        self._capture = cv2.VideoCapture(str(self._path.absolute()), cv2.CAP_FFMPEG, one_thread())
        # OpenCV 4.11, the last one for numpy 1, leaves it off.
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self._first = self._decode()
        if self._first is None:
            self.close()
            remedy = "check that it plays, and is a video this OpenCV knows (H.264 in .mp4 is safe)"
            raise InputError(f"{self._path}: no frame could be decoded", remedy)

    def _decode(self) -> NDArray[np.uint8] | None:
        image, self._first = self._first, None
        if image is None and self._capture is not None:
            decoded, read = self._capture.read()
            if decoded:
                image = cast("NDArray[np.uint8]", read)
                self._position_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        return image

    def _warn_if_broken_off(self) -> None:
        # OpenCV ends a damaged video as it ends a whole one. Compared by time, because where
        # the header has no frame count OpenCV computes one from the duration.
        if self._capture is None or self._warned:
            return
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        if count <= 0 or fps <= 0:
            return
        duration_s, reached_s = count / fps, self._position_ms / 1000 + 1 / fps
        if reached_s < (1 - _MISSING_SHARE) * duration_s:
            self._warned = True
            problem = f"breaks off after {reached_s:.1f} of {duration_s:.1f} seconds"
            log.warning("%s: the video %s", self._path, problem)


def _check_file(path: Path) -> None:
    check_readable(path)
    if is_folder(path):
        raise InputError(f"{path} is a folder", "name the video in it")
