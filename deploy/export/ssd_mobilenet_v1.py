"""SSD MobileNet V1 as TensorFlow's object detection API has it.

Six maps: Conv2d_11 (19x19x512 at 300), Conv2d_13 (10x10x1024), then four pairs of a 1x1
convolution and a 3x3 one with stride 2 (5, 3, 2, 1 cells). 1917 boxes at 300, 5118 at 512.
"""

from typing import Any

import keras

from deploy.export import layers, mobilenet_v1

NAME = "ssd_mobilenet_v1"
SIZE = 300
FROM_BASE = (11, 13)
"""The blocks of MobileNet V1 whose outputs are the first two maps."""

# The further maps: channels of the 1x1 convolution, channels of the 3x3 one with stride 2.
FURTHER = ((256, 512), (128, 256), (128, 256), (64, 128))

BOXES = (3, 6, 6, 6, 6, 6)
"""Boxes a cell, by map; the layout `ssd` of the manifest generates their anchors."""


def build(size: int = SIZE, classes: int = 90) -> Any:
    """(1, size, size, 3), -1 to 1, to the raw heads of layers.ssd_heads; background comes first."""
    image = layers.image(size, size)
    outputs = mobilenet_v1.base(image)
    maps = [outputs[block] for block in FROM_BASE]
    for (narrow, wide), (squeeze, expand) in zip(FURTHER, further_names(), strict=True):
        squeezed = layers.convolution(maps[-1], squeeze, narrow, 1)
        maps.append(layers.convolution(squeezed, expand, wide, 3, 2))
    return keras.Model(image, layers.ssd_heads(maps, BOXES, classes + 1), name=NAME)


def further_names() -> list[tuple[str, str]]:
    """What TensorFlow calls the convolutions of FURTHER."""
    return [
        (
            f"Conv2d_13_pointwise_1_Conv2d_{index}_1x1_{narrow}",
            f"Conv2d_13_pointwise_2_Conv2d_{index}_3x3_s2_{wide}",
        )
        for index, (narrow, wide) in enumerate(FURTHER, start=2)
    ]
