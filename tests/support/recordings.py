"""Recorded input that tests write themselves."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

SIZE = (64, 48)


def make_video(path: Path, count: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE)
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write videos")
    for _ in range(count):
        writer.write(np.zeros((*SIZE[::-1], 3), np.uint8))
    writer.release()
    return path
