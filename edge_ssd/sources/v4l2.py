"""V4L2's pixel formats to BGR, for cameras whose images OpenCV leaves unconverted."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

# OpenCV's conversion to BGR, rows of bytes per two rows of pixels, and bytes per pixel in a row.
_FORMATS: dict[str, tuple[int | None, int, int]] = {
    "YUYV": (cv2.COLOR_YUV2BGR_YUYV, 2, 2),
    "YUY2": (cv2.COLOR_YUV2BGR_YUY2, 2, 2),
    "YVYU": (cv2.COLOR_YUV2BGR_YVYU, 2, 2),
    "UYVY": (cv2.COLOR_YUV2BGR_UYVY, 2, 2),
    "NV12": (cv2.COLOR_YUV2BGR_NV12, 3, 1),
    "NV21": (cv2.COLOR_YUV2BGR_NV21, 3, 1),
    "YU12": (cv2.COLOR_YUV2BGR_I420, 3, 1),
    "YV12": (cv2.COLOR_YUV2BGR_YV12, 3, 1),
    "GREY": (cv2.COLOR_GRAY2BGR, 2, 1),
    "RGB3": (cv2.COLOR_RGB2BGR, 2, 3),
    "BGR3": (None, 2, 3),
}
_JPEG = ("MJPG", "JPEG")

CONVERTED = {
    "YUYV", "UYVY", "NV12", "NV21", "YU12", "YV12", "411P", *_JPEG, "RGB3", "BGR3", "GREY",
    "Y10", "Y16", "BA81", "GBRG", "S910",
}  # fmt: skip
"""What OpenCV 4.6 to 5 converts to BGR; it may give other formats the shape of BGR."""
if int(cv2.__version__.split(".")[0]) >= 5:
    CONVERTED |= {"GRBG", "RGGB", "XR24", "AR24", "Y12"}


def to_bgr(raw: NDArray[Any], fourcc: str, width: int, height: int) -> NDArray[np.uint8] | None:
    """Return one image as (height, width, 3) uint8 BGR; None for a damaged JPEG.

    raw: what OpenCV gave: (height, width, 3), which is BGR for the formats in CONVERTED, or the
        camera's bytes in any shape.
    fourcc, width, height: what the camera reports to send.

    Raises ValueError, with what came, for data in an unknown format.
    """
    if raw.dtype != np.uint8:
        raise ValueError(f"{raw.dtype} numbers of shape {raw.shape}, an unknown format")
    if raw.ndim == 3 and raw.shape[2] == 3 and fourcc in CONVERTED:
        return cast("NDArray[np.uint8]", raw)
    data = np.ascontiguousarray(raw).reshape(-1)
    if fourcc in _JPEG:
        return cast("NDArray[np.uint8] | None", cv2.imdecode(data, cv2.IMREAD_COLOR))
    code, rows, pixel_bytes = _FORMATS.get(fourcc, (None, 0, 0))
    shape = (height * rows // 2, width, pixel_bytes)
    if fourcc not in _FORMATS or data.size != np.prod(shape):
        raise ValueError(
            f"{data.size} bytes per image of {width}x{height} {fourcc}, an unknown format"
        )
    image = data.reshape(shape)
    return image if code is None else cast("NDArray[np.uint8]", cv2.cvtColor(image, code))
