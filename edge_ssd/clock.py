"""Whether the kernel's clock is synchronised, as it says itself."""

from __future__ import annotations

import ctypes

_TIMEX_BYTES = 512  # more than struct timex has anywhere
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


def synchronised() -> bool | None:
    """Return whether something keeps the clock right; None when the kernel does not tell."""
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    # A struct of zeros asks and changes nothing.
    state = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) if adjtimex else -1
    return None if state < 0 else state != _TIME_ERROR
