"""``op-compatible`` postprocessing equals TFLite's own op, case by random case.

A case is made of its number alone. To run one again, with every runtime installed:
``PYTHONPATH=tests python -c "from postprocess.test_op_compatible import check; check(1234)"``
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.reference_op import OpResult, installed_runtimes, real, reference, run_op
from support.tflite_builder import Kind, quantize
from support.tflite_models import PostprocessOptions

from edge_ssd.models.spec import BoxCoderScales, ModelSpec
from edge_ssd.postprocess import postprocess
from edge_ssd.types import Detections, QuantizedTensor, RawHeads

CASES = 2400
BLOCK = 200
BOX_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Case:
    """What goes into the op; ``name`` says what kind of case it is."""

    number: int
    name: str
    heads: RawHeads
    anchors: QuantizedTensor
    options: PostprocessOptions

    def __str__(self) -> str:
        count, columns = self.heads.scores.values.shape
        dtypes = f"{self.heads.boxes.values.dtype} boxes, {self.heads.scores.values.dtype} scores"
        return (
            f"case {self.number} ({self.name}: {count} anchors, {columns} columns, {dtypes}, "
            f"{self.options})"
        )


def candidate(case: Case, nms: str = "op-compatible") -> Detections:
    """The package's answer to a case, as the op's: normalised to its input, not clipped."""
    options = case.options
    scales = (options.y_scale, options.x_scale, options.h_scale, options.w_scale)
    background = case.heads.scores.values.shape[1] > options.num_classes
    spec = ModelSpec("case", Path(), box_coder=BoxCoderScales(*scales), background=background)
    wanted = {
        "score_threshold": options.nms_score_threshold,
        "iou_threshold": options.nms_iou_threshold,
        "nms": nms,
        "max_detections": options.max_detections,
    }
    processor = postprocess.Postprocessor(
        spec,
        real(case.anchors),
        (None,) * options.num_classes,
        postprocess.PostprocessOptions.model_validate(wanted),
    )
    # Not clipped, as the op leaves its boxes.
    boxes, found, kept = processor._select(case.heads)
    return Detections(boxes[kept], found.scores[kept], found.class_ids[kept])


def check(number: int, runtimes: list[Any] | None = None) -> OpResult:
    """Compare one case with the op; returns what the op found.

    The op takes no int8, so every other case hands the package the same numbers as int8.
    """
    case = make_case(number)
    heads = RawHeads(as_int8(case.heads.boxes), as_int8(case.heads.scores))
    found = candidate(replace(case, heads=heads) if number % 4 > 1 else case)
    for runtime in runtimes or installed_runtimes():
        expected = run_op(runtime, case.heads, case.anchors, case.options)
        hint = f"{runtime.__name__}, {case}; again: check({number})"
        np.testing.assert_array_equal(found.class_ids, expected.classes, hint)
        np.testing.assert_array_equal(found.scores, expected.scores, hint)
        # Relative only where a box is far larger than the picture.
        np.testing.assert_allclose(
            found.boxes_yxyx, expected.boxes_yxyx, BOX_TOLERANCE, BOX_TOLERANCE, err_msg=hint
        )
    return expected


def as_int8(tensor: QuantizedTensor) -> QuantizedTensor:
    """The same numbers, a uint8 tensor as int8; float32 stays."""
    if not tensor.quantized:
        return tensor
    shifted = (tensor.values.astype(np.int16) - 128).astype(np.int8)
    return QuantizedTensor(shifted, tensor.scale, tensor.zero_point - 128)


def assert_identical(found: OpResult, expected: OpResult, hint: str) -> None:
    """To the bit, not-a-numbers included."""
    np.testing.assert_array_equal(found.classes, expected.classes, hint)
    np.testing.assert_array_equal(found.scores, expected.scores, hint)
    np.testing.assert_array_equal(found.boxes_yxyx, expected.boxes_yxyx, hint)


@pytest.mark.parametrize("first", range(0, CASES, BLOCK))
@pytest.mark.parametrize("runtime", installed_runtimes(), ids=lambda module: module.__name__)
def test_equals_the_op(runtime: Any, first: int) -> None:
    """Boxes to 1e-6, classes and scores exactly."""
    for number in range(first, first + BLOCK):
        check(number, [runtime])


@pytest.mark.parametrize("runtime", installed_runtimes(), ids=lambda module: module.__name__)
def test_reference_equals_the_op_to_the_bit(runtime: Any) -> None:
    """The reference may be trusted to explain a case that fails."""
    for number in range(CASES // 4):
        case = make_case(number)
        found = reference(case.heads, case.anchors, case.options)
        expected = run_op(runtime, case.heads, case.anchors, case.options)
        assert_identical(found, expected, f"{runtime.__name__}, {case}")


def test_cases_hold_what_they_promise() -> None:
    """Empty, full and suppressed results, ties, boxes without area, infinite and outside."""
    seen: dict[str, int] = dict.fromkeys(
        ("empty", "full", "suppressed", "ties", "no area", "infinite", "outside"), 0
    )
    for number in range(300):
        case = make_case(number)
        found = reference(case.heads, case.anchors, case.options)
        boxes, scores = found.boxes_yxyx, found.scores
        background = case.heads.scores.values.shape[1] - case.options.num_classes
        best = real(case.heads.scores)[:, background:].max(axis=1)
        reach = np.count_nonzero(best >= np.float32(case.options.nms_score_threshold))
        seen["empty"] += len(scores) == 0
        seen["full"] += len(scores) == case.options.max_detections
        seen["suppressed"] += len(scores) < min(reach, case.options.max_detections)
        seen["ties"] += len(set(scores.tolist())) < len(scores)
        seen["no area"] += bool((boxes[:, :2] == boxes[:, 2:]).any())
        seen["infinite"] += bool(np.isinf(boxes).any())
        seen["outside"] += bool(((boxes < 0) | (boxes > 1)).any())
    assert min(seen.values()) >= 10, seen


def make_case(number: int) -> Case:
    """The case of this number."""
    rng = np.random.default_rng(number)
    name, change = list(_CHANGES.items())[number % len(_CHANGES)]
    count = int(rng.integers(1, 60)) if number % 50 else 1917
    classes = int(rng.integers(1, 12))
    columns = classes + int(rng.random() < 0.8)
    draft = _Draft(
        encodings=rng.normal(0, 2, (count, 4)),
        anchors=np.concatenate(
            [rng.random((count, 2)), rng.uniform(0.05, 0.6, (count, 2))], axis=1
        ),
        scores=rng.random((count, columns)) ** 3,
        options=_options(rng, count, classes),
    )
    change(draft, rng)
    box_kind, score_kind, anchor_kind = _kinds(rng)
    boxes = _tensor(draft.encodings, box_kind)
    scores = _tensor(draft.scores, score_kind)
    anchors = _tensor(draft.anchors, anchor_kind)
    return Case(number, name, RawHeads(boxes, scores), anchors, PostprocessOptions(**draft.options))


@dataclass
class _Draft:
    """A case in real numbers."""

    encodings: NDArray[np.float64]
    anchors: NDArray[np.float64]
    scores: NDArray[np.float64]
    options: dict[str, Any]


def _options(rng: np.random.Generator, count: int, classes: int) -> dict[str, Any]:
    scales = (10.0, 10.0, 5.0, 5.0) if rng.random() < 0.7 else rng.uniform(1, 12, 4).tolist()
    few = min(count, 60)
    return dict(
        max_detections=int(rng.choice([1, 2, 5, 10, 20, few, few + 5])),
        nms_score_threshold=float(rng.choice([0, 1e-8, 0.25, 0.5, rng.random()])),
        nms_iou_threshold=float(rng.choice([0.3, 0.5, 0.6, rng.uniform(0.01, 1), 1.0])),
        num_classes=classes,
        **dict(zip(("y_scale", "x_scale", "h_scale", "w_scale"), scales, strict=True)),
    )


def _kinds(rng: np.random.Generator) -> tuple[Kind, Kind, Kind]:
    """Kinds of boxes, scores and anchors; the op wants boxes and anchors quantised alike."""
    floats = Kind("float32")
    # With a zero point and any other scale, LiteRT rounds equal scores at the tensor's end
    # differently from the rest, and the order of ties is nobody's to predict.
    score_kinds = (
        floats,
        Kind("uint8", float(rng.uniform(0.003, 0.006)), 0),
        Kind("uint8", 1 / 256, int(rng.integers(0, 60))),
    )
    score_kind = score_kinds[rng.integers(len(score_kinds))]
    if rng.random() < 0.5:
        return floats, score_kind, floats
    boxes = Kind("uint8", float(rng.uniform(0.03, 0.2)), int(rng.integers(60, 200)))
    return boxes, score_kind, Kind("uint8", float(rng.uniform(0.004, 0.008)), 0)


def _tensor(values: NDArray[np.float64], kind: Kind) -> QuantizedTensor:
    return QuantizedTensor(quantize(values, kind), kind.scale or 1.0, kind.zero_point)


def _plain(draft: _Draft, rng: np.random.Generator) -> None:
    pass


def _ties(draft: _Draft, rng: np.random.Generator) -> None:
    """Few different scores, few different boxes, and a threshold that some scores equal."""
    draft.scores = np.rint(draft.scores * 4) / 4
    draft.options["nms_score_threshold"] = float(rng.choice([0.25, 0.5, 0.75]))
    twin = rng.integers(0, len(draft.anchors), len(draft.anchors))
    draft.anchors = draft.anchors[twin]
    draft.encodings = draft.encodings[twin]


def _crowd(draft: _Draft, rng: np.random.Generator) -> None:
    """One object seen by all anchors: nearly everything is suppressed."""
    draft.anchors[:] = 0.5
    draft.encodings *= 0.3


def _degenerate(draft: _Draft, rng: np.random.Generator) -> None:
    """Boxes without height, width or both, from the anchor or from the encoding."""
    draft.anchors[:, 2:][rng.random((len(draft.anchors), 2)) < 0.3] = 0
    draft.encodings[:, 2:][rng.random((len(draft.anchors), 2)) < 0.2] = -1e4


def _huge(draft: _Draft, rng: np.random.Generator) -> None:
    """Sizes up to and beyond what float32 holds, and boxes far away."""
    far = rng.random(draft.encodings.shape) < 0.3
    size = 10 ** rng.uniform(1, 3, draft.encodings.shape)
    draft.encodings = np.where(far, size, draft.encodings)


def _empty(draft: _Draft, rng: np.random.Generator) -> None:
    """No score reaches the threshold, or a single one does."""
    draft.scores *= 0.4
    draft.options["nms_score_threshold"] = 0.7
    if rng.random() < 0.3:
        draft.scores[rng.integers(len(draft.scores)), -1] = 0.9


_CHANGES: dict[str, Callable[[_Draft, np.random.Generator], None]] = {
    "plain": _plain,
    "ties": _ties,
    "crowd": _crowd,
    "degenerate": _degenerate,
    "huge": _huge,
    "empty": _empty,
}
