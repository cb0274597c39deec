"""Numbers and near misses in sentences."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def counted(number: int, noun: str) -> str:
    """Return ``1 class`` or ``2 classes``."""
    ending = "" if number == 1 else "es" if noun.endswith(("s", "x")) else "s"
    return f"{number} {noun}{ending}"


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` for the known word nearest to the given one, or nothing."""
    near = difflib.get_close_matches(given, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
