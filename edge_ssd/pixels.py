"""A frame's pixels in another order: interleaved, or BGR as OpenCV has it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ssd.types import Frame, PixelFormat

# OpenCV's YUV conversions are those of BT.601 in video range, as ``Frame.image`` has them.
_TO_RGB = {PixelFormat.YUV420: cv2.COLOR_YUV2RGB_I420, PixelFormat.NV12: cv2.COLOR_YUV2RGB_NV12}


def interleaved(frame: Frame) -> Frame:
    """Return the frame itself where it is RGB or BGR, otherwise its RGB copy of the same size."""
    code = _TO_RGB.get(frame.pixel_format)
    if code is None:
        return frame
    # The padding is converted too, and cut off after: one call, and no copy of the planes.
    # Resizing each plane first would save a quarter of 0.2 ms at 568x320, for even sizes only.
    image = cast("NDArray[np.uint8]", cv2.cvtColor(frame.image, code)[:, : frame.width])
    return replace(frame, image=image, pixel_format=PixelFormat.RGB, size=None)


def bgr(frame: Frame) -> NDArray[np.uint8]:
    """Return a frame's pixels as a contiguous (height, width, 3) uint8 BGR array."""
    frame = interleaved(frame)
    image = frame.image[..., ::-1] if frame.pixel_format is PixelFormat.RGB else frame.image
    return np.ascontiguousarray(image)
