"""vivid's handles: its plug, and the faults it plays. For root, inside the machine."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

NODE = Path("/dev/video0")
SIZES = [(320, 180), (640, 360), (640, 480), (1280, 720)]

BARS = [
    (191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0),
    (191, 0, 191), (191, 0, 0), (0, 0, 191), (0, 0, 0),
]  # fmt: skip
"""The picture: eight bars, left to right, as (R, G, B)."""

_DRIVER = Path("/sys/bus/platform/drivers/vivid")
_DEVICE = "vivid.0"

# _IOWR('V', 28, struct v4l2_control), and vivid's own controls (vivid-ctrls.c).
_VIDIOC_S_CTRL = 0xC008561C
_OSD_TEXT_MODE = 0x00F0F001
_PERCENTAGE_OF_DROPPED_BUFFERS = 0x00F0F040
_INJECT_FATAL_STREAMING_ERROR = 0x00F0F046


def plug_in() -> None:
    """Plug the camera in if it is not, with all its controls as they were."""
    if not (_DRIVER / _DEVICE).exists():
        (_DRIVER / "bind").write_text(_DEVICE)
    thaw()
    _set(_OSD_TEXT_MODE, 2)  # none: it would hide the bars of a small picture


def unplug() -> None:
    """Take the device from its driver, as the kernel does when a plug is pulled."""
    (_DRIVER / "unbind").write_text(_DEVICE)


def freeze() -> None:
    """Give no more pictures."""
    _set(_PERCENTAGE_OF_DROPPED_BUFFERS, 100)


def thaw() -> None:
    _set(_PERCENTAGE_OF_DROPPED_BUFFERS, 0)


def break_stream() -> None:
    """End the running stream with an error; a new one works."""
    _set(_INJECT_FATAL_STREAMING_ERROR, 1)


def _set(control: int, value: int) -> None:
    descriptor = os.open(NODE, os.O_RDWR)
    try:
        fcntl.ioctl(descriptor, _VIDIOC_S_CTRL, struct.pack("Ii", control, value))
    finally:
        os.close(descriptor)
