"""Puts published weights into a Keras model, by name, each exactly once."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from deploy.export import ExportError
from deploy.export.layers import BATCH_NORM_EPSILON

Weights = Mapping[str, np.ndarray]
"""Values by LAYER/VARIABLE, as Keras names them: Conv2d_0/kernel, Conv2d_0_BatchNorm/gamma."""


def assign(model: Any, weights: Weights) -> None:
    """Set every variable of `model`. A weight too many, too few or misshapen is refused by name."""
    variables = {
        f"{layer.name}/{variable.name}": variable
        for layer in model.layers
        for variable in layer.weights
    }
    if unused := sorted(weights.keys() - variables.keys()):
        raise ExportError(f"{model.name} has no place for the weights {', '.join(unused)}")
    if missing := sorted(variables.keys() - weights.keys()):
        raise ExportError(f"the weights {', '.join(missing)} of {model.name} are missing")
    for name, variable in variables.items():
        value, shape = weights[name], tuple(variable.shape)
        if value.shape != shape:
            raise ExportError(f"weight {name} has the shape {value.shape}, expected {shape}")
        variable.assign(value)


def folded_batch_norm(name: str, offset: np.ndarray) -> dict[str, np.ndarray]:
    """The batch norm `name` of a convolution whose own is folded into it, but for its offset."""
    one = np.ones_like(offset)
    return {
        f"{name}/gamma": one,
        f"{name}/beta": offset,
        f"{name}/moving_mean": np.zeros_like(offset),
        # So that dividing by sqrt(variance + epsilon) changes nothing.
        f"{name}/moving_variance": one - np.float32(BATCH_NORM_EPSILON),
    }
