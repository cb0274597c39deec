"""SSD MobileNet V1 with SSD300's own maps: 38x38 first, 8732 boxes (Liu et al. 2016, "SSD").

MobileNet V1 has 256 channels at 38x38 (of a 300x300 picture) and 512 only from 19x19 on. The
article takes 38x38x512, so the stride of block 6 is 1 here, and blocks 6 to 11 work at 38x38: the
base ends with block 11. What follows are standard convolutions, as VGG's fc6, fc7 and SSD's own.
"""

from typing import Any

import keras

from deploy.export import layers, mobilenet_v1

NAME = "ssd_mobilenet_v1_38"
SIZE = 300

# MobileNet V1's blocks 1 to 11 with stride 1 instead of 2 in block 6: stride, channels.
BLOCKS = (*mobilenet_v1.BLOCKS[:5], (1, 512), *mobilenet_v1.BLOCKS[6:11])

# Each further map's two convolutions: kernel, channels, stride, padding.
FURTHER = (
    ((3, 1024, 2, "same"), (1, 1024, 1, "same")),  # 19x19
    ((1, 256, 1, "same"), (3, 512, 2, "same")),  # 10x10
    ((1, 128, 1, "same"), (3, 256, 2, "same")),  # 5x5
    ((1, 128, 1, "same"), (3, 256, 2, "same")),  # 3x3
    ((1, 128, 1, "same"), (3, 256, 1, "valid")),  # 1x1
)

BOXES = (4, 6, 6, 6, 4, 4)
"""Boxes a cell, by map."""

ANCHORS = {
    "type": "ssd",
    "grids": [[38, 38], [19, 19], [10, 10], [5, 5], [3, 3], [1, 1]],
    "scales": [0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05],
    "aspect_ratios": [
        [1.0, 2.0, 0.5] if boxes == 4 else [1.0, 2.0, 0.5, 3.0, 0.3333] for boxes in BOXES
    ],
    "interpolated_scale_aspect_ratio": 1.0,
    "reduce_boxes_in_lowest_layer": False,
}
"""For the manifest: SSD300's default boxes, .2 to .88 and .1 for the first map."""


def build(classes: int = 90) -> Any:
    """(1, 300, 300, 3), -1 to 1, to the raw heads of layers.ssd_heads; background comes first."""
    image = layers.image(SIZE, SIZE)
    maps = [mobilenet_v1.base(image, BLOCKS)[-1]]
    for index, pair in enumerate(FURTHER, start=1):
        features = maps[-1]
        for part, (kernel, channels, stride, padding) in enumerate(pair, start=1):
            name = f"Further_{index}_{part}_{kernel}x{kernel}_{channels}"
            features = layers.convolution(features, name, channels, kernel, stride, padding)
        maps.append(features)
    return keras.Model(image, layers.ssd_heads(maps, BOXES, classes + 1), name=NAME)
