"""Cameras: the checks of the configured source, or else of what is connected."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from edge_ssd.checks import System
from edge_ssd.commands.doctor.check import Finding, Situation, fail, ok, skipped
from edge_ssd.sources import camera_checks, picamera_checks
from edge_ssd.units import groups, units

_GROUP = "video"


def look(name: str) -> Callable[[Situation], Finding]:
    """Return the source's own check of this name, or the one of a machine without a camera."""

    def own_or_general(situation: Situation) -> Finding:
        own = situation.source.checks() if situation.source else ()
        looks = [check.look for check in own if check.name == name]
        return next(iter(looks), _GENERAL[name])(situation.system)

    return own_or_general


def _picamera2(system: System) -> Finding:
    if find_spec("picamera2") is None:
        return skipped("not installed, and only `source.type: picamera` needs it")
    return picamera_checks.importable(system)


def _connected(system: System) -> Finding:
    files = system.glob("/sys/class/video4linux/video*/name")
    names = list(dict.fromkeys(system.read(path).strip() for path in files))
    return ok(", ".join(names)) if names else skipped("none is needed, and none is connected")


def _devices(system: System) -> Finding:
    nodes = camera_checks.pi_nodes(system)
    if not nodes:
        return skipped("no camera has device files, and none is needed")
    return camera_checks.usable(nodes, system)


def _group(system: System) -> Finding:
    """The users that run the program are in the group that owns cameras."""
    gid = groups(system).get(_GROUP)
    if gid is None:
        return fail(
            f"there is no group {_GROUP}: systemd cannot start the service (216/GROUP)",
            f"sudo groupadd --system {_GROUP}, or install udev",
        )
    services = units(system)
    for unit in services:
        member = _GROUP in unit.get("SupplementaryGroups", "").split()
        if not member and unit.get("User", "") not in ("", "root"):
            return fail(
                f"{unit['Id']} runs without the group {_GROUP}",
                f"give the unit SupplementaryGroups={_GROUP}",
            )
    if not system.is_root and gid not in system.groups:
        return fail(
            f"this user is not in the group {_GROUP}",
            f"sudo usermod -aG {_GROUP} $USER, and log in again",
        )
    who = "root needs no group" if system.is_root else f"this user is in {_GROUP}"
    return ok(f"{who}, the service is in {_GROUP}" if services else who)


_GENERAL: dict[str, Callable[[System], Finding]] = {
    "picamera2": _picamera2,
    "camera": _connected,
    "camera devices": _devices,
    "camera group": _group,
    "camera in use": camera_checks.in_use(camera_checks.pi_nodes).look,
}
