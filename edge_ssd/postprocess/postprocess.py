"""RawHeads to Detections, in one pass: threshold, decode, suppress, undo the geometry, clip."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_ssd.boxes import Boxes, area_yxyx, clip_yxyx
from edge_ssd.errors import ConfigError
from edge_ssd.models.labels import Labels, class_ids
from edge_ssd.models.spec import ModelSpec
from edge_ssd.options import Options, Unit
from edge_ssd.postprocess.box_coder import BoxDecoder
from edge_ssd.postprocess.candidates import CandidateFilter, Candidates
from edge_ssd.postprocess.nms import suppress
from edge_ssd.types import Detections, Geometry, RawHeads

_NO_BOXES = np.zeros((0, 4), np.float32)


class PostprocessOptions(Options):
    """Which of the model's predictions become detections."""

    score_threshold: Unit = 0.5
    """Minimum score to report."""
    class_score_thresholds: dict[str, Unit] = Field(default_factory=dict)
    """Other minimum scores by label, such as `person: 0.6`."""
    classes: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The labels to report; null for all."""
    iou_threshold: Unit | None = None
    """How much two boxes may overlap before the lower-scoring one is suppressed; null for the
    model's own."""
    nms: Literal["per-class", "class-agnostic", "op-compatible"] = "per-class"
    """Which boxes suppress each other: those of one class; all; or, exactly as TFLite's operator
    does it, all with each anchor standing for its best class only."""
    max_candidates: int = Field(default=1000, ge=1, le=1_000_000)
    """How many of the best candidates enter suppression; op-compatible takes all of them."""
    max_detections: int = Field(default=100, ge=1, le=10_000)
    """Maximum number of detections per frame."""


class Postprocessor:
    """The postprocessing of one model with one set of options. Belongs to one thread.

    anchors_cyxhw: (N, 4) float32. labels: one name per class, background not counted.
    Raises ConfigError for options that name a label the model does not have.
    """

    def __init__(
        self, spec: ModelSpec, anchors_cyxhw: Boxes, labels: Labels, options: PostprocessOptions
    ) -> None:
        self._labels = labels
        self._options = options
        iou_threshold = options.iou_threshold
        self._iou_threshold = spec.iou_threshold if iou_threshold is None else iou_threshold
        self._decode = BoxDecoder(anchors_cyxhw, spec.box_coder)
        thresholds = _thresholds(options, labels)
        self._filter = CandidateFilter(thresholds, spec.background, spec.sigmoid)

    def __call__(self, heads: RawHeads, geometry: Geometry) -> Detections:
        """Return the frame's detections, clipped to it; boxes outside it are dropped."""
        boxes, found, kept = self._select(heads)
        boxes = clip_yxyx(undo(geometry, boxes[kept]))
        inside = area_yxyx(boxes) > 0
        kept = kept[inside]
        columns = boxes[inside], found.scores[kept], found.class_ids[kept]
        return Detections(*columns, self._labels, geometry.size)

    def _select(self, heads: RawHeads) -> tuple[Boxes, Candidates, NDArray[np.intp]]:
        """Return the candidates' boxes, the candidates, and the indices of those to keep."""
        options = self._options
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
        return boxes, found, suppress(boxes, groups, self._iou_threshold, options.max_detections)


def undo(geometry: Geometry, boxes_yxyx: Boxes) -> Boxes:
    """Return boxes normalised to the model's input as boxes normalised to the frame."""
    if geometry == Geometry(size=geometry.size):
        return boxes_yxyx
    offset = np.array([geometry.offset_y, geometry.offset_x] * 2, np.float32)
    scale = np.array([geometry.scale_y, geometry.scale_x] * 2, np.float32)
    return (boxes_yxyx - offset) / scale


def _thresholds(options: PostprocessOptions, labels: Labels) -> NDArray[np.float32]:
    """(classes,) float32; infinite for classes that are not wanted."""
    thresholds = np.full(len(labels), options.score_threshold, np.float32)
    problems = []
    for label, threshold in options.class_score_thresholds.items():
        ids, unknown = class_ids(labels, [label], "class_score_thresholds")
        thresholds[ids] = threshold
        problems += unknown
    if options.classes is not None:
        wanted, unknown = class_ids(labels, options.classes, "classes")
        thresholds[np.setdiff1d(np.arange(len(labels)), wanted)] = np.inf
        problems += unknown
    if problems:
        raise ConfigError([problem.below("postprocess") for problem in problems])
    return thresholds


def _best_class_only(candidates: Candidates) -> Candidates:
    """Keep the first, so the best, candidate of each anchor."""
    _, first = np.unique(candidates.anchors, return_index=True)
    first.sort()
    return Candidates(
        candidates.anchors[first], candidates.class_ids[first], candidates.scores[first]
    )
