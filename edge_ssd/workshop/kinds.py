"""Recognise the kind of a model by its operators and the shapes of its tensors."""

from __future__ import annotations

import math
import re
from enum import Enum

from edge_ssd.models.graph import POSTPROCESS_OP, Graph
from edge_ssd.workshop.operators import Shape

_SEGMENT = re.compile(r"_segment_(\d{1,3})_of_(\d{1,3})")
_SUPPRESSION = {"NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5"}


class Kind(str, Enum):
    """A kind of model; the value is its name in JSON."""

    SSD_WITH_OP = "ssd_with_op"
    SSD_HEADS = "ssd_heads"
    EFFICIENTDET_HEADS = "efficientdet_heads"
    SEGMENT = "segment"
    OWN_SUPPRESSION = "own_suppression"
    KEYPOINT_BOXES = "keypoint_boxes"
    YOLO = "yolo"
    CLASSIFIER = "classifier"
    MAP = "map"
    OTHER = "other"

    @property
    def is_ssd(self) -> bool:
        """Whether this package can run it."""
        return self in (Kind.SSD_WITH_OP, Kind.SSD_HEADS)


def kind(graph: Graph, file_name: str) -> Kind:
    """Return the kind of model; ``file_name`` shows a part of a split model."""
    shapes = [tensor.shape for tensor in graph.outputs]
    has_op = graph.custom_operator(POSTPROCESS_OP) is not None
    if segment(file_name) or (has_op and not _takes_picture(graph)):
        return Kind.SEGMENT
    if has_op:
        return Kind.SSD_WITH_OP
    if _SUPPRESSION & {operator.name for operator in graph.operators}:
        return Kind.OWN_SUPPRESSION
    found = _kind_of_many(shapes) if len(shapes) > 1 else _kind_of_one(shapes[0])
    if found is Kind.SSD_HEADS and _takes_picture(graph):
        _, height, width, _ = graph.inputs[0].shape
        boxes = next(shape for shape in shapes if shape[-1:] == (4,))
        if math.prod(boxes) == 4 * _efficientdet_anchors(height, width):
            return Kind.EFFICIENTDET_HEADS
    return found


def segment(file_name: str) -> tuple[int, int] | None:
    """Return (number from 0, how many) of one part of a model that Coral's tools split."""
    found = _SEGMENT.search(file_name)
    return (int(found[1]), int(found[2])) if found else None


def _efficientdet_anchors(height: int, width: int) -> int:
    """Return how many anchors EfficientDet has: 9 per cell of five layers."""
    steps = (8, 16, 32, 64, 128)
    return 9 * sum(math.ceil(height / step) * math.ceil(width / step) for step in steps)


def _takes_picture(graph: Graph) -> bool:
    shapes = [tensor.shape for tensor in graph.inputs]
    return len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][3] in (1, 3, 4)


def _kind_of_many(shapes: list[Shape]) -> Kind:
    rows = [shape for shape in shapes if len(shape) in (3, 4) and shape[0] == 1]
    for boxes in rows:
        same = [s for s in rows if s is not boxes and s[:-1] == boxes[:-1]]
        if boxes[-1] == 4 and same and math.prod(boxes[:-1]) > 1:
            return Kind.SSD_HEADS
        if boxes[-1] > 4 and any(s[-1] == 1 for s in same):
            return Kind.KEYPOINT_BOXES
    grids = [shape for shape in rows if len(shape) == 4]
    if len(grids) == len(shapes) and len({s[-1] for s in grids}) == 1 and grids[0][-1] % 3 == 0:
        return Kind.YOLO
    return Kind.OTHER


def _kind_of_one(shape: Shape) -> Kind:
    if len(shape) == 3 and shape[0] == 1 and min(shape[1:]) >= 5 and max(shape) >= 100:
        return Kind.YOLO
    if shape and math.prod(shape) == shape[-1] > 1:
        return Kind.CLASSIFIER
    if len(shape) == 4 and min(shape[1:3]) > 1:
        return Kind.MAP
    return Kind.OTHER
