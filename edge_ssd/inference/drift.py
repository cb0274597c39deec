"""Notice that inference became slow: the USB Edge TPU has no temperature sensor."""

from __future__ import annotations

import logging
import statistics
from collections import deque

log = logging.getLogger(__name__)

WINDOW = 50
FACTOR = 3.0


class DriftWatch:
    """Compares the median of the last 50 inferences with that of the first 50; warns once.

    The very first inferences are left out: they load caches and, on a stick, the model.
    """

    def __init__(self, warm_up: int = 10) -> None:
        self._skip = warm_up
        self._usual: float | None = None
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._warned = False

    def note(self, milliseconds: float) -> None:
        """Note how long one inference took."""
        if self._skip:
            self._skip -= 1
            return
        self._recent.append(milliseconds)
        if self._warned or len(self._recent) < WINDOW:
            return
        median = statistics.median(self._recent)
        self._recent.clear()
        if self._usual is None:
            self._usual = median
        elif median > FACTOR * self._usual:
            self._warned = True
            log.warning(
                "inference takes %.1f ms and took %.1f ms at first; an Edge TPU that is hot, "
                "short of power or on a USB 2 link slows down",
                median,
                self._usual,
            )
