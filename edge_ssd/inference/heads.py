"""Find the box and score outputs of a model, once, by shape, name and signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from edge_ssd.errors import ModelError
from edge_ssd.inference.tensors import TensorInfo

READABLE = (np.uint8, np.int8, np.float32)  # the engine's types of inputs and outputs
_BOX_WORDS = ("box", "loc", "squeeze", "encoding")
_SCORE_WORDS = ("score", "class", "conf", "prob")
_NAME_THEM = 'name them in a manifest beside the model: "heads": {"boxes": ..., "scores": ...}'


@dataclass(frozen=True, slots=True)
class Heads:
    """The two outputs of an SSD: box encodings (N, 4) and class scores (N, columns)."""

    boxes: TensorInfo
    scores: TensorInfo

    @property
    def anchors(self) -> int:
        """N: how many anchors there are, with an encoding and scores each."""
        return self.boxes.rows


def resolve(outputs: Sequence[TensorInfo], names: tuple[str, str] | None = None) -> Heads:
    """Return the heads among a model's outputs; their order does not matter.

    names: the (boxes, scores) outputs' names, where the model's manifest or op has them.
    Raises ModelError that lists the outputs when no pair, or more than one, fits.
    """
    pairs = [
        Heads(boxes, scores)
        for boxes, scores in permutations(filter(_fits, outputs), 2)
        if boxes.columns == 4 and boxes.rows == scores.rows
    ]
    listed = describe(outputs)
    if not pairs:
        raise ModelError(
            f"no SSD heads: the outputs are {listed}; expected box encodings [1, N, 4] and "
            f"class scores [1, N, classes] of uint8, int8 or float32, one scale each",
            "give an SSD detection model (a classifier or another detector family does not fit)",
        )
    if names:
        pairs = [p for p in pairs if names[0] in _names(p.boxes) and names[1] in _names(p.scores)]
        problem = f"no outputs named {names[0]} (boxes) and {names[1]} (scores)"
    elif len(pairs) > 1:
        pairs = _named_so(pairs)
        problem = "several outputs that may be the box encodings and the class scores"
    if len(pairs) == 1:
        return pairs[0]
    raise ModelError(f"{problem}: the outputs are {listed}", _NAME_THEM)


def describe(tensors: Sequence[TensorInfo]) -> str:
    """Return tensors as a list for people: names, shapes, and a type that is unusual."""
    shown = []
    for tensor in tensors:
        name = _short(tensor.name)
        called = _short(tensor.signature_name) or name
        also = f" ({name})" if called != name else ""
        kind = "" if tensor.dtype in READABLE else f" {tensor.dtype.name}"
        per_channel = " with a scale per channel" if len(tensor.scales) > 1 else ""
        shown.append(f"{called}{also} {list(tensor.shape)}{kind}{per_channel}")
    return ", ".join(shown) or "none"


def _short(name: str) -> str:
    # TensorFlow joins the names of everything it fuses into one operator.
    return name if len(name) <= 60 else f"{name[:59]}…"


def _names(tensor: TensorInfo) -> tuple[str, ...]:
    """Return its name in the signature, where there is one, and its own."""
    return (*filter(None, [tensor.signature_name]), tensor.name)


def _fits(output: TensorInfo) -> bool:
    """Whether an output may be one of the heads."""
    simple = output.dtype in READABLE and len(output.scales) <= 1 and len(output.shape) in (3, 4)
    return simple and output.shape[0] == 1 and output.rows > 1 and output.columns > 0


def _named_so(pairs: list[Heads]) -> list[Heads]:
    """Return the pair that is named so in the signature, else by its tensors; else all pairs."""
    for which in (0, -1):
        named = [
            pair
            for pair in pairs
            if any(word in _names(pair.boxes)[which].lower() for word in _BOX_WORDS)
            and any(word in _names(pair.scores)[which].lower() for word in _SCORE_WORDS)
        ]
        if len(named) == 1:
            return named
    return pairs
