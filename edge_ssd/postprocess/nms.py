"""Greedy non-maximum suppression, exact and in bounded time.

The best box is kept, every later box that overlaps it by more than the IoU threshold goes,
and so on (Girshick et al. 2014; TFLite's detection_postprocess.cc has the same order).
Candidates are taken in blocks, with one IoU matrix against what is kept and one within the block,
so the work stops with the block in which ``limit`` is reached.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ssd.boxes import Boxes

BLOCK = 128


def suppress(
    boxes_yxyx: Boxes, groups: NDArray[np.int32], iou_threshold: float, limit: int
) -> NDArray[np.intp]:
    """Return the indices of the boxes to keep, at most ``limit``, in their order.

    boxes_yxyx: (K, 4) float32, best first. groups: (K,) int32; only boxes of the same group
    suppress each other (class ids, or zeros for all).
    """
    if len(groups) == 1:
        return np.zeros(1, np.intp)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # infinite boxes
        return np.array(_suppress(_Clash(boxes_yxyx, groups, iou_threshold), limit), np.intp)


def _suppress(clash: _Clash, limit: int) -> list[int]:
    kept: list[int] = []
    count = len(clash.groups)
    for start in range(0, count, BLOCK):
        block = slice(start, min(start + BLOCK, count))
        # Bit i of an integer is box i of the block: suppressing is one operation on integers.
        suppressed_by = _bits(clash.between(block, block))
        alive = (1 << len(suppressed_by)) - 1
        if kept:
            by_kept = np.logical_or.reduce(clash.between(kept, block), axis=0, keepdims=True)
            alive &= ~_bits(by_kept)[0]
        while alive:
            index = (alive & -alive).bit_length() - 1
            kept.append(start + index)
            if len(kept) == limit:
                return kept
            alive &= ~(suppressed_by[index] | 1 << index)
    return kept


def _bits(rows: NDArray[np.bool_]) -> list[int]:
    packed = np.packbits(rows, axis=1, bitorder="little")
    return [int.from_bytes(row, "little") for row in packed.tolist()]


class _Clash:
    """Which boxes suppress which: same group, and IoU above the threshold.

    The arithmetic is that of ``boxes.iou_yxyx``, on columns and in place.
    """

    def __init__(self, boxes_yxyx: Boxes, groups: NDArray[np.int32], iou_threshold: float) -> None:
        corners = np.ascontiguousarray(boxes_yxyx.T)
        self.low, self.high = corners[:2], corners[2:]
        height, width = self.high - self.low
        self.areas = height * width
        self.groups = groups
        self.threshold = np.float32(iou_threshold)

    def between(self, a: slice | list[int], b: slice) -> NDArray[np.bool_]:
        """(A, B) bool: whether box a suppresses box b."""
        sides = np.minimum(self.high[:, a, None], self.high[:, None, b])
        sides -= np.maximum(self.low[:, a, None], self.low[:, None, b])
        np.maximum(sides, 0, out=sides)
        intersection = sides[0] * sides[1]
        union = self.areas[a, None] + self.areas[b]
        union -= intersection
        intersection /= union
        clash: NDArray[np.bool_] = intersection > self.threshold
        clash &= self.groups[a, None] == self.groups[b]
        return clash
