"""Find the box and score outputs of a model, once, by shape, name and signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_ssd.errors import ModelError

_BOX_WORDS = ("box", "loc", "squeeze", "encoding")
_SCORE_WORDS = ("score", "class", "conf", "prob")
_NAME_THEM = 'name them in a manifest beside the model: "heads": {"boxes": ..., "scores": ...}'


@dataclass(frozen=True, slots=True)
class Head:
    """One output: its tensor index, (N, columns) shape and quantisation.

    names: what the signature calls it, where there is one, and what its tensor is called.
    """

    index: int
    names: tuple[str, ...]
    anchors: int
    columns: int
    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class Heads:
    """The two outputs of an SSD: box encodings (N, 4) and class scores (N, columns)."""

    boxes: Head
    scores: Head


def resolve(
    outputs: Sequence[dict[str, Any]],
    names: tuple[str, str] | None = None,
    signature: Mapping[int, str] | None = None,
) -> Heads:
    """Return the heads among the interpreter's output details; their order does not matter.

    names: the (boxes, scores) outputs' names, where the model's manifest or op tells them.
    signature: the signature's name of each output, by tensor index.
    Raises ModelError that lists what was found when no pair, or more than one, fits.
    """
    pairs = _pairs([_head(output, signature or {}) for output in outputs])
    listed = describe(outputs, signature)
    if not pairs:
        raise ModelError(
            f"no SSD heads: the outputs are {listed}; expected box encodings [1, N, 4] and "
            f"class scores [1, N, classes] of uint8, int8 or float32, one scale each",
            "give an SSD detection model (a classifier or another detector family does not fit)",
        )
    if names:
        pairs = [p for p in pairs if names[0] in p.boxes.names and names[1] in p.scores.names]
        problem = f"no outputs named {names[0]} (boxes) and {names[1]} (scores)"
    elif len(pairs) > 1:
        pairs = _named_so(pairs)
        problem = "several outputs that may be the box encodings and the class scores"
    if len(pairs) == 1:
        return pairs[0]
    raise ModelError(f"{problem}: the outputs are {listed}", _NAME_THEM)


def describe(tensors: Sequence[dict[str, Any]], signature: Mapping[int, str] | None = None) -> str:
    """Return tensor details as a list for people: names, shapes, and a type that is unusual."""
    shown = []
    for item in tensors:
        name = _short(item["name"])
        called = _short((signature or {}).get(int(item["index"]), name))
        also = f" ({name})" if called != name else ""
        kind = "" if _readable(item) else f" {np.dtype(item['dtype']).name}"
        per_channel = " with a scale per channel" if _channels(item) > 1 else ""
        shown.append(f"{called}{also} {[int(n) for n in item['shape']]}{kind}{per_channel}")
    return ", ".join(shown) or "none"


def _short(name: str) -> str:
    # TensorFlow joins the names of everything it fuses into one operator.
    return name if len(name) <= 60 else f"{name[:59]}…"


def _head(output: dict[str, Any], signature: Mapping[int, str]) -> Head | None:
    shape = [int(size) for size in output["shape"]]
    if not _readable(output) or _channels(output) > 1 or len(shape) not in (3, 4):
        return None
    columns = shape[-1]
    anchors = int(np.prod(shape[:-1]))
    if shape[0] != 1 or anchors < 2 or columns < 1:
        return None
    index = int(output["index"])
    called = (signature[index],) if index in signature else ()
    scale, zero_point = output["quantization"]
    return Head(index, (*called, output["name"]), anchors, columns, scale or 1.0, zero_point)


def _pairs(heads: Sequence[Head | None]) -> list[Heads]:
    """Return every two heads whose shapes belong together."""
    fit = [head for head in heads if head]
    return [
        Heads(boxes, scores)
        for boxes in fit
        for scores in fit
        if boxes is not scores and boxes.columns == 4 and boxes.anchors == scores.anchors
    ]


def _readable(output: dict[str, Any]) -> bool:
    return output["dtype"] in (np.uint8, np.int8, np.float32)


def _channels(output: dict[str, Any]) -> int:
    return len(output["quantization_parameters"]["scales"])


def _named_so(pairs: list[Heads]) -> list[Heads]:
    """Return the pairs whose signature says which is which; else those whose tensors do."""
    for which in (0, -1):
        told = [
            pair
            for pair in pairs
            if any(word in pair.boxes.names[which].lower() for word in _BOX_WORDS)
            and any(word in pair.scores.names[which].lower() for word in _SCORE_WORDS)
        ]
        if len(told) == 1:
            return told
    return pairs
