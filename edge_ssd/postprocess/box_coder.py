"""Box encodings to boxes: the Faster R-CNN box coder that all SSDs of TensorFlow use."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ssd.boxes import Boxes
from edge_ssd.models.spec import BoxCoderScales
from edge_ssd.types import QuantizedTensor

_COLUMNS = np.arange(4)


class BoxDecoder:
    """Decodes box encodings ty, tx, th, tw against the anchors they belong to.

    ycenter = ty / y_scale * ha + ya, h = exp(th / h_scale) * ha, likewise for x and w; the
    corners are the centre minus and plus half the size. Source: TensorFlow object detection,
    ``faster_rcnn_box_coder.py``. Computed in float64 and rounded where TFLite's
    ``detection_postprocess.cc`` rounds, which gives its boxes to the bit. Encodings beyond
    what float32 can hold give infinite boxes.

    anchors_cyxhw: (N, 4) float32.
    """

    def __init__(self, anchors_cyxhw: Boxes, scales: BoxCoderScales) -> None:
        self._anchors = anchors_cyxhw
        self._divisors = np.array([scales.y, scales.x, scales.h, scales.w], np.float32)
        self._tables: dict[tuple[Any, float, int], NDArray[np.float64]] = {}

    def __call__(self, encodings: QuantizedTensor, indices: NDArray[np.intp]) -> Boxes:
        """Decode the rows ``indices``, (K,), of (N, 4) encodings: (K, 4) float32 corners."""
        picked = encodings.values[indices]
        if encodings.quantized:
            factors = self._table(encodings)[picked.view(np.uint8), _COLUMNS]
        else:
            factors = self._factors(picked.astype(np.float32, copy=False))
        anchors = self._anchors[indices]
        sizes = anchors[:, 2:]
        with np.errstate(over="ignore", invalid="ignore"):
            center = (factors[:, :2] * sizes + anchors[:, :2]).astype(np.float32)
            half = (factors[:, 2:] * sizes).astype(np.float32)
            return np.concatenate([center - half, center + half], axis=1)

    def _table(self, encodings: QuantizedTensor) -> NDArray[np.float64]:
        """(256, 4) factors of each stored byte: an 8-bit encoding needs no exp."""
        key = (encodings.values.dtype, encodings.scale, encodings.zero_point)
        if key not in self._tables:
            stored = np.arange(256, dtype=np.uint8).view(encodings.values.dtype)
            real = dequantize(stored, encodings.scale, encodings.zero_point)
            self._tables[key] = self._factors(np.repeat(real[:, None], 4, axis=1))
        return self._tables[key]

    def _factors(self, real: NDArray[np.float32]) -> NDArray[np.float64]:
        """What the anchor's size is multiplied with: centre offsets and half sizes."""
        factors = real.astype(np.float64) / self._divisors
        with np.errstate(over="ignore"):
            factors[:, 2:] = 0.5 * np.exp(factors[:, 2:])
        return factors


def dequantize(values: NDArray[Any], scale: float, zero_point: int) -> NDArray[np.float32]:
    """Return ``(values - zero_point) * scale`` as float32."""
    if values.dtype == np.float32:
        return values
    real: Boxes = (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return real
