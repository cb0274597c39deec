"""Find the box and score outputs of a model, once, by shape, name and signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_ssd.errors import ModelError

_BOX_WORDS = ("box", "loc", "squeeze", "encoding")
_SCORE_WORDS = ("score", "class", "conf", "prob")


@dataclass(frozen=True, slots=True)
class Head:
    """One output: its tensor index, (N, columns) shape and quantisation."""

    index: int
    name: str
    anchors: int
    columns: int
    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class Heads:
    """The two outputs of an SSD: box encodings (N, 4) and class scores (N, columns)."""

    boxes: Head
    scores: Head


def resolve(outputs: Sequence[dict[str, Any]], names: tuple[str, str] | None = None) -> Heads:
    """Return the heads among the interpreter's output details; their order does not matter.

    names: the (boxes, scores) tensors' names, where the model's manifest or op tells them.
    Raises ModelError that lists what was found when no pair, or more than one, fits.
    """
    heads = [head for head in map(_head, outputs) if head]
    pairs = [
        Heads(boxes, scores)
        for boxes in heads
        for scores in heads
        if boxes is not scores and boxes.columns == 4 and boxes.anchors == scores.anchors
    ]
    if names:
        pairs = [pair for pair in pairs if (pair.boxes.name, pair.scores.name) == names]
    if len(pairs) > 1:
        pairs = [pair for pair in pairs if _named_so(pair)]
    if len(pairs) == 1:
        return pairs[0]
    found = ", ".join(f"{item['name']} {list(map(int, item['shape']))}" for item in outputs)
    raise ModelError(
        f"no SSD heads: the outputs are {found or 'none'}; "
        f"expected box encodings [1, N, 4] and class scores [1, N, classes]",
        "give an SSD detection model (a classifier or another detector family does not fit)",
    )


def _head(output: dict[str, Any]) -> Head | None:
    shape = [int(size) for size in output["shape"]]
    if output["dtype"] not in (np.uint8, np.int8, np.float32) or len(shape) not in (2, 3, 4):
        return None
    columns = shape[-1]
    anchors = int(np.prod(shape[:-1]))
    if len(shape) == 2 or shape[0] != 1 or anchors < 2 or columns < 1:
        return None
    scale, zero_point = output["quantization"]
    if len(output["quantization_parameters"]["scales"]) > 1:
        return None
    return Head(int(output["index"]), output["name"], anchors, columns, scale or 1.0, zero_point)


def _named_so(pair: Heads) -> bool:
    return any(word in pair.boxes.name.lower() for word in _BOX_WORDS) and any(
        word in pair.scores.name.lower() for word in _SCORE_WORDS
    )
