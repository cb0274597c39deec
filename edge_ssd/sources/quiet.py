"""Silence OpenCV's output on stderr: a source reports a broken file itself, in one line."""

from __future__ import annotations

import os
from typing import Any

import cv2

_SILENT = 0


def quiet_opencv() -> None:
    """Silence OpenCV's log and its FFmpeg for the whole process; cheap, may be called often.

    A value the user gave to OPENCV_LOG_LEVEL or OPENCV_FFMPEG_LOGLEVEL is left alone. What
    libjpeg and libpng print of a damaged (not a truncated) image cannot be suppressed.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if "OPENCV_LOG_LEVEL" not in os.environ:
        # The function moved between OpenCV 4 and 5.
        utils: Any = cv2.utils
        (cv2 if hasattr(cv2, "setLogLevel") else utils.logging).setLogLevel(_SILENT)


def one_thread() -> list[int]:
    """Return the parameters of ``cv2.VideoCapture`` that let FFmpeg decode in one thread.

    Its default of one thread per core takes cores from inference, a fifth more CPU time per frame,
    and delays one image per thread. OpenCV before 4.7 does not know the parameter.
    """
    threads = getattr(cv2, "CAP_PROP_N_THREADS", None)
    return [] if threads is None else [threads, 1]
