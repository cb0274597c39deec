"""edge_ssd: SSD MobileNet object detection that keeps running on a Raspberry Pi.

The public API: ``Detector``, ``stream``, ``Detection``, ``Detections`` and ``Frame``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_ssd.detector import Detector
    from edge_ssd.pipeline.stream import stream
    from edge_ssd.types import Detection, Detections, Frame

__version__ = "0.1.0"

__all__ = ["Detection", "Detections", "Detector", "Frame", "stream"]

DEFAULT_MODEL = "ssdlite_mobilenet_v2_coco"  # bundled; used where none is named

_HOMES = {"Detector": "detector", "stream": "pipeline.stream"}


def __getattr__(name: str) -> Any:
    """Import the public API when it is used: `edge-ssd --help` answers at once."""
    if name in __all__:
        return getattr(import_module(f"edge_ssd.{_HOMES.get(name, 'types')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
