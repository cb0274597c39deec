"""What a Pi camera needs: picamera2, device files, controls it has; the errors where one fails."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

from edge_ssd.checks import Check, Finding, System, fail, ok, skipped, version_of
from edge_ssd.errors import DeviceError, Problem
from edge_ssd.holders import holders
from edge_ssd.sources.base import DEVICE, in_use, usable
from edge_ssd.units import unseen_units
from edge_ssd.wording import did_you_mean

_INSTALL = "sudo apt install python3-picamera2 --no-install-recommends"
# The device files that libcamera opens.
_NODES = ("/dev/media*", "/dev/video*")
# picamera2 takes its buffers from the first of these that exists.
_HEAPS = ("/dev/dma_heap/vidbuf_cached", "/dev/dma_heap/linux,cma")
_NO_HEAP = f"neither {' nor '.join(_HEAPS)} exists"
_KERNEL = "use Raspberry Pi OS's own kernel"
_FRAME_DURATION = "FrameDurationLimits"
# Durations are whole microseconds and modes are odd: smaller deviations are not reported.
_TOLERANCE = 0.02


def import_picamera2() -> tuple[ModuleType, ModuleType]:
    """Return the system's modules picamera2 and libcamera. Raises DeviceError without them."""
    # Else libcamera logs every opening on stderr, in several lines.
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:WARN")
    try:
        modules = import_module("picamera2"), import_module("libcamera")
    except ModuleNotFoundError as error:
        problem = f"the module {error.name}, which the camera needs, is not installed"
        remedy = f"{_INSTALL}, and make the virtual environment with --system-site-packages"
        raise DeviceError(problem, remedy) from error
    except (ImportError, ValueError, OSError) as error:  # a library, or numpy, that does not fit
        remedy = f"{_INSTALL}; if it names numpy, use the system's (pip uninstall numpy)"
        raise DeviceError(f"picamera2 cannot be imported: {error}", remedy) from error
    # It logs what it also raises.
    logging.getLogger("picamera2.picamera2").setLevel(logging.CRITICAL)
    return modules


def choose(camera: int | str, cameras: Sequence[Mapping[str, Any]], title: str = "") -> int:
    """Return the number of the camera that ``camera`` means: a number, an id or a model.

    cameras: what ``Picamera2.global_camera_info`` returns. title: begins the message of the
    DeviceError that is raised where there is no such camera.
    """
    for number, info in enumerate(cameras):
        if camera in (number, info["Id"], info["Model"]):
            return number
    if not cameras:
        remedy = "check its ribbon cable; `rpicam-hello --list-cameras` must show it"
        raise DeviceError(f"{title}no camera found", remedy)
    problem = f"{title}no camera {camera!r}; found {_listed(cameras)}"
    raise DeviceError(problem, "correct source.camera")


def explained(camera: str, error: Exception) -> DeviceError:
    """Return the error that picamera2 raised while opening, configuring or starting ``camera``."""
    text = _with_cause(error)
    others = ", ".join(holders(*_NODES)) if "did not complete" in text else ""
    if "dmaHeap" in text:
        problem, remedy = f": {_NO_HEAP}", _KERNEL
    elif isinstance(error, PermissionError):
        problem, remedy = f": {text}", "add the user to the group video, and log in again"
    elif isinstance(error, OSError) and error.errno == errno.ENOMEM:
        problem = ": no memory for its buffers"
        remedy = "choose a smaller width and height, or give cma more memory in config.txt"
    elif others:
        problem, remedy = f" is busy: {others} has it open", "end that program"
    elif "did not complete" in text:
        problem = f" is busy or broken: {text}"
        remedy = "end the program that uses it (`sudo fuser -v /dev/media* /dev/video*` lists it)"
    else:
        problem = f" cannot be started: {text}"
        remedy = (
            "try another width, height or lores_format; "
            "`rpicam-hello` shows whether the camera works"
        )
    return DeviceError(camera + problem, remedy)


