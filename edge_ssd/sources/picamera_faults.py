"""The errors of picamera2 as DeviceErrors with a remedy."""

from __future__ import annotations

import errno
import logging
import os
from importlib import import_module
from types import ModuleType

from edge_ssd.errors import DeviceError
from edge_ssd.holders import holders
from edge_ssd.sources.camera_checks import PI_NODES

_INSTALL = "sudo apt install python3-picamera2 --no-install-recommends"


def import_picamera2() -> tuple[ModuleType, ModuleType]:
    """Return the system's modules picamera2 and libcamera. Raises DeviceError without them."""
    # Else libcamera logs every opening on stderr, in several lines.
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:WARN")
    try:
        modules = import_module("picamera2"), import_module("libcamera")
    except ModuleNotFoundError as error:
        raise DeviceError(
            f"the module {error.name}, which the camera needs, is not installed",
            f"{_INSTALL}, and make the virtual environment with --system-site-packages",
        ) from error
    except (ImportError, ValueError, OSError) as error:  # a library, or numpy, that does not fit
        raise DeviceError(
            f"picamera2 cannot be imported: {error}",
            f"{_INSTALL}; if it names numpy, use the system's (pip uninstall numpy)",
        ) from error
    # It logs what it also raises.
    logging.getLogger("picamera2.picamera2").setLevel(logging.CRITICAL)
    return modules


def explained(camera: str, error: Exception) -> DeviceError:
    """Return the error that picamera2 raised while opening, configuring or starting ``camera``."""
    said = _said(error)
    if "dmaHeap" in said:
        return DeviceError(
            f"{camera}: neither /dev/dma_heap/vidbuf_cached nor /dev/dma_heap/linux,cma exists",
            "use Raspberry Pi OS's own kernel",
        )
    if isinstance(error, PermissionError):
        return DeviceError(f"{camera}: {said}", "add the user to the group video, and log in again")
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return DeviceError(
            f"{camera}: no memory for its buffers",
            "choose a smaller width and height, or give cma more memory in config.txt",
        )
    if "did not complete" in said:
        return _not_opened(camera, said)
    return DeviceError(
        f"{camera} cannot be started: {said}",
        "try another width, height or lores_format; `rpicam-hello` shows whether the camera works",
    )


def _not_opened(camera: str, said: str) -> DeviceError:
    others = ", ".join(holders(*PI_NODES))
    if others:
        return DeviceError(f"{camera} is busy: {others} has it open", "end that program")
    return DeviceError(
        f"{camera} is busy or broken: {said}",
        "end the program that uses it (`sudo fuser -v /dev/media* /dev/video*` lists it)",
    )


def _said(error: BaseException) -> str:
    """Return the error's text and that of its cause."""
    cause = f" ({_said(error.__cause__)})" if error.__cause__ else ""
    return str(error).rstrip(".") + cause
