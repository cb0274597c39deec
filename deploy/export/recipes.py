"""Every model that can be exported, by name: what builds its file and what describes it."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple


class Recipe(NamedTuple):
    """How one model is made.

    build: from a folder to download packages to, to the bytes of the .tflite file.
    manifest: from those bytes to the manifest, without golden detections.
    golden: the picture of demo/images that its golden detections are on; none when untrained.
    """

    build: Callable[[Path], bytes]
    manifest: Callable[[bytes], dict[str, Any]]
    golden: str | None


# The module that holds a model's RECIPE, or its RECIPES by name. They import TensorFlow.
MODELS = {
    "ssdlite_mobilenet_v2_coco": "ssdlite_coco",
    "ssd_mobilenet_v1_face": "face",
    "ssd_mobilenet_v1_face_512": "face",
    "mobilenet_v1": "untrained",
    "ssd_mobilenet_v1": "untrained",
    "ssd_mobilenet_v1_38": "untrained",
}


def recipe(name: str) -> Recipe:
    """The recipe of a model in MODELS."""
    found: Recipe = import_module(f"deploy.export.{MODELS[name]}").RECIPES[name]
    return found
