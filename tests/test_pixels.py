"""Frames of any layout as OpenCV wants them; YUV is in inference/test_yuv.py."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np

from edge_ssd.pixels import bgr
from edge_ssd.types import Frame, PixelFormat


def test_rgb_and_padded_frames_come_out_as_contiguous_bgr() -> None:
    padded = np.zeros((480, 700, 3), np.uint8)[:, :640]
    padded[...] = (250, 20, 10)  # red first
    when = datetime(2026, 11, 22, tzinfo=timezone.utc)
    image = bgr(Frame(padded, PixelFormat.RGB, "s", 0, 0, when))
    assert image[0, 0].tolist() == [10, 20, 250]
    assert image.flags.c_contiguous
    same = bgr(Frame(padded, PixelFormat.BGR, "s", 0, 0, when))
    assert same[0, 0].tolist() == [250, 20, 10]
