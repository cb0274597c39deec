"""Recognise the feature maps behind a table of anchors."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_NEAR = 0.01
"""Of the input's size: anchors that are stored in 8 bits are off by up to .0033."""


@dataclass(frozen=True, slots=True)
class AnchorLayer:
    """One feature map: its grid, and how many boxes each of its cells has."""

    rows: int
    columns: int
    boxes: int


def recognise(anchors: NDArray[np.float32]) -> tuple[AnchorLayer, ...]:
    """Return the layers of (N, 4) finite ycenter, xcenter, h, w; empty where they form no grids.

    Expected as TensorFlow has them: layer after layer, row by row, the boxes of a cell together.
    """
    starts = _starts(np.any(np.abs(np.diff(anchors[:, :2], axis=0)) > 1e-6, axis=1))
    boxes = np.diff([*starts, len(anchors)])
    cells = anchors[starts, :2]
    bounds = [*_starts(np.diff(cells[:, 0]) < -1e-6), len(cells)]
    layers = [_layer(cells[first:last], boxes[first:last]) for first, last in pairwise(bounds)]
    return tuple(layer for layer in layers if layer) if all(layers) else ()


def _starts(changes: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return where runs begin, given whether each element differs from the one before."""
    return np.concatenate([[0], np.flatnonzero(changes) + 1])


def _layer(cells: NDArray[np.float32], boxes: NDArray[np.intp]) -> AnchorLayer | None:
    """Return the grid whose cell centres, (cells, 2) y and x, are these; or None."""
    rows = len(_starts(np.diff(cells[:, 0]) > 1e-6))
    columns = len(cells) // rows
    if len(cells) != rows * columns or boxes.min() != boxes.max():
        return None
    centres = [(np.arange(count) + 0.5) / count for count in (rows, columns)]
    expected = np.stack(np.meshgrid(*centres, indexing="ij"), axis=-1).reshape(-1, 2)
    if np.abs(cells - expected).max() > _NEAR:
        return None
    return AnchorLayer(rows, columns, int(boxes[0]))
