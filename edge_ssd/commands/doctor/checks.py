"""Every check, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from edge_ssd.commands.doctor import (
    board,
    credentials,
    machine,
    network,
    outputs,
    service,
    storage,
)
from edge_ssd.commands.doctor.check import Check, Finding, Situation


def _later(module: str, function: str) -> Callable[[Situation], Finding]:
    """Return a check whose module is imported when it runs: what it imports may be broken."""

    def look(situation: Situation) -> Finding:
        check: Callable[[Situation], Finding] = getattr(
            import_module(f"edge_ssd.commands.doctor.{module}"), function
        )
        return check(situation)

    return look


def _camera(name: str) -> Callable[[Situation], Finding]:
    def look(situation: Situation) -> Finding:
        from edge_ssd.commands.doctor import cameras

        return cameras.look(name)(situation)

    return look


def _source(*types: str) -> Callable[[Situation], bool]:
    return lambda situation: situation.source_type in types


def _edgetpu(name: str, function: str, limit_s: float = 15) -> Check:
    look = _later("tpu", function)
    return Check(name, look, _needs_edgetpu, _DEVICE, limit_s, "the model runs on the CPU")


def _needs_edgetpu(situation: Situation) -> bool:
    return situation.needs_edgetpu


def _never(_situation: Situation) -> bool:
    return False


_DEVICE = 69

CHECKS = (
    Check("python", machine.python, exit_code=_DEVICE),
    Check("processor", machine.processor, exit_code=_DEVICE),
    Check("numpy", machine.numpy, exit_code=_DEVICE),
    Check("runtime", _later("runtime", "runtime"), exit_code=_DEVICE, limit_s=60),
    Check("golden detection", _later("golden", "golden_detection"), limit_s=120),
    Check("configuration", _later("configuration", "configuration"), exit_code=78, limit_s=60),
    Check("model", _later("model", "model"), limit_s=60),
    Check("picamera2", _camera("picamera2"), _source("picamera"), _DEVICE, 60),
    Check("camera", _camera("camera"), _source("picamera", "usb", "rtsp", "http"), _DEVICE, 30),
    Check("camera devices", _camera("camera devices"), _source("picamera", "usb"), _DEVICE),
    Check("camera group", _camera("camera group"), _source("picamera", "usb"), _DEVICE),
    Check("camera in use", _camera("camera in use"), _never),
    _edgetpu("edge tpu", "connected"),
    _edgetpu("libedgetpu", "library"),
    _edgetpu("udev rules", "udev_rules"),
    _edgetpu("delegate probe", "delegate_probe", 90),
    Check("power", board.power, _never),
    Check("clock", board.clock, _never),
    Check("disk space", storage.space),
    Check("sd card", storage.wear, _never),
    Check("outputs", outputs.outputs, exit_code=78),
    Check("broker", network.brokers),
    Check("credentials", credentials.credentials, exit_code=78),
    Check("service", service.service),
)  # fmt: skip
