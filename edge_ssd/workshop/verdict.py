"""Describe what a model file is, what it needs and what preparing it gains."""

from __future__ import annotations

from edge_ssd.wording import counted
from edge_ssd.workshop.kinds import Kind

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


def what(kind: Kind, activations: str, edgetpu: bool, segment: tuple[int, int] | None) -> str:
    """Return what a file is. activations: the dtype its convolutions compute in."""
    if kind is not Kind.SEGMENT:
        text = _KINDS[kind]
    elif segment:
        last = ", the last part" if segment[0] + 1 == segment[1] else ""
        text = f"segment {segment[0]} of {segment[1]} (counted from 0{last}) of a split model"
    else:
        text = "the end of a split model: its input is another part's feature maps, not an image"
    if edgetpu:
        return f"{text}, compiled for the Edge TPU"
    return f"{text}, computed in {activations}"


def needs(kind: Kind, edgetpu: bool, labels_missing: int) -> list[str]:
    """Return what the file needs besides itself. labels_missing: classes without any name."""
    found = []
    if kind is Kind.SEGMENT:
        found.append("the whole model: parts run one after the other on several Edge TPUs, "
                     "which this program does not do; compile or download it unsplit")  # fmt: skip
    if edgetpu:
        found.append("an Edge TPU and libedgetpu (model.delegate: edgetpu)")
    if labels_missing:
        found.append(f"names for its {counted(labels_missing, 'class')}: a label file "
                     "(model.labels) or a manifest")  # fmt: skip
    return found


def gains(
    kind: Kind, activations: str, edgetpu: bool, has_op: bool, described_beside: bool
) -> list[str]:
    """Return what ``models prepare`` would make better. described_beside: in a manifest."""
    found = []
    if has_op and edgetpu:
        found.append("`models prepare` removes the operator, on which libedgetpu may crash")
    elif has_op:
        found.append(
            "`models prepare` removes the operator for good; now every load removes it: a "
            "faster start, the same speed"
        )
    if described_beside:
        found.append("`models prepare` packs the manifest inside: one file is all it takes")
    if edgetpu:
        found.append("`prepare --int8` cannot: the weights are inside the compiled program")
    elif not kind.is_ssd:
        pass
    elif activations == "uint8":
        found.append(
            "`prepare --int8` makes it 2 to 3 times faster on x86-64; on ARM measure "
            "it (`edge-ssd tune`)"
        )
    elif activations == "int8":
        found.append("`prepare --int8` has nothing to gain: it is int8 already")
    else:
        found.append(
            f"`prepare --int8` cannot: it takes 8-bit files, and this one computes in "
            f"{activations}; convert it again with full integer quantisation for speed"
        )
    return found
