"""Cameras: picamera2, and what is connected."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from edge_ssd.checks import version_of
from edge_ssd.commands.doctor.camera_access import PI_NODES, what_is_there
from edge_ssd.commands.doctor.check import Finding, Situation, System, fail, ok, skipped
from edge_ssd.commands.doctor.service import unseen_units
from edge_ssd.errors import DeviceError
from edge_ssd.holders import holders
from edge_ssd.reachable import unreachable
from edge_ssd.sources.picamera_faults import import_picamera2

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


def picamera2(situation: Situation) -> Finding:
    """picamera2 and the libcamera it needs can be imported."""
    if situation.source_type != "picamera" and find_spec("picamera2") is None:
        return skipped("not installed, and only `source.type: picamera` needs it")
    import_picamera2()
    return ok(f"picamera2 {version_of('picamera2')} and libcamera can be imported")


def camera(situation: Situation) -> Finding:
    """The configured camera is there; without one, what cameras there are."""
    source = situation.source
    if source is None:
        names = _v4l2_names(situation.system)
        return ok(", ".join(names)) if names else skipped("none is needed, and none is connected")
    if source.type == "picamera":
        return _pi_camera(situation.system, source.camera)
    if source.type == "usb":
        return _usb_camera(situation.system, source.path)
    if source.type in ("rtsp", "http"):
        parts = urlsplit(source.address)
        port = parts.port or _PORTS[parts.scheme]
        problem = unreachable(parts.hostname or "", port, source.address)
        if problem:
            return fail(problem, "check its power and network, and source.url")
        return ok(f"{source.address} answers")
    return skipped(f"source.type {source.type} needs none")


def _pi_camera(system: System, wanted: int | str) -> Finding:
    held_by = holders(*map(system.path, PI_NODES)) or unseen_units(system)
    if held_by:
        return skipped(f"not touched: {', '.join(held_by)} may have it")
    try:
        picamera2, _ = import_picamera2()
    except DeviceError:
        return skipped("libcamera cannot be asked without picamera2, see above")
    found = picamera2.Picamera2.global_camera_info()
    shown = ", ".join(f"{n} = {info['Model']} ({info['Id']})" for n, info in enumerate(found))
    if not found:
        return fail(
            "libcamera finds no camera",
            "check its ribbon cable; `rpicam-hello --list-cameras` must show it",
        )
    if not any(wanted in (n, info["Id"], info["Model"]) for n, info in enumerate(found)):
        return fail(f"no camera {wanted!r}; found {shown}", "correct source.camera")
    return ok(shown)


def _usb_camera(system: System, path: Path) -> Finding:
    if not system.exists(path):
        return fail(f"{path} is not there", what_is_there(system))
    name = system.read(f"/sys/class/video4linux/{system.path(path).resolve().name}/name").strip()
    return ok(f"{path}: {name or 'there'}")


def _v4l2_names(system: System) -> list[str]:
    """Return what the kernel calls each camera and codec, once."""
    files = system.glob("/sys/class/video4linux/video*/name")
    return list(dict.fromkeys(system.read(path).strip() for path in files))
