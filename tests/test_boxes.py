from __future__ import annotations

import numpy as np

from edge_ssd import boxes

UNIT = np.array([[0, 0, 1, 1]], np.float32)


def test_iou_table() -> None:
    others = np.array(
        [
            [0, 0, 1, 1],  # itself
            [0, 0, 0.5, 1],  # half of it
            [0, 0.5, 1, 1.5],  # half beside it
            [0, 1, 1, 2],  # touching
            [2, 2, 3, 3],  # apart
            [0.5, 0.5, 0.5, 0.5],  # no area
            [1, 1, 0, 0],  # both sides turned round: a positive area, but no overlap
            [1, 0, 0, 1],  # one side turned round: a negative area
        ],
        np.float32,
    )
    expected = [[1, 0.5, 1 / 3, 0, 0, 0, 0, 0]]
    np.testing.assert_allclose(boxes.iou_yxyx(UNIT, others), expected, atol=1e-7)


def test_iou_is_symmetric_and_asks_for_no_boxes() -> None:
    some = np.random.default_rng(1).random((6, 4), np.float32)
    np.testing.assert_array_equal(boxes.iou_yxyx(some, some), boxes.iou_yxyx(some, some).T)
    assert boxes.iou_yxyx(some[:0], some).shape == (0, 6)


def test_clip_limits_every_corner_to_the_unit_square() -> None:
    wild = np.array([[-1, 0.5, 2, 0.75]], np.float32)
    np.testing.assert_array_equal(boxes.clip_yxyx(wild), [[0, 0.5, 1, 0.75]])
