"""Delays between attempts."""

from __future__ import annotations

import random


class Backoff:
    """Delays that double, from ``first_s`` up to ``last_s`` seconds.

    jitter: limits of a random factor of each, so that many clients do not return at one moment.
    """

    def __init__(
        self, first_s: float, last_s: float, jitter: tuple[float, float] = (1.0, 1.0)
    ) -> None:
        self._first_s = self._delay_s = first_s
        self._last_s = last_s
        self._jitter = jitter

    def next_s(self) -> float:
        """Return the seconds to wait before the next attempt."""
        delay_s = min(self._delay_s, self._last_s)
        self._delay_s = 2 * delay_s
        return delay_s * random.uniform(*self._jitter)

    def reset(self) -> None:
        """Begin again with the first delay."""
        self._delay_s = self._first_s
