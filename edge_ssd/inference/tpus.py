"""The Edge TPUs this machine shows, without touching them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

USB_IDS = {"1a6e:089a": "before its first use", "18d1:9302": "in use or used before"}
"""A stick changes its id when libedgetpu first loads its firmware: udev needs both."""
NOT_FOUND = "none is on USB (1a6e:089a or 18d1:9302) or PCIe (/dev/apex_0)"
PLUG_IN = "plug it in; check its cable and power, and that lsusb shows it"


@dataclass(frozen=True, slots=True)
class Tpu:
    """One Edge TPU.

    name: ``USB 18d1:9302`` or ``PCIe apex_0``.
    node: the device file that a process must be allowed to write.
    speed_mbps: the USB link's; 5000 is USB 3, 480 is USB 2; None on PCIe.
    max_power: what it may draw of the USB port, as the kernel says it: ``500mA``.
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
