"""The Edge TPUs of this machine, and their delegate: what libedgetpu is asked, and why it fails."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_ssd.errors import DeviceError
from edge_ssd.holders import holders

# The first use resets a stick, which comes back under its other id within seconds.
RETRIES, RETRY_S = 3, 1.0
USB_IDS = ("1a6e:089a", "18d1:9302")
"""A stick takes its second id when libedgetpu first loads its firmware: udev needs both."""
NOT_FOUND = f"none is on USB ({' or '.join(USB_IDS)}) or PCIe (/dev/apex_0)"
PLUG_IN = "plug it in; check its cable and power, and that lsusb shows it"


@dataclass(frozen=True, slots=True)
class Tpu:
    """One Edge TPU.

    name: ``USB 18d1:9302`` or ``PCIe apex_0``.
    node: the device file that a process must be allowed to write.
    speed_mbps: the USB link's; 5000 is USB 3, 480 is USB 2; None on PCIe.
    max_power: what it may draw of the USB port, as the kernel has it: ``500mA``.
    """

    name: str
    node: Path
    speed_mbps: int | None = None
    max_power: str = ""


def find(root: Path = Path("/")) -> list[Tpu]:
    """Return every Edge TPU that the kernel knows; ``root`` holds ``sys`` and ``dev``."""
    usb = [_usb(root, entry.parent) for entry in root.glob("sys/bus/usb/devices/*/idVendor")]
    pci = [Tpu(f"PCIe {node.name}", node) for node in sorted(root.glob("dev/apex_*"))]
    return [tpu for tpu in usb if tpu] + pci


def load(
    library: str,
    arguments: Mapping[str, str],
    runtime: Any,
    root: Path = Path("/"),
    sleep: Callable[[float], None] = time.sleep,
) -> Any:
    """Return the runtime's delegate object; it must outlive the interpreter's use of it.

    library: a file name that the loader finds, or a path. arguments: of ModelOptions.
    runtime: the runtime's interpreter module. root: where ``sys`` and ``dev`` are.
    Opens the device: may take seconds, hang, or end the process. Raises DeviceError.
    """
    check_library(library)
    for attempt in range(RETRIES + 1):
        try:
            return runtime.load_delegate(library, dict(arguments))
        except ValueError as error:
            # "Failed to load delegate from FILE\nREASON", and libedgetpu gives no reason.
            reason = str(error).partition("\n")[2].strip()
            if reason or not find(root) or attempt == RETRIES:
                raise _refusal(library, arguments, reason, root) from None
        sleep(RETRY_S)
    raise AssertionError("unreachable")


def check_library(library: str) -> None:
    """Raise DeviceError unless a library is a delegate: the runtime would print a traceback."""
    try:
        loaded = ctypes.CDLL(library)
    except OSError as error:
        raise DeviceError(
            f"the Edge TPU library {library} cannot be loaded: {error}",
            "install libedgetpu for this runtime (docs/coral.md), or correct "
            "model.delegate_library",
        ) from None
    if not hasattr(loaded, "tflite_plugin_create_delegate"):
        problem = f"{library} is a library, and not a TensorFlow Lite delegate"
        raise DeviceError(problem, "set model.delegate_library to libedgetpu.so.1")


def _refusal(library: str, arguments: Mapping[str, str], reason: str, root: Path) -> DeviceError:
    """Return why no delegate was made; without a reason of its own, from what can be seen."""
    wanted = f"the Edge TPU ({arguments.get('device', 'any')})"
    if reason:
        return DeviceError(f"{library} did not open {wanted}: {reason}", "see docs/coral.md")
    tpus = find(root)
    if not tpus:
        return DeviceError(f"{wanted} cannot be opened: {NOT_FOUND}", PLUG_IN)
    seen = ", ".join(tpu.name for tpu in tpus)
    for tpu in tpus:
        if not os.access(tpu.node, os.W_OK):
            return DeviceError(
                f"{wanted} cannot be opened: {tpu.name} is there, and this user may not write "
                f"{tpu.node}",
                "install the udev rules for both USB ids, join their group, and plug it in again",
            )
    held = ", ".join(holders(*(tpu.node for tpu in tpus)))
    if held:
        problem = f"{wanted} cannot be opened: {seen} is in use by {held}"
        return DeviceError(problem, "stop that process")
    return DeviceError(
        f"{wanted} cannot be opened, although {seen} is there",
        "unplug it and plug it in again; use a USB 3 port and a supply that gives it 900 mA; "
        "check model.delegate_device",
    )


def _usb(root: Path, folder: Path) -> Tpu | None:
    def read(name: str) -> str:
        return (folder / name).read_text().strip()

    try:
        usb_id = f"{read('idVendor')}:{read('idProduct')}"
        if usb_id not in USB_IDS:
            return None
        node = root / f"dev/bus/usb/{int(read('busnum')):03d}/{int(read('devnum')):03d}"
        power = read("bMaxPower") if (folder / "bMaxPower").exists() else ""
        return Tpu(f"USB {usb_id}", node, int(float(read("speed"))), power)
    except (OSError, ValueError):  # it is being unplugged at this moment
        return None
