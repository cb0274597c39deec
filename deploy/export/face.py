"""ssd_mobilenet_v1_face: a trained SSD MobileNet V1 with one class, through our own builder.

Trained at 512. At 300 it costs a third; `face_anchors` says why its anchors are a table.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deploy.export import (
    ExportError,
    calibration,
    face_anchors,
    face_weights,
    manifests,
    ssd_mobilenet_v1,
)
from deploy.export.face_anchors import TRAINED_SIZE
from deploy.export.finish import finish
from deploy.export.quantise import concrete, quantise
from deploy.export.recipes import Recipe
from deploy.export.weights import assign

_IOU_THRESHOLD = 0.5
"""What the package itself suppresses neighbours with."""


def float_model(size: int, constants: dict[str, np.ndarray]) -> Any:
    """The Keras model with the published weights. Raises ExportError if one is left over."""
    _check_anchors(constants[face_weights.ANCHORS])
    model = ssd_mobilenet_v1.build(size, classes=1)
    assign(model, face_weights.renamed(constants))
    return model


def _build(size: int, folder: Path) -> bytes:
    model = float_model(size, face_weights.published(folder))
    quantised = quantise(concrete(model), list(calibration.inputs(folder, size)))
    return finish(quantised, sorted(model.output))


def _check_anchors(corners: np.ndarray) -> None:
    """The published anchors must be those that the formula gives at the size of training."""
    low, high = corners[0, :, :2], corners[0, :, 2:]
    published = np.concatenate([(low + high) / 2, high - low], axis=1)
    if np.abs(published - face_anchors.anchors(TRAINED_SIZE)).max() > 1e-6:
        raise ExportError("the published anchors are not those of the SSD formula at 512 pixels")


def _manifest(name: str, size: int, model: bytes) -> dict[str, Any]:
    description = f"SSD MobileNet V1, faces, 8 bits, {size} x {size} pixels"
    rows = face_anchors.anchors(size).astype(float).round(7).tolist()
    return {
        **manifests.head(name, description, model),
        "origin": {
            "package": face_weights.PACKAGE.label,
            "files": face_weights.FILES,
            "weights": "the SSD MobileNet V1 face detector that the package ships, packed to "
            "8 bits by its authors; its third class column, which nothing reads, left out",
        },
        "licence": face_weights.PACKAGE.licence,
        "input": manifests.input_of(size),
        **manifests.ssd({"type": "table", "values_cyxhw": rows}, ["face"], _IOU_THRESHOLD),
        "calibration": manifests.calibrated(),
    }


def _recipe(name: str, size: int) -> Recipe:
    return Recipe(partial(_build, size), partial(_manifest, name, size), "astronaut.jpg")


RECIPES = {
    name: _recipe(name, size)
    for name, size in (("ssd_mobilenet_v1_face", 300), ("ssd_mobilenet_v1_face_512", TRAINED_SIZE))
}
