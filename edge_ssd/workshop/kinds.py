"""The kind of a model, by its operators and shapes; what it needs, and gains by ``prepare``."""

from __future__ import annotations

import math
import re
from enum import Enum

from edge_ssd.models.graph import POSTPROCESS_OP, Graph
from edge_ssd.wording import counted
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


_USABLE = (Kind.SSD_WITH_OP, Kind.SSD_HEADS)
_KINDS = {
    Kind.SSD_WITH_OP: "a stock SSD file with its postprocess operator",
    Kind.SSD_HEADS: "an SSD with raw heads",
    Kind.EFFICIENTDET_HEADS: "an EfficientDet with raw heads, whose anchors are not an SSD's",
    Kind.OWN_SUPPRESSION: "a detector with its own non-maximum suppression, not a plain SSD",
    Kind.KEYPOINT_BOXES: "a detector like MediaPipe's, with keypoints in its boxes, not an SSD",
    Kind.YOLO: "a detector like YOLO, which has boxes and scores in one output, not an SSD",
    Kind.CLASSIFIER: "a classifier: it names an image and finds no boxes",
    Kind.MAP: "a model that gives a map (segmentation, depth, style), not an SSD",
    Kind.OTHER: "not an SSD detector",
}


def kind(graph: Graph, file_name: str) -> Kind:
    """Return the kind of model; ``file_name`` shows a part of a split model."""
    shapes = [tensor.shape for tensor in graph.outputs]
    has_op = graph.custom_operator(POSTPROCESS_OP) is not None
    if segment(file_name) or (has_op and not _takes_image(graph)):
        return Kind.SEGMENT
    if has_op:
        return Kind.SSD_WITH_OP
    if _SUPPRESSION & {operator.name for operator in graph.operators}:
        return Kind.OWN_SUPPRESSION
    found = _kind_of_many(shapes) if len(shapes) > 1 else _kind_of_one(shapes[0])
    if found is Kind.SSD_HEADS and _takes_image(graph):
        _, height, width, _ = graph.inputs[0].shape
        boxes = next(shape for shape in shapes if shape[-1:] == (4,))
        steps = (8, 16, 32, 64, 128)
        cells = sum(math.ceil(height / step) * math.ceil(width / step) for step in steps)
        if math.prod(boxes) == 4 * 9 * cells:  # EfficientDet's 9 anchors per cell
            return Kind.EFFICIENTDET_HEADS
    return found


def segment(file_name: str) -> tuple[int, int] | None:
    """Return (number from 0, how many) of one part of a model that Coral's tools split."""
    found = _SEGMENT.search(file_name)
    return (int(found[1]), int(found[2])) if found else None


def _takes_image(graph: Graph) -> bool:
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


def what(kind: Kind, activations: str, edgetpu: bool, segment: tuple[int, int] | None) -> str:
    """Return what a file is. activations: the dtype its convolutions compute in."""
    if kind is not Kind.SEGMENT:
        text = _KINDS[kind]
    elif segment:
        last = ", the last part" if segment[0] + 1 == segment[1] else ""
        text = f"segment {segment[0]} of {segment[1]} (counted from 0{last}) of a split model"
    else:
        text = "the end of a split model: its input is another part's feature maps, not an image"
    return f"{text}, {'compiled for the Edge TPU' if edgetpu else f'computed in {activations}'}"


def needs(kind: Kind, edgetpu: bool, labels_missing: int) -> list[str]:
    """Return what the file needs besides itself. labels_missing: classes without any name."""
    whole = (
        "the whole model: parts run one after the other on several Edge TPUs, which this program "
        "does not do; compile or download it unsplit"
    )
    names = (
        f"names for its {counted(labels_missing, 'class')}: a label file (model.labels) or a "
        "manifest"
    )
    found = (
        (kind is Kind.SEGMENT, whole),
        (edgetpu, "an Edge TPU and libedgetpu (model.delegate: edgetpu)"),
        (labels_missing, names),
    )
    return [text for needed, text in found if needed]


def gains(
    kind: Kind, activations: str, edgetpu: bool, has_op: bool, described_beside: bool
) -> list[str]:
    """Return what ``models prepare`` would improve. described_beside: in a manifest."""
    operator = (
        ", on which libedgetpu may crash" if edgetpu else
        " for good; now every load removes it: a faster start, the same speed"
    )  # fmt: skip
    int8 = {
        "uint8": "makes it 2 to 3 times faster on x86-64; on ARM measure it (`edge-ssd tune`)",
        "int8": "has nothing to gain: it is int8 already",
    }.get(
        activations,
        f"cannot: it takes 8-bit files, and this one computes in {activations}; convert it again "
        "with full integer quantisation for speed",
    )
    if edgetpu:
        int8 = "cannot: the weights are inside the compiled program"
    found = (
        (has_op, f"`models prepare` removes the operator{operator}"),
        (described_beside, "`models prepare` packs the manifest inside: one file is all it takes"),
        (edgetpu or kind in _USABLE, f"`prepare --int8` {int8}"),
    )
    return [text for gained, text in found if gained]
