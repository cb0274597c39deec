"""Annotated videos: .mp4 files that browsers play, without sound."""

from __future__ import annotations

import errno
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import PublishError
from edge_ssd.files import naming, replacing
from edge_ssd.sources.quiet import quiet_opencv

_DEFAULT_FPS = 25.0
_PLAUSIBLE_FPS = 240.0  # more is the clock of a file whose frames come at varying intervals


class AnnotatedVideo:
    """A video file, which appears under its name when it is closed.

    Closed early, by an interrupt, it holds the frames written until then. A process that is
    killed leaves no file of that name.

    path: ends in .mp4.
    width, height: pixels; an odd one becomes even, as the encoders need it.
    fps: frames per second, positive.

    Raises PublishError when the file cannot be written or OpenCV has no encoder for it.
    """

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        self._path = path
        self._size = (width + width % 2, height + height % 2)
        self._count = 0
        with ExitStack() as files:
            with naming(path):
                self._part = files.enter_context(replacing(path))
                self._part.touch()
            self._writer = _writer(self._part, self._size, fps)
            if not self._writer.isOpened():
                raise PublishError(
                    f"{path}: this OpenCV encodes neither H.264 nor VP9",
                    "install opencv-python-headless, or python3-opencv of Debian",
                )
            self._files = files.pop_all()

    def write(self, image_bgr: NDArray[np.uint8]) -> None:
        """Append a frame, (height, width, 3) uint8 BGR; one of another size is scaled."""
        if image_bgr.shape[1::-1] != self._size:
            image_bgr = cv2.resize(image_bgr, self._size).astype(np.uint8, copy=False)
        self._writer.write(image_bgr)
        self._count += 1

    def close(self) -> None:
        """Finish the file.

        Raises PublishError, and removes the file, when a frame is missing from it or it has none.
        """
        self._writer.release()
        with naming(self._path), self._files:
            # OpenCV does not report that it could not write.
            saved = int(_property(self._part, cv2.CAP_PROP_FRAME_COUNT))
            if not self._count or saved != self._count:
                raise OSError(errno.EIO, "frames are missing, as on a full disk")


def frame_rate(path: Path) -> float:
    """Return the frames per second that a video file states; 25 for none or an implausible one."""
    quiet_opencv()
    fps = _property(path, cv2.CAP_PROP_FPS)
    return fps if 0 < fps <= _PLAUSIBLE_FPS else _DEFAULT_FPS


def _property(path: Path, number: int) -> float:
    return float(cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG).get(number))


def _writer(path: Path, size: tuple[int, int], fps: float) -> cv2.VideoWriter:
    """Return a writer, closed where OpenCV has no encoder that works."""
    quiet_opencv()
    # x264 is ten times as fast as VP9. Without it, "avc1" would be the board's own encoder
    # (V4L2 M2M), which is known to crash programs.
    has_x264 = "libx264" in Path("/proc/self/maps").read_text("utf-8")
    for name in ("avc1", "vp09") if has_x264 else ("vp09",):
        encoder = cv2.VideoWriter.fourcc(*name)
        writer = cv2.VideoWriter(str(path.absolute()), cv2.CAP_FFMPEG, encoder, fps, size)
        if writer.isOpened():
            break
    return writer
