"""The device files of cameras: which there are, who may use them, who does."""

from __future__ import annotations

from edge_ssd.commands.doctor.check import (
    Finding,
    Situation,
    System,
    fail,
    may_use,
    ok,
    skipped,
    warn,
)
from edge_ssd.commands.doctor.service import groups, units
from edge_ssd.holders import holders

PI_NODES = ("/dev/media*", "/dev/video*")
"""Those that libcamera opens."""
GROUP = "video"
# picamera2 takes its buffers from the first of these that is there.
_HEAPS = ("/dev/dma_heap/vidbuf_cached", "/dev/dma_heap/linux,cma")
_JOIN = f"sudo usermod -aG {GROUP} $USER, and log in again"


def devices(situation: Situation) -> Finding:
    """The device files are there, and this user may use them."""
    system, source = situation.system, situation.source
    if source and source.type == "usb" and not system.exists(source.path):
        return skipped(f"{source.path} is not there, see above")
    nodes = _nodes(situation)
    if source and source.type == "picamera":
        heaps = [path for path in _HEAPS if system.exists(path)]
        if not nodes:
            return fail(
                "there is neither a /dev/media* nor a /dev/video*",
                "connect the camera; camera_auto_detect=1 in config.txt, and reboot",
            )
        if not heaps:
            return fail(
                f"neither {' nor '.join(_HEAPS)} exists", "use Raspberry Pi OS's own kernel"
            )
        nodes += heaps[:1]
    if not nodes:
        return skipped("no camera has device files, and none is needed")
    closed = [path for path in nodes if not may_use(system.path(path))]
    if closed:
        return fail(f"this user may not use {', '.join(closed)}", _JOIN)
    return ok(f"{', '.join(nodes)}: may be used")


def group(situation: Situation) -> Finding:
    """The users that run the program are in the group that owns cameras."""
    system = situation.system
    gid = groups(system).get(GROUP)
    if gid is None:
        return fail(
            f"there is no group {GROUP}: systemd cannot start the service (216/GROUP)",
            f"sudo groupadd --system {GROUP}, or install udev",
        )
    services = units(system)
    for unit in services:
        member = GROUP in unit.get("SupplementaryGroups", "").split()
        if not member and unit.get("User", "") not in ("", "root"):
            return fail(
                f"{unit['Id']} runs without the group {GROUP}",
                f"give the unit SupplementaryGroups={GROUP}",
            )
    if not system.is_root and gid not in system.groups:
        return fail(f"this user is not in the group {GROUP}", _JOIN)
    who = "root needs no group" if system.is_root else f"this user is in {GROUP}"
    return ok(f"{who}, the service is in {GROUP}" if services else who)


def in_use(situation: Situation) -> Finding:
    """No other program has the camera."""
    system = situation.system
    nodes = _nodes(situation)
    if not nodes:
        return skipped("no camera has device files")
    unseen = "" if system.is_root else " (programs of other users show only to root)"
    held_by = holders(*map(system.path, nodes))
    others = [holder for holder in held_by if not holder.startswith("edge-ssd ")]
    if others:
        return warn(
            f"{', '.join(others)} has it open{unseen}",
            "end that program, if the service says that the camera is busy",
        )
    if held_by:
        return ok(f"the service has it open: {', '.join(held_by)}")
    return ok(f"nobody has {', '.join(nodes)} open{unseen}")


def what_is_there(system: System) -> str:
    """Return the USB cameras that udev knows, as a remedy."""
    names = [path.name for path in system.glob("/dev/v4l/by-id/*")]
    if not names:
        return "plug the camera in; /dev/v4l/by-id lists none"
    return f"correct source.path: in /dev/v4l/by-id there are {', '.join(names)}"


def _nodes(situation: Situation) -> list[str]:
    """Return the USB camera's device file, or else those of all cameras."""
    if situation.source and situation.source.type == "usb":
        return [str(situation.source.path)]
    return [str(path) for pattern in PI_NODES for path in situation.system.glob(pattern)]
