"""What a frame's heads become, with each option."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_ssd.models.spec import ModelSpec
from edge_ssd.postprocess import PostprocessOptions, Postprocessor
from edge_ssd.postprocess.postprocess import undo
from edge_ssd.types import Detections, Geometry, QuantizedTensor, RawHeads

# Four anchors: two that overlap by .82, one apart, one half outside the image.
ANCHORS = np.array(
    [[0.3, 0.3, 0.4, 0.4], [0.32, 0.32, 0.4, 0.4], [0.75, 0.75, 0.3, 0.3], [1, 0.2, 0.4, 0.4]],
    np.float32,
)
PERSON, CAR = 0, 1
LABELS = ("person", "car")
NONE = Geometry()
# background, person, car
SCORES = np.array([[0, 230, 30], [0, 40, 210], [0, 190, 0], [0, 0, 150]], np.uint8)


def found(options: PostprocessOptions, geometry: Geometry = NONE, **heads: object) -> Detections:
    boxes = QuantizedTensor(np.full((4, 4), 128, np.uint8), 0.1, 128)
    scores = heads.get("scores") or QuantizedTensor(SCORES, 1 / 256, 0)
    sigmoid = bool(heads.get("sigmoid"))
    postprocess = Postprocessor(ModelSpec("m", Path(), sigmoid=sigmoid), ANCHORS, LABELS, options)
    return postprocess(RawHeads(boxes, scores), geometry)  # type: ignore[arg-type]


def summary(detections: Detections) -> list[tuple[int, int]]:
    """(class id, score in 256ths), best first."""
    scores = np.rint(detections.scores * 256).astype(int).tolist()
    return list(zip(detections.class_ids.tolist(), scores, strict=True))


DEFAULT = PostprocessOptions(score_threshold=0.5)


def test_boxes_of_different_classes_do_not_suppress_each_other() -> None:
    assert summary(found(DEFAULT)) == [(PERSON, 230), (CAR, 210), (PERSON, 190), (CAR, 150)]


def test_class_agnostic_suppression_keeps_the_better_of_two_that_overlap() -> None:
    agnostic = DEFAULT.model_copy(update={"nms": "class-agnostic"})
    assert summary(found(agnostic)) == [(PERSON, 230), (PERSON, 190), (CAR, 150)]
    tolerant = agnostic.model_copy(update={"iou_threshold": 0.9})
    assert len(found(tolerant)) == 4


def test_op_compatible_has_one_class_an_anchor() -> None:
    low = PostprocessOptions(score_threshold=0.1, nms="op-compatible")
    assert summary(found(low)) == [(PERSON, 230), (PERSON, 190), (CAR, 150)]
    # Per class, the lesser class of an anchor is a detection of its own.
    both = summary(found(low.model_copy(update={"nms": "per-class"})))
    assert (CAR, 30) not in both  # suppressed by the other car
    assert (PERSON, 40) not in both


def test_a_threshold_is_met_exactly_and_not_by_less() -> None:
    exact = PostprocessOptions(score_threshold=190 / 256)
    assert summary(found(exact)) == [(PERSON, 230), (CAR, 210), (PERSON, 190)]
    above = PostprocessOptions(score_threshold=190.01 / 256)
    assert summary(found(above)) == [(PERSON, 230), (CAR, 210)]
    assert len(found(PostprocessOptions(score_threshold=1.0))) == 0


def test_a_class_may_have_its_own_threshold() -> None:
    strict_cars = DEFAULT.model_copy(update={"class_score_thresholds": {"car": 0.7}})
    assert summary(found(strict_cars)) == [(PERSON, 230), (CAR, 210), (PERSON, 190)]
    lenient_cars = PostprocessOptions(score_threshold=0.8, class_score_thresholds={"car": 0.5})
    assert summary(found(lenient_cars)) == [(PERSON, 230), (CAR, 210), (CAR, 150)]


def test_only_the_wanted_classes_are_reported() -> None:
    assert summary(found(DEFAULT.model_copy(update={"classes": ("car",)}))) == [
        (CAR, 210),
        (CAR, 150),
    ]
    assert len(found(DEFAULT.model_copy(update={"classes": ()}))) == 0


def test_the_best_are_kept_where_the_number_is_limited() -> None:
    assert summary(found(DEFAULT.model_copy(update={"max_detections": 2}))) == [
        (PERSON, 230),
        (CAR, 210),
    ]
    assert summary(found(DEFAULT.model_copy(update={"max_candidates": 1}))) == [(PERSON, 230)]


def test_boxes_are_clipped_to_the_frame() -> None:
    boxes = found(DEFAULT).boxes_yxyx
    np.testing.assert_allclose(boxes[0], [0.1, 0.1, 0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(boxes[3], [0.8, 0.0, 1.0, 0.4], atol=1e-6)


def test_letterboxing_is_undone_and_what_lies_in_the_padding_goes() -> None:
    """A frame twice as wide as high fills the middle half of the input's height."""
    geometry = Geometry(scale_y=0.5, offset_y=0.25)
    boxes = found(DEFAULT, geometry)
    np.testing.assert_allclose(boxes.boxes_yxyx[0], [0, 0.1, 0.5, 0.5], atol=1e-6)
    assert summary(boxes) == [(PERSON, 230), (CAR, 210), (PERSON, 190)]  # the last is outside
    everything = np.array([[0.25, 0, 0.75, 1]], np.float32)
    np.testing.assert_allclose(undo(geometry, everything), [[0, 0, 1, 1]])


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_scores_of_any_type_give_the_same(dtype: str) -> None:
    scores = {
        "int8": QuantizedTensor((SCORES ^ 0x80).view(np.int8), 1 / 256, -128),
        "float32": QuantizedTensor(SCORES.astype(np.float32) / 256),
    }[dtype]
    for threshold in (0.1, 0.5, 190 / 256):
        options = PostprocessOptions(score_threshold=threshold)
        assert summary(found(options, scores=scores)) == summary(found(options))


