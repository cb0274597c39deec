"""COCO's class names: 80, numbered from 1 to 90 with ten gaps, as TensorFlow's models have them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from edge_ssd.models import catalogue

CLASSES = 90
_MOST = 0.9
# As darknet and its descendants write them.
_SAME = {
    "aeroplane": "airplane", "motorbike": "motorcycle", "sofa": "couch", "tvmonitor": "tv",
    "hairdryer": "hairdrier",
}  # fmt: skip


@cache
def labels() -> tuple[str | None, ...]:
    """Return the 90 names, None for each gap; class 0 is person."""
    return tuple(catalogue.describe(catalogue.DEFAULT).get("labels", list))


def respaced(names: Sequence[str | None], classes: int) -> tuple[str | None, ...] | None:
    """Return COCO's names with its gaps put in (90 classes) or taken out (80 classes).

    The spelling stays. None where the names are not COCO's, all of them, in their order.
    """
    named = [name for name in names if name]
    if [_key(name) for name in named] != [_key(name) for name in labels() if name]:
        return None
    if classes == len(named):
        return tuple(named)
    spelt = iter(named)
    return tuple(name and next(spelt) for name in labels()) if classes == CLASSES else None


def moved_by(names: Sequence[str | None]) -> int:
    """Return 1 (or -1) where the names are COCO's, each one line too late (too early); else 0."""
    for known in (labels(), [name for name in labels() if name]):
        if len(names) == len(known):
            for by in (1, -1):
                if _agreement(names, known, by) > _MOST > _agreement(names, known, 0):
                    return by
    return 0


def _agreement(names: Sequence[str | None], known: Sequence[str | None], by: int) -> float:
    """Return the share of the named lines that have the known name of ``by`` lines before."""
    pairs = [
        (_key(name), _key(known[line - by] or ""))
        for line, name in enumerate(names)
        if name and 0 <= line - by < len(known)
    ]
    return sum(name == other for name, other in pairs) / len(pairs) if len(pairs) > 9 else 0.0


def _key(name: str) -> str:
    letters = re.sub(r"[^a-z]", "", name.lower())
    return _SAME.get(letters, letters)
