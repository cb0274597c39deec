"""Box layouts and what can be computed of boxes alone.

``_yxyx``: corners ymin, xmin, ymax, xmax. ``_cyxhw``: ycenter, xcenter, height, width.
Both are normalised to 0-1 unless a name has ``pixels``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def clip_yxyx(boxes_yxyx: Boxes) -> Boxes:
    """(..., 4) corners limited to the unit square."""
    return np.clip(boxes_yxyx, np.float32(0), np.float32(1))


def area_yxyx(boxes_yxyx: Boxes) -> Boxes:
    """(...,) height x width of (..., 4) corners; negative when one side is turned round."""
    sides = boxes_yxyx[..., 2:] - boxes_yxyx[..., :2]
    area: Boxes = sides[..., 0] * sides[..., 1]
    return area


def iou_yxyx(boxes_a_yxyx: Boxes, boxes_b_yxyx: Boxes) -> Boxes:
    """Intersection over union of every a with every b: (A, 4), (B, 4) to (A, B) float32.

    As TFLite's detection_postprocess.cc (ComputeIntersectionOverUnion) has it: float32
    throughout, and 0 where either box has no area.
    """
    a, b = boxes_a_yxyx[:, None, :], boxes_b_yxyx[None, :, :]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., 2:], b[..., 2:])
    side = np.maximum(high - low, np.float32(0))
    intersection = side[..., 0] * side[..., 1]
    area_a, area_b = area_yxyx(boxes_a_yxyx)[:, None], area_yxyx(boxes_b_yxyx)[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        iou = intersection / (area_a + area_b - intersection)
    solid: Boxes = np.where((area_a > 0) & (area_b > 0), iou, np.float32(0))
    return solid
