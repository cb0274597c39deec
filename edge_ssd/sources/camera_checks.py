"""What ``edge-ssd doctor`` examines of a camera without opening it: its device files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from edge_ssd.checks import Check, Finding, System, fail, may_use, ok, skipped, warn
from edge_ssd.errors import DeviceError
from edge_ssd.holders import holders

DEVICE = DeviceError.exit_code
PI_NODES = ("/dev/media*", "/dev/video*")
"""The device files that libcamera opens."""

_JOIN = "sudo usermod -aG video $USER, and log in again"


def pi_nodes(system: System) -> list[str]:
    """Return the device files of all cameras."""
    return [str(path) for pattern in PI_NODES for path in system.glob(pattern)]


def usable(nodes: Sequence[str], system: System) -> Finding:
    """This user may use the device files."""
    closed = [path for path in nodes if not may_use(system.path(path))]
    if closed:
        return fail(f"this user may not use {', '.join(closed)}", _JOIN)
    return ok(f"this user may use {', '.join(nodes)}")


def in_use(nodes: Callable[[System], Sequence[str]]) -> Check:
    """Return the check that no other program has the camera open."""
    return Check("camera in use", partial(_in_use, nodes), required=False, outside=True)


def _in_use(nodes: Callable[[System], Sequence[str]], system: System) -> Finding:
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
