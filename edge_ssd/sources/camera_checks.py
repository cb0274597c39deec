"""What ``edge-ssd doctor`` examines of a camera without opening it: its device files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from edge_ssd.checks import Check, Finding, System, fail, may_use, ok, skipped, warn
from edge_ssd.errors import DeviceError
from edge_ssd.holders import holders
from edge_ssd.units import groups, units

DEVICE = DeviceError.exit_code
PI_NODES = ("/dev/media*", "/dev/video*")
"""The device files that libcamera opens."""
GROUP = "video"
_JOIN = f"sudo usermod -aG {GROUP} $USER, and log in again"


def access_checks(nodes: Callable[[System], Sequence[str]]) -> tuple[Check, ...]:
    """Return the checks of a camera's group, and of who uses its device files."""
    return (
        Check("camera group", group, exit_code=DEVICE),
        Check("camera in use", partial(in_use, nodes), required=False),
    )


def pi_nodes(system: System) -> list[str]:
    """Return the device files of all cameras."""
    return [str(path) for pattern in PI_NODES for path in system.glob(pattern)]


def usable(nodes: Sequence[str], system: System) -> Finding:
    """This user may use the device files."""
    closed = [path for path in nodes if not may_use(system.path(path))]
    if closed:
        return fail(f"this user may not use {', '.join(closed)}", _JOIN)
    return ok(f"this user may use {', '.join(nodes)}")


def group(system: System) -> Finding:
    """The users that run the program are in the group that owns cameras."""
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


def in_use(nodes: Callable[[System], Sequence[str]], system: System) -> Finding:
    """No other program has the camera open."""
    found = nodes(system)
    if not found:
        return skipped("no camera has device files")
    unseen = "" if system.is_root else " (only root sees programs of other users)"
    held_by = holders(*map(system.path, found))
    others = [holder for holder in held_by if not holder.startswith("edge-ssd ")]
    if others:
        return warn(
            f"{', '.join(others)} has it open{unseen}",
            "end that program, if the service reports that the camera is busy",
        )
    if held_by:
        return ok(f"the service has it open: {', '.join(held_by)}")
    return ok(f"nobody has {', '.join(found)} open{unseen}")
