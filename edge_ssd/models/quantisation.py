"""uint8 to int8: what becomes of zero points, stored values, weights and biases.

``real = (stored - zero_point) x scale`` (Jacob et al. 2018, equation 1). Taking 128 from stored
values and zero points alike changes no real number. Weights must have the zero point 0 in int8,
and may have a scale per channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LIMIT = 127
"""Weights are from -127 to 127: TensorFlow Lite's int8 kernels take no -128."""


@dataclass(frozen=True, slots=True, eq=False)
class Quantisation:
    """A tensor's scales and zero points: one of each, or one per channel of ``dimension``."""

    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    dimension: int = 0

    def same_as(self, other: Quantisation) -> bool:
        """Whether stored values mean the same in both."""
        return np.array_equal(self.scales, other.scales) and np.array_equal(
            self.zero_points, other.zero_points
        )


@dataclass(frozen=True, slots=True, eq=False)
class ChannelWeights:
    """int8 weights, shaped as they were; real = values x scale x the channel's step.

    steps: (channels,) float64, 1 or more.
    """

    values: NDArray[np.int8]
    steps: NDArray[np.float64]


def shifted(stored: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Return the int8 that mean the same with a zero point less by 128."""
    moved: NDArray[np.int8] = (stored ^ np.uint8(0x80)).view(np.int8)
    return moved


def per_channel(stored: NDArray[np.uint8], zero_point: int, axis: int) -> ChannelWeights:
    """Return weights with the zero point 0.

    A channel whose levels (stored - zero_point) all are within 127 of 0 keeps them exactly.
    Levels can reach 255; a channel with such ones gets longer steps.
    """
    levels = np.moveaxis(stored.astype(np.int64) - zero_point, axis, 0)
    flat = levels.reshape(len(levels), -1)
    # Cleverer steps and rounding (least squares, errors that add up to nothing) were measured:
    # no difference to what is detected.
    steps = np.maximum(1.0, np.abs(flat).max(axis=1) / LIMIT)
    values = np.rint(flat / steps[:, None]).reshape(levels.shape)
    return ChannelWeights(np.moveaxis(values, 0, axis).astype(np.int8), steps)


def rescaled_bias(stored: NDArray[Any], steps: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return int32 biases in steps that are so many of the old ones long."""
    rescaled: NDArray[np.int32] = np.rint(stored / steps).astype(np.int32)
    return rescaled
