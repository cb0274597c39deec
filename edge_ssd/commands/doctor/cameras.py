"""Cameras: the checks of the configured source, or else of what is connected."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from edge_ssd.checks import System
from edge_ssd.commands.doctor.check import Finding, Situation, ok, skipped
from edge_ssd.sources import camera_checks, picamera_checks


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


_GENERAL: dict[str, Callable[[System], Finding]] = {
    "picamera2": _picamera2,
    "camera": _connected,
    "camera devices": _devices,
    "camera group": camera_checks.group,
    "camera in use": lambda system: camera_checks.in_use(camera_checks.pi_nodes, system),
}
