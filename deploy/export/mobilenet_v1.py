"""MobileNet V1 (Howard et al. 2017, "MobileNets: Efficient Convolutional Neural Networks ...").

The paper's table 1: a 3x3 convolution with stride 2, then 13 depthwise-separable blocks, then
average pooling, a fully connected layer and softmax.
"""

from collections.abc import Sequence
from typing import Any

import keras

from deploy.export import layers
from deploy.export.layers import Tensor

FIRST = 32
"""Channels of the first convolution (Conv2d_0): 3x3, stride 2."""

# Conv2d_1 to Conv2d_13: stride of the depthwise convolution, channels after the pointwise one.
BLOCKS = (
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (2, 1024),
    # Table 1 prints stride 2 for this one's depthwise part, with an output that only 1 gives.
    (1, 1024),
)

CLASSES = 1000
SIZE = 224


def base(
    image: Tensor, blocks: Sequence[tuple[int, int]] = BLOCKS, alpha: float = 1.0
) -> list[Tensor]:
    """The outputs of Conv2d_0, Conv2d_1, ... for all `blocks`; alpha multiplies every width."""
    maps = [layers.convolution(image, "Conv2d_0", _width(FIRST, alpha), 3, 2)]
    for index, (stride, channels) in enumerate(blocks, start=1):
        maps.append(layers.separable(maps[-1], f"Conv2d_{index}", _width(channels, alpha), stride))
    return maps


def build(size: int = SIZE, alpha: float = 1.0, classes: int = CLASSES) -> Any:
    """The classifier: (1, size, size, 3), -1 to 1, to the output `scores` (1, classes)."""
    image = layers.image(size, size)
    pooled = keras.layers.GlobalAveragePooling2D(name="AvgPool")(base(image, alpha=alpha)[-1])
    logits = keras.layers.Dense(classes, name="Logits")(pooled)
    scores = keras.layers.Activation("softmax", name="scores")(logits)
    return keras.Model(image, {"scores": scores}, name="mobilenet_v1")


def _width(channels: int, alpha: float) -> int:
    """A layer has 8 channels at least, as in TensorFlow's own."""
    return max(int(channels * alpha), 8)