def control_problems(controls: Mapping[str, Any], advertised: Mapping[str, Any]) -> list[Problem]:
    """Return the problem of each unknown control, and of each value out of range.

    advertised: minimum, maximum and default value by name; those of controls that are no
        numbers (rectangles) are not checked.
    """
    problems = []
    for name, value in controls.items():
        problem = f"this camera has no such control{did_you_mean(name, advertised)}"
        if name in advertised:
            problem = _value_problem(value, *advertised[name][:2])
        if problem:
            problems.append(Problem(f"source.controls.{name}", problem))
    return problems


def frame_duration(fps: float | None, advertised: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the control that sets a frame rate, and a warning where the camera cannot reach it.

    fps: None leaves the camera's own limits.
    """
    if fps is None:
        return {}, ""
    if _FRAME_DURATION not in advertised:
        return {}, "source.fps: this camera has a fixed frame rate"
    minimum, maximum, _ = advertised[_FRAME_DURATION]
    wanted = 1e6 / fps
    microseconds = round(min(max(wanted, minimum), maximum))
    control = {_FRAME_DURATION: (microseconds, microseconds)}
    if abs(microseconds / wanted - 1) <= _TOLERANCE:
        return control, ""
    given = 1e6 / microseconds
    return control, f"source.fps: {fps:g} asked, the camera gives {given:.3g} at this size"


def checks(camera: int | str) -> tuple[Check, ...]:
    """Return what ``edge-ssd doctor`` examines of a camera, chosen as in ``choose``."""
    connected = partial(_connected, camera)
    return (
        Check("picamera2", _importable, exit_code=DEVICE, limit_s=60),
        Check("camera", connected, "camera", exit_code=DEVICE, limit_s=30, outside=True),
        Check("camera devices", _devices, exit_code=DEVICE, rights=True),
        in_use(_nodes),
    )


def _importable(_system: System) -> Finding:
    import_picamera2()
    return ok(f"picamera2 {version_of('picamera2')} and libcamera can be imported")


def _connected(camera: int | str, system: System) -> Finding:
    held_by = holders(*map(system.path, _nodes(system))) or unseen_units(system)
    if held_by:
        return skipped(f"not opened: {', '.join(held_by)} may use it")
    try:
        picamera2, _ = import_picamera2()
    except DeviceError:
        return skipped("libcamera cannot be asked without picamera2, see above")
    cameras = picamera2.Picamera2.global_camera_info()
    choose(camera, cameras)
    return ok(_listed(cameras))


def _nodes(system: System) -> list[str]:
    return [str(path) for pattern in _NODES for path in system.glob(pattern)]


def _devices(system: System) -> Finding:
    nodes = _nodes(system)
    heaps = [path for path in _HEAPS if system.exists(path)]
    if not nodes:
        remedy = "connect the camera; camera_auto_detect=1 in config.txt, and reboot"
        return fail("there is neither a /dev/media* nor a /dev/video*", remedy)
    if not heaps:
        return fail(_NO_HEAP, _KERNEL)
    return usable([*nodes, heaps[0]], system)


def _listed(cameras: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{n} = {info['Model']} ({info['Id']})" for n, info in enumerate(cameras))


def _with_cause(error: BaseException) -> str:
    cause = f" ({_with_cause(error.__cause__)})" if error.__cause__ else ""
    return str(error).rstrip(".") + cause


def _value_problem(value: Any, minimum: Any, maximum: Any) -> str:
    if not (isinstance(minimum, (int, float)) and isinstance(maximum, (int, float))):
        return ""
    for number in value if isinstance(value, (list, tuple)) else (value,):
        if not (isinstance(number, (int, float)) and minimum <= number <= maximum):
            return f"must be from {minimum} to {maximum} (it is {number!r})"
        if isinstance(minimum, int) and not isinstance(number, int):
            return f"must be an integer (it is {number!r})"
    return ""
