"""The Edge TPU's delegate: what libedgetpu is asked for, and why it says no."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge_ssd.errors import DeviceError
from edge_ssd.holders import holders
from edge_ssd.inference.tpus import NOT_FOUND, PLUG_IN, find

RETRIES = 3
RETRY_S = 1.0
"""The first use resets a stick, which comes back under its other id within seconds."""


def load(
    library: str,
    arguments: Mapping[str, str],
    runtime: Any,
    root: Path = Path("/"),
    sleep: Callable[[float], None] = time.sleep,
) -> Any:
    """Return the runtime's delegate object; it must outlive the interpreter's use of it.

    library: a file name that the loader finds, or a path. arguments: of ModelOptions.
    runtime: the runtime's interpreter module. root: where ``sys`` and ``dev`` are.
    Opens the device: may take seconds, hang, or end the process. Raises DeviceError.
    """
    check_library(library)
    for attempt in range(RETRIES + 1):
        try:
            return runtime.load_delegate(library, dict(arguments))
        except ValueError as error:
            # "Failed to load delegate from FILE\nREASON", and libedgetpu gives no reason.
            reason = str(error).partition("\n")[2].strip()
            if reason or not find(root) or attempt == RETRIES:
                raise _refusal(library, arguments, reason, root) from None
        sleep(RETRY_S)
    raise AssertionError("unreachable")


def check_library(library: str) -> None:
    """Raise DeviceError unless a library can be loaded and is a delegate.

    The runtime prints a traceback of its own for a missing file.
    """
    try:
        loaded = ctypes.CDLL(library)
    except OSError as error:
        raise DeviceError(
            f"the Edge TPU library {library} cannot be loaded: {error}",
            "install libedgetpu for this runtime (docs/coral.md), or correct "
            "model.delegate_library",
        ) from None
    if not hasattr(loaded, "tflite_plugin_create_delegate"):
        raise DeviceError(
            f"{library} is a library, and not a TensorFlow Lite delegate",
            "set model.delegate_library to libedgetpu.so.1",
        )


def _refusal(library: str, arguments: Mapping[str, str], reason: str, root: Path) -> DeviceError:
    """Return why no delegate was made; without a reason of its own, from what can be seen."""
    wanted = f"the Edge TPU ({arguments.get('device', 'any')})"
    if reason:
        return DeviceError(f"{library} did not open {wanted}: {reason}", "see docs/coral.md")
    tpus = find(root)
    if not tpus:
        return DeviceError(f"{wanted} cannot be opened: {NOT_FOUND}", PLUG_IN)
    seen = ", ".join(tpu.name for tpu in tpus)
    for tpu in tpus:
        if not os.access(tpu.node, os.W_OK):
            return DeviceError(
                f"{wanted} cannot be opened: {tpu.name} is there, and this user may not write "
                f"{tpu.node}",
                "install the udev rules for both USB ids, join their group, and plug it in again",
            )
    held = ", ".join(holders(*(tpu.node for tpu in tpus)))
    if held:
        return DeviceError(
            f"{wanted} cannot be opened: {seen} is in use by {held}", "stop that process"
        )
    return DeviceError(
        f"{wanted} cannot be opened, although {seen} is there",
        "unplug it and plug it in again; use a USB 3 port and a supply that gives it 900 mA; "
        "check model.delegate_device",
    )
