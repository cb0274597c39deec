"""RawHeads to Detections, in one pass: threshold, decode, suppress, undo the geometry, clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_ssd.boxes import Boxes, area_yxyx, clip_yxyx
from edge_ssd.models.spec import BoxCoderScales
from edge_ssd.postprocess.box_coder import BoxDecoder
from edge_ssd.postprocess.candidates import CandidateFilter, Candidates
from edge_ssd.postprocess.nms import suppress
from edge_ssd.types import Detections, Geometry, RawHeads

_NO_BOXES = np.zeros((0, 4), np.float32)

NmsMode = Literal["per-class", "class-agnostic", "op-compatible"]


@dataclass(frozen=True, slots=True)
class PostprocessOptions:
    """What to keep of the network's predictions.

    score_threshold: least score, 0 to 1; class_score_thresholds: other values by class id.
    classes: class ids to report, or None for all.
    iou_threshold: how much two boxes may overlap, 0 to 1, before the lesser one goes.
    nms: who suppresses whom: boxes of the same class; all boxes; or, as TFLite's op does it
        by default, all boxes with each anchor standing for its best class only.
    max_candidates: how many of the best candidates enter suppression (``op-compatible``
        takes them all, as the op does).
    max_detections: how many detections a frame has at most.
    """

    score_threshold: float = 0.5
    class_score_thresholds: Mapping[int, float] = field(default_factory=dict)
    classes: frozenset[int] | None = None
    iou_threshold: float = 0.6
    nms: NmsMode = "per-class"
    max_candidates: int = 1000
    max_detections: int = 100


class Postprocessor:
    """The postprocessing of one model with one set of options.

    anchors_cyxhw: (N, 4) float32. classes: how many the model has, background not counted.
    background, sigmoid: as ModelSpec has them. Belongs to one thread.
    """

    def __init__(
        self,
        anchors_cyxhw: Boxes,
        box_coder: BoxCoderScales,
        classes: int,
        background: bool,
        sigmoid: bool,
        options: PostprocessOptions,
    ) -> None:
        self.options = options
        self._decode = BoxDecoder(anchors_cyxhw, box_coder)
        self._filter = CandidateFilter(_thresholds(options, classes), background, sigmoid)

    def __call__(self, heads: RawHeads, geometry: Geometry) -> Detections:
        """Return the frame's detections, clipped to it; boxes outside it are dropped."""
        boxes, found, kept = self._select(heads)
        boxes = clip_yxyx(undo(geometry, boxes[kept]))
        inside = area_yxyx(boxes) > 0
        kept = kept[inside]
        return Detections(boxes[inside], found.scores[kept], found.class_ids[kept])

    def in_model_space(self, heads: RawHeads) -> Detections:
        """Return the detections normalised to the network's input, not clipped."""
        boxes, found, kept = self._select(heads)
        return Detections(boxes[kept], found.scores[kept], found.class_ids[kept])

    def _select(self, heads: RawHeads) -> tuple[Boxes, Candidates, NDArray[np.intp]]:
        """Return the candidates' boxes, the candidates, and the indices of those to keep."""
        options = self.options
        exact = options.nms == "op-compatible"
        limit = heads.scores.values.size if exact else options.max_candidates
        found = self._filter(heads.scores, limit)
        if not len(found.anchors):  # most frames of most cameras
            return _NO_BOXES, found, found.anchors
        if exact:
            found = _best_class_only(found)
        boxes = self._decode(heads.boxes, found.anchors)
        per_class = options.nms == "per-class"
        groups = found.class_ids if per_class else np.zeros_like(found.class_ids)
        return boxes, found, suppress(boxes, groups, options.iou_threshold, options.max_detections)


def undo(geometry: Geometry, boxes_yxyx: Boxes) -> Boxes:
    """Boxes normalised to the network's input to boxes normalised to the frame."""
    if geometry == Geometry():
        return boxes_yxyx
    offset = np.array([geometry.offset_y, geometry.offset_x] * 2, np.float32)
    scale = np.array([geometry.scale_y, geometry.scale_x] * 2, np.float32)
    return (boxes_yxyx - offset) / scale


def _thresholds(options: PostprocessOptions, classes: int) -> NDArray[np.float32]:
    """(classes,) float32; infinite for classes that are not wanted."""
    thresholds = np.full(classes, options.score_threshold, np.float32)
    for class_id, threshold in options.class_score_thresholds.items():
        thresholds[class_id] = threshold
    if options.classes is not None:
        unwanted = [class_id for class_id in range(classes) if class_id not in options.classes]
        thresholds[unwanted] = np.inf
    return thresholds


def _best_class_only(candidates: Candidates) -> Candidates:
    """Keep the first, so the best, candidate of each anchor."""
    _, first = np.unique(candidates.anchors, return_index=True)
    first.sort()
    return Candidates(
        candidates.anchors[first], candidates.class_ids[first], candidates.scores[first]
    )
