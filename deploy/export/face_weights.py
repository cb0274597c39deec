"""The published weights of the face detector, under the names of our builder's layers.

The package keeps TensorFlow's names. It had folded the batch norm of ordinary and pointwise
convolutions into their weights, but for the offset (`convolution_bn_offset`).
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from deploy.export import ExportError, ssd_mobilenet_v1
from deploy.export.packages import Package, fetch, member
from deploy.export.tfjs_graph import split_shards
from deploy.export.weights import folded_batch_norm

PACKAGE = Package("npm", "@vladmandic/face-api", "1.7.15", "MIT")
_MODEL = "model/ssd_mobilenetv1_model"
FILES = {
    f"{_MODEL}-weights_manifest.json": "888f744dffbc84f5f060d1f8427d9742341943a2dfaaf9205d10029b7e7a2955",  # noqa: E501
    f"{_MODEL}.bin": "2835640602d53718aa6ae9a42896327eaa21beefed056c218d32ca7d79e1e2f8",
}

ANCHORS = "Output/extra_dim"
"""The constant that holds the anchors at 512, (1, 5118, 4) as corners ymin, xmin, ymax, xmax."""

# Constants of the published graph that no layer has: shapes, strides, the input's scaling.
_NO_WEIGHTS = re.compile(
    r"Preprocessor/.*|Postprocessor/.*|concat_1/axis|Prediction/BoxPredictor_\d/(stack|strided).*"
)

_VARIABLES = {
    "weights": "kernel",
    "depthwise_weights": "kernel",
    "biases": "bias",
    **{f"BatchNorm/{name}": name for name in ("gamma", "beta", "moving_mean", "moving_variance")},
}

_PUBLISHED_COLUMNS = 3
"""Of the class predictors: background, face, and one that is never used (below .05 on photos)."""


def published(folder: Path) -> dict[str, np.ndarray]:
    """Every constant of the package's model by its own name; folder: for downloads."""
    archive = fetch(PACKAGE, folder)
    listed, shard = (member(archive, path, sha256) for path, sha256 in FILES.items())
    (group,) = json.loads(listed)
    return split_shards(group["weights"], shard)


def renamed(constants: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights for `weights.assign`; a constant that is not known is refused by name."""
    found: dict[str, np.ndarray] = {}
    for name, value in constants.items():
        if name != ANCHORS and not _NO_WEIGHTS.fullmatch(name):
            found.update(_variables(name, value))
    return found


def _variables(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """What one published constant gives: a variable, or a batch norm of four."""
    layer, variable = _layer(name)
    if variable == "convolution_bn_offset":
        return folded_batch_norm(f"{layer}_BatchNorm", value)
    if variable not in _VARIABLES:
        raise ExportError(f"constant {name}: no layer has a variable for it")
    if layer.endswith("_ClassPredictor"):
        value = _without_third_column(value)
    norm = "_BatchNorm" if variable.startswith("BatchNorm/") else ""
    return {f"{layer}{norm}/{_VARIABLES[variable]}": value}


def _layer(name: str) -> tuple[str, str]:
    """The builder's name of the layer that a constant belongs to, and the rest of the name."""
    known = re.fullmatch(r"(MobilenetV1|Prediction)/(\w+)/(.+)", name)
    if known is None:
        raise ExportError(f"constant {name}: no layer is called so")
    scope, layer, variable = known.groups()
    if scope == "MobilenetV1":
        return "Conv2d_0" if layer == "Conv2d_0_pointwise" else layer, variable
    if layer.startswith("BoxPredictor"):
        part, variable = variable.split("/", 1)
        return f"{layer}_{part}", variable
    # Prediction/Conv2d_0_pointwise to Conv2d_7_pointwise: the further maps' convolutions.
    further = [further for pair in ssd_mobilenet_v1.further_names() for further in pair]
    return further[int(layer.split("_")[1])], variable


def _without_third_column(value: np.ndarray) -> np.ndarray:
    """(..., boxes x 3) to (..., boxes x 2)."""
    columns = value.reshape(*value.shape[:-1], -1, _PUBLISHED_COLUMNS)
    return columns[..., :2].reshape(*value.shape[:-1], -1)
