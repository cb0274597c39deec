"""What inference and postprocessing need of a model besides its graph."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import ModelError

MAX_CELLS = 100_000
"""Of all anchor grids together; 300 pixels have 500, and 4000 have 83,000."""


@dataclass(frozen=True, slots=True)
class InputNormalization:
    """How pixels become what the model was trained on: ``real = (pixel - mean) / std``.

    127.5 and 127.5 give -1 to 1, as all of TensorFlow's SSD MobileNets have it.
    Raises ModelError unless both are finite and std is positive.
    """

    mean: float = 127.5
    std: float = 127.5

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and 0 < self.std < math.inf):
            raise ModelError(f"pixels cannot be normalised with {self}")


@dataclass(frozen=True, slots=True)
class BoxCoderScales:
    """The divisors of the box encodings (TF object detection: faster_rcnn_box_coder).

    Raises ModelError unless all are positive and finite.
    """

    y: float = 10.0
    x: float = 10.0
    h: float = 5.0
    w: float = 5.0

    def __post_init__(self) -> None:
        if not all(0 < scale < math.inf for scale in (self.y, self.x, self.h, self.w)):
            raise ModelError(f"the box coder's scales must be positive, not {self}")


@dataclass(frozen=True, slots=True)
class SsdAnchorLayout:
    """What TensorFlow's SSD anchor generator needs (``create_ssd_anchors``).

    grids: (rows, columns) of each feature map, finest first.
    aspect_ratios: per layer, width over height; each gives one anchor per cell.
    scales: per layer, anchor size relative to the input; one more than layers, the last one
        being what the last layer is interpolated with.
    interpolated: add an anchor of ratio 1 at the geometric mean of this scale and the next.
    reduce_boxes_in_lowest_layer: the first layer has just (.1, 1), (scale, 2), (scale, .5).
    Raises ModelError when the layers do not agree, or a number is no size.
    """

    grids: tuple[tuple[int, int], ...]
    scales: tuple[float, ...]
    aspect_ratios: tuple[tuple[float, ...], ...]
    interpolated: bool = True
    reduce_boxes_in_lowest_layer: bool = True

    def __post_init__(self) -> None:
        layers = len(self.grids)
        if not layers or (len(self.scales), len(self.aspect_ratios)) != (layers + 1, layers):
            raise ModelError(
                f"anchors of {layers} grids need {layers + 1} scales and aspect ratios for "
                f"{layers} layers, not {len(self.scales)} and {len(self.aspect_ratios)}"
            )
        cells = [rows * columns if min(rows, columns) > 0 else 0 for rows, columns in self.grids]
        if min(cells) < 1 or sum(cells) > MAX_CELLS:
            raise ModelError(f"each grid needs a cell, and all together at most {MAX_CELLS}")
        sizes = [*self.scales, *(ratio for layer in self.aspect_ratios for ratio in layer)]
        if not all(0 < size < math.inf for size in sizes):
            raise ModelError("the scales and aspect ratios of the anchors must be positive")


@dataclass(frozen=True, slots=True, eq=False)
class ModelSpec:
    """A model ready for the detector: raw SSD heads, anchors, scales, labels.

    content: the bytes to run, or None to run the file at ``path`` as it is.
    anchors: (N, 4) float32 ycenter, xcenter, h, w; or the layout to generate them from; or
        None for TensorFlow's usual layout at the model's input size.
    heads: names of the box and score outputs, where the shapes leave a choice.
    labels: one name per class, background not counted; empty when none are known.
    labels_path: the file they were read from, where the user gave one.
    background: column 0 of the scores is the background.
    sigmoid: the scores are logits and still need the sigmoid.
    iou_threshold: the author's threshold of suppression; the configuration may set another.
    """

    name: str
    path: Path
    content: bytes | None = None
    anchors: NDArray[np.float32] | SsdAnchorLayout | None = None
    normalization: InputNormalization = InputNormalization()
    box_coder: BoxCoderScales = BoxCoderScales()
    heads: tuple[str, str] | None = None
    labels: tuple[str | None, ...] = ()
    labels_path: Path | None = None
    background: bool = True
    sigmoid: bool = False
    iou_threshold: float = 0.6
