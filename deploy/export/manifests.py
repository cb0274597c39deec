"""What the manifests of all exported models have in common (docs/models.md has every key)."""

import hashlib
from typing import Any

from deploy.export import calibration

SSD_LAYOUT = {
    "type": "ssd",
    "grids": [[19, 19], [10, 10], [5, 5], [3, 3], [2, 2], [1, 1]],
    "min_scale": 0.2,
    "max_scale": 0.95,
    "aspect_ratios": [1.0, 2.0, 0.5, 3.0, 0.3333],
    "interpolated_scale_aspect_ratio": 1.0,
    "reduce_boxes_in_lowest_layer": True,
}
"""TensorFlow's anchors at 300: 1917."""


def head(name: str, description: str, model: bytes) -> dict[str, Any]:
    """A manifest's first keys: what the file is."""
    return {
        "schema": 1,
        "name": name,
        "description": description,
        "file": {
            "name": f"{name}.tflite",
            "sha256": hashlib.sha256(model).hexdigest(),
            "size": len(model),
        },
    }


def input_of(size: int) -> dict[str, Any]:
    """What the network takes: size x size pixels, -1 to 1."""
    return {"width": size, "height": size, "channels": "RGB", "mean": 127.5, "std": 127.5}


def ssd(anchors: dict[str, Any], labels: list[str | None], iou_threshold: float) -> dict[str, Any]:
    """How the raw heads of layers.ssd_heads are read; `labels` without the background."""
    return {
        "box_coder": {"y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0},
        "heads": {"boxes": "boxes", "scores": "scores"},
        "score_activation": "none",
        "background": True,
        "anchors": anchors,
        "labels": labels,
        "postprocess": {"iou_threshold": iou_threshold},
    }


def calibrated() -> list[dict[str, str]]:
    """The calibration photos, for the key `calibration`."""
    return [
        {
            "package": photo.package.label,
            "path": photo.path,
            "licence": photo.package.licence,
            "sha256": photo.sha256,
        }
        for photo in calibration.photos()
    ]
