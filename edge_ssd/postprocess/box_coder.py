"""Box encodings to boxes: the Faster R-CNN box coder that all SSDs of TensorFlow use."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ssd.boxes import Boxes
from edge_ssd.models.spec import BoxCoderScales


def decode(encodings: Boxes, anchors_cyxhw: Boxes, scales: BoxCoderScales) -> Boxes:
    """Decode (K, 4) float32 encodings ty, tx, th, tw against (K, 4) anchors: (K, 4) corners.

    ycenter = ty / y_scale * ha + ya, h = exp(th / h_scale) * ha, likewise for x and w; the
    corners are the centre minus and plus half the size. Source: TensorFlow object detection,
    ``faster_rcnn_box_coder.py``. Computed in float64 and rounded where TFLite's
    ``detection_postprocess.cc`` rounds, which gives its boxes to the bit. Encodings beyond
    what float32 can hold give infinite boxes.
    """
    divisors = np.array([scales.y, scales.x, scales.h, scales.w], np.float32)
    anchor_centers, anchor_sizes = anchors_cyxhw[:, :2], anchors_cyxhw[:, 2:]
    scaled = encodings.astype(np.float64) / divisors
    with np.errstate(over="ignore", invalid="ignore"):
        center = (scaled[:, :2] * anchor_sizes + anchor_centers).astype(np.float32)
        half = (0.5 * np.exp(scaled[:, 2:]) * anchor_sizes).astype(np.float32)
        return np.concatenate([center - half, center + half], axis=1)


def dequantize(values: NDArray[Any], scale: float, zero_point: int) -> Boxes:
    """Return ``(values - zero_point) * scale`` as float32."""
    if values.dtype == np.float32:
        return values
    real: Boxes = (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return real
