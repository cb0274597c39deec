"""Names of models, and where their files are."""

from __future__ import annotations

import difflib
import os
from functools import cache
from pathlib import Path

from edge_ssd.errors import ModelError
from edge_ssd.models import manifest

BUNDLED = Path(__file__).parent / "data"
DEFAULT = "ssdlite_mobilenet_v2_coco"


@cache
def bundled() -> dict[str, Path]:
    """Return the bundled models' files by name."""
    return {path.stem: path for path in sorted(BUNDLED.glob("*.tflite"))}


def describe(name: str) -> manifest.Entry:
    """Return the manifest of a bundled model."""
    return manifest.read(bundled()[name].with_suffix(".json"))


def find(name_or_path: str) -> Path:
    """Return the file of a catalogue name or path. Raises ModelError when there is none."""
    if name_or_path in bundled():
        return bundled()[name_or_path]
    path = Path(os.path.expanduser(name_or_path))  # noqa: PTH111 (pathlib's raises for ~nobody)
    if path.is_file():
        return path
    if path.is_dir():
        raise ModelError(f"model {path} is a folder", "give the .tflite file in it")
    near = difflib.get_close_matches(name_or_path, bundled(), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ModelError(
        f"no model {name_or_path!r}: neither a file nor a name in the catalogue",
        f"{hint}see `edge-ssd models list`",
    )
