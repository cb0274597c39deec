"""Pick the (anchor, class) pairs worth decoding: threshold first, in the scores' own domain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ssd.postprocess.box_coder import dequantize
from edge_ssd.types import QuantizedTensor

_FEW = 64


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """(K,) columns, best score first; equal scores in the order of anchors, then classes.

    anchors: intp indices. class_ids: int32, background not counted. scores: float32.
    """

    anchors: NDArray[np.intp]
    class_ids: NDArray[np.int32]
    scores: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Limits:
    """What a stored score must reach, by column.

    real: (256,) float32 score of each stored byte, None for float scores.
    least: (columns,) of the scores' dtype, the minimum; reachable: (columns,) bool.
    """

    real: NDArray[np.float32] | None
    least: NDArray[Any]
    reachable: NDArray[np.bool_]

    @cached_property
    def shared(self) -> Any:
        """One limit for all, which compares several times faster, or one per column."""
        distinct = np.unique(self.least[self.reachable])
        return distinct[0] if len(distinct) == 1 else self.least


class CandidateFilter:
    """Score thresholds, translated into the quantisation of the scores they meet.

    thresholds: (classes,) float32, the minimum score of each class; infinite leaves it out.
    background: column 0 of the scores is skipped. sigmoid: the scores are logits.

    Belongs to one thread: it reuses a buffer as large as the scores.
    """

    def __init__(self, thresholds: NDArray[np.float32], background: bool, sigmoid: bool) -> None:
        self._first = int(background)
        # No score reaches infinity: that leaves the background out.
        skip = np.full(self._first, np.inf, np.float32)
        self._thresholds = np.concatenate([skip, thresholds])
        self._sigmoid = sigmoid
        self._known: dict[tuple[Any, float, int], _Limits] = {}
        self._scratch = bytearray()

    def __call__(self, scores: QuantizedTensor, limit: int) -> Candidates:
        """Return the best ``limit`` candidates among (N, columns) scores."""
        values, limits = scores.values, self._limits(scores)
        if len(self._scratch) != values.size:
            self._scratch = bytearray(values.size)
        reached = np.frombuffer(self._scratch, bool).reshape(values.shape)
        np.greater_equal(values, limits.shared, out=reached)
        if limits.reachable[self._first :].all():
            reached[:, : self._first] = False
        else:
            reached &= limits.reachable
        flat = _true_indices(self._scratch)
        picked = values.ravel()[flat]
        order = _best_first(picked, limit)
        anchors, columns = np.divmod(flat[order], values.shape[1])
        class_ids = (columns - self._first).astype(np.int32)
        return Candidates(anchors, class_ids, self._real(picked[order], limits))

    def _limits(self, scores: QuantizedTensor) -> _Limits:
        """Return the limits for this quantisation; a model has one, so they are made once."""
        key = (scores.values.dtype, scores.scale, scores.zero_point)
        if key not in self._known:
            make = self._quantized_limits if scores.quantized else self._float_limits
            self._known[key] = make(scores)
        return self._known[key]

    def _quantized_limits(self, scores: QuantizedTensor) -> _Limits:
        stored = np.arange(256, dtype=np.uint8).view(scores.values.dtype)
        real = dequantize(stored, scores.scale, scores.zero_point)
        real = _sigmoid(real) if self._sigmoid else real
        ascending = np.sort(stored)
        reach = real[ascending.view(np.uint8)] >= self._thresholds[:, None]
        return _Limits(real, ascending[reach.argmax(axis=1)], np.logical_or.reduce(reach, axis=1))

    def _float_limits(self, _scores: QuantizedTensor) -> _Limits:
        least = self._thresholds
        if self._sigmoid:
            with np.errstate(divide="ignore", invalid="ignore"):
                logits = np.log(least) - np.log1p(-least)
            least = np.where(least < 1, logits, np.inf).astype(np.float32)
        return _Limits(None, least, np.isfinite(self._thresholds))

    def _real(self, values: NDArray[Any], limits: _Limits) -> NDArray[np.float32]:
        if limits.real is not None:
            return limits.real[values.view(np.uint8)]
        return _sigmoid(values) if self._sigmoid else values


def _true_indices(flags: bytearray) -> NDArray[np.intp]:
    """Indices of the bytes that are 1, ascending.

    A frame has few candidates at a usual threshold, and looking for the next byte is several
    times faster than numpy's search of the whole array.
    """
    found: list[int] = []
    index = flags.find(1)
    while index >= 0:
        found.append(index)
        if len(found) > _FEW:
            return np.flatnonzero(np.frombuffer(flags, bool))
        index = flags.find(1, index + 1)
    return np.array(found, np.intp)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-logits))).astype(np.float32)


def _best_first(values: NDArray[Any], limit: int) -> NDArray[np.intp]:
    """Indices of the ``limit`` largest values, largest first, equal ones in their order."""
    if values.dtype != np.float32:
        # A stable sort of bytes is a radix sort: linear, and the order of equals is kept.
        return np.argsort(~values, kind="stable")[:limit]
    if len(values) <= limit:
        return np.argsort(-values, kind="stable")
    cut = np.partition(values, len(values) - limit)[len(values) - limit]
    reach = np.flatnonzero(values >= cut)
    return reach[np.argsort(-values[reach], kind="stable")][:limit]
