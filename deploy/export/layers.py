"""The parts that MobileNet V1 and its SSDs are made of, as Keras layers with TensorFlow's names.

Maps are float32 (1, height, width, channels). Padding is TensorFlow's SAME unless said otherwise:
at an even size and stride 2 it pads behind only, at an odd size on both sides.
"""

from collections.abc import Sequence
from typing import Any

import keras

Tensor = Any
"""A symbolic Keras tensor (Keras ships no types)."""

BATCH_NORM_EPSILON = 0.001


def image(height: int, width: int) -> Tensor:
    """The input: RGB from -1 to 1."""
    return keras.Input(batch_shape=(1, height, width, 3), name="image")


def convolution(
    maps: Tensor, name: str, filters: int, kernel: int, stride: int = 1, padding: str = "same"
) -> Tensor:
    """Convolution, batch norm, ReLU6."""
    layer = keras.layers.Conv2D(filters, kernel, stride, padding, use_bias=False, name=name)
    return _normalised(layer(maps), name)


def separable(maps: Tensor, name: str, filters: int, stride: int) -> Tensor:
    """A depthwise-separable block: 3x3 depthwise, then 1x1 pointwise, each with batch norm, ReLU6.

    It stands for a 3x3 convolution at 1/filters + 1/9 of its multiply-adds: the depthwise part
    looks around, the pointwise part mixes channels, and neither does both.
    """
    around = f"{name}_depthwise"
    layer = keras.layers.DepthwiseConv2D(3, stride, "same", use_bias=False, name=around)
    return convolution(_normalised(layer(maps), around), f"{name}_pointwise", filters, 1)


def ssd_heads(maps: Sequence[Tensor], boxes: Sequence[int], columns: int) -> dict[str, Tensor]:
    """The box predictors: one 1x1 convolution a map for boxes, one for classes.

    boxes: boxes a cell of each map; columns: classes, with the background as column 0.
    Gives boxes (1, N, 4) in the order ty, tx, th, tw, and scores (1, N, columns), sigmoid done.
    """
    encodings, logits = [], []
    for index, (features, count) in enumerate(zip(maps, boxes, strict=True)):
        name = f"BoxPredictor_{index}"
        encodings.append(_predictor(features, f"{name}_BoxEncodingPredictor", count, 4))
        logits.append(_predictor(features, f"{name}_ClassPredictor", count, columns))
    joined = keras.layers.Concatenate(axis=1, name="logits")(logits)
    return {
        "boxes": keras.layers.Concatenate(axis=1, name="boxes")(encodings),
        "scores": keras.layers.Activation("sigmoid", name="scores")(joined),
    }


def _predictor(features: Tensor, name: str, boxes: int, columns: int) -> Tensor:
    predicted = keras.layers.Conv2D(boxes * columns, 1, name=name)(features)
    return keras.layers.Reshape((-1, columns), name=f"{name}_rows")(predicted)


def _normalised(maps: Tensor, name: str) -> Tensor:
    norm = keras.layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=f"{name}_BatchNorm")
    return keras.layers.ReLU(6, name=f"{name}_Relu6")(norm(maps))
