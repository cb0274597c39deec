"""The Edge TPU's delegate: what libedgetpu is asked for, and why it says no."""

from __future__ import annotations

import ctypes
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_ssd.errors import DeviceError, ModelError
from edge_ssd.inference.tpus import find, holders

DEVICE = r"usb|pci|(usb|pci)?:[0-9]+"
"""What libedgetpu takes for a device."""
RETRIES = 3
RETRY_S = 1.0
"""The first use resets a stick, which comes back under its other id within seconds."""


@dataclass(frozen=True, slots=True)
class Delegate:
    """What to load.

    library: a file name that the loader finds, or a path.
    device: usb, usb:N, pci, pci:N or :N, counted from 0; None for any.
    options: libedgetpu's own names and values.

    Raises ModelError for a device it would not understand, or options it would ignore.
    """

    library: str = "libedgetpu.so.1"
    device: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.device is not None and not re.fullmatch(DEVICE, self.device):
            raise ModelError(
                f"no Edge TPU is called {self.device!r}", "use usb, pci, usb:N, pci:N or :N"
            )
        # Its plugin passes the options on only where it picks the device by number.
        if self.options and ":" not in (self.device or ""):
            raise ModelError(
                f"libedgetpu ignores {', '.join(self.options)} unless the device has a number",
                f"set model.delegate_device to {self.device or 'usb'}:0",
            )

    def arguments(self) -> dict[str, str]:
        """Return the options as ``load_delegate`` takes them."""
        return ({"device": self.device} if self.device else {}) | dict(self.options)


def load(
    delegate: Delegate,
    runtime: Any,
    root: Path = Path("/"),
    sleep: Callable[[float], None] = time.sleep,
) -> Any:
    """Return the runtime's delegate object; it must outlive the interpreter's use of it.

    runtime: the runtime's interpreter module. root: where ``sys`` and ``dev`` are.
    Opens the device: may take seconds, hang, or end the process. Raises DeviceError.
    """
    _check_library(delegate)
    for attempt in range(RETRIES + 1):
        try:
            return runtime.load_delegate(delegate.library, delegate.arguments())
        except ValueError as error:
            # "Failed to load delegate from FILE\nREASON", and libedgetpu gives no reason.
            reason = str(error).partition("\n")[2].strip()
            if reason or not find(root) or attempt == RETRIES:
                raise _refusal(delegate, reason, root) from None
        sleep(RETRY_S)
    raise AssertionError("unreachable")


def _check_library(delegate: Delegate) -> None:
    """Look before the runtime does, which prints a traceback of its own for a missing file."""
    try:
        library = ctypes.CDLL(delegate.library)
    except OSError as error:
        raise DeviceError(
            f"the Edge TPU library {delegate.library} cannot be loaded: {error}",
            "install libedgetpu for this runtime (docs/coral.md), or correct "
            "model.delegate_library",
        ) from None
    if not hasattr(library, "tflite_plugin_create_delegate"):
        raise DeviceError(
            f"{delegate.library} is a library, and not a TensorFlow Lite delegate",
            "set model.delegate_library to libedgetpu.so.1",
        )


def _refusal(delegate: Delegate, reason: str, root: Path) -> DeviceError:
    """Return why no delegate was made; without a reason of its own, from what can be seen."""
    wanted = f"the Edge TPU ({delegate.device or 'any'})"
    if reason:
        return DeviceError(
            f"{delegate.library} did not open {wanted}: {reason}", "see docs/coral.md"
        )
    tpus = find(root)
    if not tpus:
        return DeviceError(
            f"{wanted} cannot be opened: none is on USB (1a6e:089a or 18d1:9302) or PCIe "
            "(/dev/apex_0)",
            "plug it in; check its cable and power, and that lsusb shows it",
        )
    seen = ", ".join(tpu.name for tpu in tpus)
    for tpu in tpus:
        if not os.access(tpu.node, os.W_OK):
            return DeviceError(
                f"{wanted} cannot be opened: {tpu.name} is there, and this user may not write "
                f"{tpu.node}",
                "install the udev rules for both USB ids, join their group, and plug it in again",
            )
    held = ", ".join(holder for tpu in tpus for holder in holders(tpu.node))
    if held:
        return DeviceError(
            f"{wanted} cannot be opened: {seen} is held by process {held}", "stop that process"
        )
    return DeviceError(
        f"{wanted} cannot be opened, although {seen} is there",
        "unplug it and plug it in again; use a USB 3 port and a supply that gives it 900 mA; "
        "check model.delegate_device",
    )
