"""Read the number that a frame of the synthetic source carries in its pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BITS = 32


def frame_number(image: NDArray[np.uint8]) -> int:
    """Read the number that a (height, width, 3) synthetic frame carries.

    Raises ValueError when its first and last rows disagree (a torn frame), or it has none.
    """
    first, last = image[0, :_BITS, 0], image[-1, :_BITS, 0]
    if not np.isin(first, (0, 255)).all() or len(first) < _BITS:
        raise ValueError("the image carries no frame number")
    if not np.array_equal(first, last):
        raise ValueError("the image is torn: its first and last rows are of different frames")
    return int(np.packbits(first > 0).view(">u4")[0])
