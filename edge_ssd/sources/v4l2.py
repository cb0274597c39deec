"""V4L2's pixel formats to BGR, for cameras whose images OpenCV leaves unconverted."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

_PACKED = {
    "YUYV": cv2.COLOR_YUV2BGR_YUYV,
    "YUY2": cv2.COLOR_YUV2BGR_YUY2,
    "YVYU": cv2.COLOR_YUV2BGR_YVYU,
    "UYVY": cv2.COLOR_YUV2BGR_UYVY,
}
_PLANAR = {
    "NV12": cv2.COLOR_YUV2BGR_NV12,
    "NV21": cv2.COLOR_YUV2BGR_NV21,
    "YU12": cv2.COLOR_YUV2BGR_I420,
    "YV12": cv2.COLOR_YUV2BGR_YV12,
}
_PLAIN = {"GREY": cv2.COLOR_GRAY2BGR, "RGB3": cv2.COLOR_RGB2BGR, "BGR3": None}
_CODES: dict[str, int | None] = {**_PACKED, **_PLANAR, **_PLAIN}
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
    layout = _layout(fourcc, width, height)
    if layout is None or data.size != np.prod(layout):
        raise ValueError(
            f"{data.size} bytes per image of {width}x{height} {fourcc}, an unknown format"
        )
    image, code = data.reshape(layout), _CODES[fourcc]
    return image if code is None else cast("NDArray[np.uint8]", cv2.cvtColor(image, code))


def _layout(fourcc: str, width: int, height: int) -> tuple[int, ...] | None:
    """Return the array shape of an image without padding; None for an unknown format."""
    if fourcc in _PACKED:
        return (height, width, 2)
    if fourcc in _PLANAR:
        return (height * 3 // 2, width)
    if fourcc in _PLAIN:
        return (height, width) if fourcc == "GREY" else (height, width, 3)
    return None
