"""What the real picamera2 needs changed to run on libcamera's virtual camera; tests only."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock


def prepare() -> ModuleType:
    """Import picamera2 and fit it to the virtual camera; return the module."""
    # The display, which nothing here uses; Debian's package of it needs a graphics stack.
    sys.modules["pykms"] = MagicMock()
    import picamera2
    from picamera2.allocators import LibcameraAllocator
    from picamera2.platform import Platform

    camera_class = picamera2.Picamera2
    # A Pi 5, on which the lores stream may be asked for in RGB.
    camera_class.platform = Platform.PISP
    # There is no raw stream to learn the sensor's modes from.
    camera_class._get_raw_modes = lambda _: [{"format": "NV12", "size": (640, 480)}]
    plain_init = camera_class.__init__

    def init(self: Any, *arguments: Any) -> None:
        plain_init(self, *arguments)
        # libcamera aborts on the default allocator's one plane for NV12's two.
        self.allocator = LibcameraAllocator(self.camera)

    camera_class.__init__ = init
    return picamera2
