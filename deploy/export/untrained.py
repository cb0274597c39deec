"""The architectures as files: random weights, the same at every export.

They show that a builder's network converts, loads and runs; they find nothing.
"""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from deploy.export import (
    manifests,
    mobilenet_v1,
    ssd_mobilenet_v1,
    ssd_mobilenet_v1_38,
)
from deploy.export.finish import finish
from deploy.export.quantise import concrete, quantise
from deploy.export.recipes import Recipe

SEED = 0
_NOISE_IMAGES = 4


def _build(builder: Any, _folder: Path) -> bytes:
    model = builder()
    _randomise(model)
    quantised = quantise(concrete(model), _noise(model.inputs[0].shape))
    return finish(quantised, sorted(model.output))


def _randomise(model: Any) -> None:
    """Kernels from a normal distribution as in He et al. 2015, which keeps the signal's size."""
    generator = np.random.default_rng(SEED)
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            shape = tuple(layer.kernel.shape)
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            inputs = math.prod(shape[:2] if depthwise else shape[:-1])
            # A thousand nearly equal classes would have less than a quantum each.
            gain = 10 if isinstance(layer, keras.layers.Dense) else 1
            layer.kernel.assign(generator.normal(0, gain * math.sqrt(2 / inputs), shape))


def _noise(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(SEED)
    for _ in range(_NOISE_IMAGES):
        yield generator.uniform(-1, 1, shape).astype(np.float32)


def _classifier(model: bytes) -> dict[str, Any]:
    described = manifests.head("mobilenet_v1", "MobileNet V1, untrained classifier", model)
    return described | {"input": manifests.input_of(mobilenet_v1.SIZE)}


def _ssd(builder: Any, anchors: dict[str, Any], model: bytes) -> dict[str, Any]:
    boxes = sum(
        rows * columns * count
        for (rows, columns), count in zip(anchors["grids"], builder.BOXES, strict=True)
    )
    description = f"SSD MobileNet V1, untrained, {boxes} boxes"
    return {
        **manifests.head(builder.NAME, description, model),
        "input": manifests.input_of(builder.SIZE),
        **manifests.ssd(anchors, [], 0.6),
    }


def _ssd_recipe(builder: Any, anchors: dict[str, Any]) -> Recipe:
    return Recipe(partial(_build, builder.build), partial(_ssd, builder, anchors), None)


RECIPES = {
    "mobilenet_v1": Recipe(partial(_build, mobilenet_v1.build), _classifier, None),
    "ssd_mobilenet_v1": _ssd_recipe(ssd_mobilenet_v1, manifests.SSD_LAYOUT),
    "ssd_mobilenet_v1_38": _ssd_recipe(ssd_mobilenet_v1_38, ssd_mobilenet_v1_38.ANCHORS),
}