@pytest.mark.parametrize("quantized", [True, False])
def test_logits_get_their_sigmoid(quantized: bool) -> None:
    logits = np.array([[0, 40, -90], [0, -90, 20], [0, 0, -90], [0, -90, -5]], np.int8)
    scores = QuantizedTensor(logits, 0.1, 0)
    if not quantized:
        scores = QuantizedTensor(logits.astype(np.float32) * np.float32(0.1))
    detections = found(DEFAULT, scores=scores, sigmoid=True)
    assert detections.class_ids.tolist() == [PERSON, CAR, PERSON]
    np.testing.assert_allclose(detections.scores, [0.98201, 0.88080, 0.5], atol=1e-4)


def test_thousands_of_candidates_are_bounded_and_ties_keep_their_order() -> None:
    """Equal scores everywhere: the first anchors win, whatever the limit."""
    anchors = np.tile(np.array([[0.5, 0.5, 0.001, 0.001]], np.float32), (3000, 1))
    anchors[:, 0] = np.linspace(0.1, 0.9, 3000)
    for values in (np.full((3000, 3), 200, np.uint8), np.full((3000, 3), 0.8, np.float32)):
        quantized = values.dtype == np.uint8
        scores = QuantizedTensor(values, 1 / 256 if quantized else 1.0)
        boxes = QuantizedTensor(np.zeros((3000, 4), np.float32))
        options = PostprocessOptions(max_candidates=500, max_detections=80, iou_threshold=1.0)
        postprocess = Postprocessor(ModelSpec("m", Path()), anchors, LABELS, options)
        detections = postprocess(RawHeads(boxes, scores), Geometry())
        assert len(detections) == 80
        assert detections.class_ids.tolist() == [PERSON, CAR] * 40
        centers = detections.boxes_yxyx[::2, [0, 2]].mean(axis=1)
        np.testing.assert_allclose(centers, anchors[:40, 0], atol=1e-5)
