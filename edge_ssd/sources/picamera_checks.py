"""What ``edge-ssd doctor`` examines of a Pi camera, and which of several is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from edge_ssd.checks import Check, Finding, System, fail, ok, skipped, version_of
from edge_ssd.errors import DeviceError
from edge_ssd.holders import holders
from edge_ssd.sources.camera_checks import DEVICE, in_use, pi_nodes, usable
from edge_ssd.sources.picamera_faults import import_picamera2
from edge_ssd.units import unseen_units

# picamera2 takes its buffers from the first of these that exists.
_HEAPS = ("/dev/dma_heap/vidbuf_cached", "/dev/dma_heap/linux,cma")


def checks(camera: int | str) -> tuple[Check, ...]:
    """Return the checks of a camera, chosen by its number, id or model."""
    return (
        Check("picamera2", importable, exit_code=DEVICE, limit_s=60),
        Check(
            "camera", partial(_connected, camera), "camera", exit_code=DEVICE, limit_s=30,
            outside=True,
        ),
        Check("camera devices", _devices, exit_code=DEVICE, rights=True),
        in_use(pi_nodes),
    )  # fmt: skip


def choose(camera: int | str, cameras: Sequence[Mapping[str, Any]], title: str = "") -> int:
    """Return the number of the camera that ``camera`` means.

    cameras: what ``Picamera2.global_camera_info`` returns. title: begins the message of the
    DeviceError that is raised where there is no such camera.
    """
    for number, info in enumerate(cameras):
        if camera in (number, info["Id"], info["Model"]):
            return number
    if not cameras:
        raise DeviceError(
            f"{title}no camera found",
            "check its ribbon cable; `rpicam-hello --list-cameras` must show it",
        )
    raise DeviceError(
        f"{title}no camera {camera!r}; found {_listed(cameras)}", "correct source.camera"
    )


def importable(_system: System) -> Finding:
    """picamera2 and the libcamera it needs can be imported."""
    import_picamera2()
    return ok(f"picamera2 {version_of('picamera2')} and libcamera can be imported")


def _connected(camera: int | str, system: System) -> Finding:
    """The camera is connected, as libcamera sees it."""
    held_by = holders(*map(system.path, pi_nodes(system))) or unseen_units(system)
    if held_by:
        return skipped(f"not opened: {', '.join(held_by)} may use it")
    try:
        picamera2, _ = import_picamera2()
    except DeviceError:
        return skipped("libcamera cannot be asked without picamera2, see above")
    cameras = picamera2.Picamera2.global_camera_info()
    choose(camera, cameras)
    return ok(_listed(cameras))


def _devices(system: System) -> Finding:
    """The device files exist, and this user may use them."""
    nodes = pi_nodes(system)
    heaps = [path for path in _HEAPS if system.exists(path)]
    if not nodes:
        return fail(
            "there is neither a /dev/media* nor a /dev/video*",
            "connect the camera; camera_auto_detect=1 in config.txt, and reboot",
        )
    if not heaps:
        return fail(f"neither {' nor '.join(_HEAPS)} exists", "use Raspberry Pi OS's own kernel")
    return usable([*nodes, heaps[0]], system)


def _listed(cameras: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{n} = {info['Model']} ({info['Id']})" for n, info in enumerate(cameras))
