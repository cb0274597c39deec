"""What the op's other paths have to do with ``per-class`` postprocessing.

With ``use_regular_nms`` the op suppresses within each class and keeps the best of all classes:
``per-class`` does the same, and the two agree in everything but the order of equal scores, on
which not even the runtimes agree.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from postprocess.test_op_compatible import (
    BOX_TOLERANCE,
    Case,
    assert_identical,
    candidate,
    make_case,
)
from support.reference_op import OpResult, installed_runtimes, real, reference, run_op

from edge_ssd.types import Detections

CASES = 600

runtimes = pytest.mark.parametrize(
    "runtime", installed_runtimes(), ids=lambda module: module.__name__
)


def with_options(number: int, **options: Any) -> Case:
    """The case of this number with other options."""
    case = make_case(number)
    return replace(case, options=replace(case.options, **options))


def has_ties(case: Case) -> bool:
    """Whether two scores that reach the threshold are equal."""
    background = case.heads.scores.values.shape[1] - case.options.num_classes
    scores = real(case.heads.scores)[:, background:]
    reach = scores[scores >= np.float32(case.options.nms_score_threshold)]
    return len(np.unique(reach)) < len(reach)


def rows(result: Detections | OpResult) -> NDArray[np.float64]:
    """(D, 6) score, class and box of each detection, in an order that ties cannot change."""
    classes = result.class_ids if isinstance(result, Detections) else result.classes
    columns = np.column_stack([result.scores, classes, result.boxes_yxyx]).astype(np.float64)
    order: NDArray[np.intp] = np.lexsort(columns.T[::-1])
    return columns[order]


@runtimes
@pytest.mark.parametrize(
    "options",
    [
        {"use_regular_nms": True},
        {"use_regular_nms": True, "detections_per_class": 2},
        {"max_classes_per_detection": 3},
    ],
    ids=["regular", "two per class", "fast with three classes"],
)
def test_reference_equals_the_op_to_the_bit(runtime: Any, options: dict[str, Any]) -> None:
    """Ties included, because the reference sorts as the op does."""
    last_class_first = runtime.__name__.startswith("tflite_runtime")
    for number in range(1, CASES // 3):
        case = with_options(number, **options)
        found = reference(case.heads, case.anchors, case.options, last_class_first)
        expected = run_op(runtime, case.heads, case.anchors, case.options)
        assert_identical(found, expected, f"{runtime.__name__}, {case}")


@runtimes
def test_per_class_equals_the_op_where_scores_differ(runtime: Any) -> None:
    """The same detections in the same order."""
    compared = 0
    for number in range(CASES):
        case = with_options(number, use_regular_nms=True)
        if has_ties(case):
            continue
        found = candidate(case, "per-class")
        expected = run_op(runtime, case.heads, case.anchors, case.options)
        hint = f"{runtime.__name__}, {case}"
        np.testing.assert_array_equal(found.class_ids, expected.classes, hint)
        np.testing.assert_array_equal(found.scores, expected.scores, hint)
        np.testing.assert_allclose(
            found.boxes_yxyx, expected.boxes_yxyx, BOX_TOLERANCE, BOX_TOLERANCE, err_msg=hint
        )
        compared += len(found) > 0
    assert compared > CASES // 10


@runtimes
def test_per_class_finds_what_the_op_finds_of_equal_scores(runtime: Any) -> None:
    """In any order, as long as nothing is cut off at ``max_detections``."""
    compared = 0
    for number in range(1, CASES, 6):  # the ties
        case = with_options(number, use_regular_nms=True, max_detections=1000)
        expected = run_op(runtime, case.heads, case.anchors, case.options)
        found = candidate(case, "per-class")
        np.testing.assert_allclose(
            rows(found), rows(expected), BOX_TOLERANCE, BOX_TOLERANCE, err_msg=str(case)
        )
        compared += len(expected.scores) > 1
    assert compared > CASES // 20
