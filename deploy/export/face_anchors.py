"""The face detector's anchors at any input size, though it was trained at 512 pixels only.

A network learns its boxes in pixels around the middle of what a cell sees (its receptive field).
So an anchor keeps its size in pixels, and its place relative to that middle. The middle moves:
SAME padding at stride 2 pads behind only where a map's size is even, and on both sides where it
is odd, as 75, 19 and 5 of a 300 pixel input are. The usual formula at 300 would instead make every
box too small, by 300 / 512.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deploy.export.ssd_mobilenet_v1 import BOXES
from edge_ssd.postprocess.anchors import generate, mobilenet_layout

TRAINED_SIZE = 512

# It is older than TensorFlow's present order: the interpolated scale comes second, not last.
_ORDER = {3: (0, 1, 2), 6: (0, 5, 1, 2, 3, 4)}

_HALVINGS_BEFORE_FIRST_MAP = 4


class Grid(NamedTuple):
    """One map's cells: how many a row, how far apart, the middle of the first's view (pixels)."""

    cells: int
    stride: int
    first: float


def grids(size: int) -> list[Grid]:
    """The six maps of a size x size input."""
    grid = Grid(size, 1, 0.5)
    for _ in range(_HALVINGS_BEFORE_FIRST_MAP):
        grid = _halved(grid)
    found = [grid]
    while len(found) < len(BOXES):
        found.append(_halved(found[-1]))
    return found


def anchors(size: int) -> NDArray[np.float32]:
    """(N, 4) ycenter, xcenter, h, w, relative to the input of `size` pixels."""
    return (np.concatenate(list(_layers(size))) / size).astype(np.float32)


def _layers(size: int) -> Iterator[NDArray[np.float64]]:
    """Each map's anchors in pixels."""
    trained = generate(mobilenet_layout(TRAINED_SIZE, TRAINED_SIZE), TRAINED_SIZE, TRAINED_SIZE)
    start = 0
    for then, now, boxes in zip(grids(TRAINED_SIZE), grids(size), BOXES, strict=True):
        first_cell = trained[start : start + boxes][list(_ORDER[boxes])].astype(float)
        start += then.cells**2 * boxes
        places, sizes = np.split(first_cell * TRAINED_SIZE, 2, axis=1)
        middles = now.first + now.stride * np.arange(now.cells)
        views = np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1).reshape(-1, 1, 2)
        centers = views + (places - then.first)
        everywhere = np.broadcast_to(sizes, centers.shape)
        yield np.concatenate([centers, everywhere], axis=-1).reshape(-1, 4)


def _halved(grid: Grid) -> Grid:
    """After a 3x3 convolution with stride 2 and SAME padding."""
    padded_before = grid.cells % 2
    first = grid.first + (1 - padded_before) * grid.stride
    return Grid((grid.cells + 1) // 2, 2 * grid.stride, first)
