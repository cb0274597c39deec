"""What doctor examines of a camera, on fake device files and the fake picamera2."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.fake_picamera2 import Rig
from support.machines import FakeMachine, held
from support.privileges import without_root_rights

from edge_ssd.checks import Finding, Verdict, fail
from edge_ssd.config import parse
from edge_ssd.errors import DeviceError

PI: dict[str, Any] = {"type": "picamera"}
USB: dict[str, Any] = {"type": "usb", "path": "/dev/video0"}


def look(name: str, machine: FakeMachine, source: dict[str, Any]) -> Finding:
    """Run one check of a source."""
    checks = parse({"source": source}).source.checks()
    (check,) = (check for check in checks if check.name == name)
    try:
        return check.look(machine.system())
    except DeviceError as error:
        return fail(error.problem, error.remedy)


def plug_in(machine: FakeMachine) -> Path:
    """A Pi camera, as the kernel shows it."""
    machine.write("/dev/media0")
    machine.write("/dev/dma_heap/linux,cma")
    machine.write("/sys/class/video4linux/video0/name", "rp1-cfe-csi2_ch0")
    return machine.write("/dev/video0")


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    """A fake Pi 5, without cameras."""
    return FakeMachine(tmp_path / "root")


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    rig = Rig()
    rig.install(monkeypatch)
    return rig


def test_picamera2_can_be_imported(machine: FakeMachine, rig: Rig) -> None:
    assert look("picamera2", machine, PI).verdict is Verdict.OK


def test_without_picamera2_the_package_is_named(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    found = look("picamera2", machine, PI)
    assert found.verdict is Verdict.FAIL
    assert "apt install python3-picamera2" in found.remedy
    assert "see above" in look("camera", machine, PI).evidence


def test_the_pi_camera_is_listed(machine: FakeMachine, rig: Rig) -> None:
    found = look("camera", machine, PI)
    assert found.verdict is Verdict.OK
    assert found.evidence.startswith("0 = imx708")
    for other in (1, "ov5647"):
        found = look("camera", machine, {**PI, "camera": other})
        assert found.verdict is Verdict.FAIL
        assert "imx708" in found.evidence
    rig.cameras = []
    assert look("camera", machine, PI).evidence == "no camera found"


def test_a_camera_that_another_process_has_is_not_opened(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without picamera2 here: asking it would fail."""
    monkeypatch.setitem(sys.modules, "picamera2", ModuleType("picamera2"))
    with held(plug_in(machine)):
        found = look("camera", machine, PI)
    assert found.verdict is Verdict.SKIPPED
    assert "not opened: python" in found.evidence
    machine.unit()
    machine.changes = {"uid": 1000}
    assert "edge-ssd.service" in look("camera", machine, PI).evidence


def test_the_usb_camera_is_named_or_those_that_are_there(machine: FakeMachine) -> None:
    found = look("camera", machine, USB)
    assert found.verdict is Verdict.FAIL
    assert found.remedy == "plug the camera in; /dev/v4l/by-id lists none"
    machine.write("/dev/v4l/by-id/usb-046d_C920-video-index0")
    assert "usb-046d_C920-video-index0" in look("camera", machine, USB).remedy
    plug_in(machine)
    machine.write("/sys/class/video4linux/video0/name", "HD Pro Webcam C920")
    assert look("camera", machine, USB).evidence == "/dev/video0: HD Pro Webcam C920"


def test_a_network_camera_must_answer(machine: FakeMachine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        source = {"type": "rtsp", "url": f"rtsp://user:secret@127.0.0.1:{port}/path"}
        found = look("camera", machine, source)
        assert found.verdict is Verdict.OK
        assert "secret" not in found.evidence
    found = look("camera", machine, source)
    assert found.verdict is Verdict.FAIL
    assert "Connection refused" in found.evidence
    assert "secret" not in found.evidence


def test_device_files_must_be_there(machine: FakeMachine) -> None:
    assert look("camera devices", machine, PI).verdict is Verdict.FAIL
    found = look("camera devices", machine, USB)  # the check before it fails
    assert found.verdict is Verdict.SKIPPED
    plug_in(machine)
    for source in (PI, USB):
        assert look("camera devices", machine, source).verdict is Verdict.OK


def test_the_pi_camera_needs_a_dma_heap(machine: FakeMachine) -> None:
    plug_in(machine)
    (machine.root / "dev/dma_heap/linux,cma").unlink()
    found = look("camera devices", machine, PI)
    assert found.verdict is Verdict.FAIL
    assert found.remedy == "use Raspberry Pi OS's own kernel"


def test_device_files_must_be_open_to_this_user(machine: FakeMachine) -> None:
    plug_in(machine).chmod(0)
    with without_root_rights():
        found = look("camera devices", machine, USB)
    assert found.verdict is Verdict.FAIL
    assert "/dev/video0" in found.evidence
    assert "usermod -aG video" in found.remedy


def test_who_uses_the_camera_is_named(machine: FakeMachine) -> None:
    assert look("camera in use", machine, PI).verdict is Verdict.SKIPPED
    device = plug_in(machine)
    found = look("camera in use", machine, PI)
    assert found.verdict is Verdict.OK
    assert "root" not in found.evidence
    machine.changes = {"uid": 1000}
    assert "only root sees" in look("camera in use", machine, PI).evidence
    with held(device):
        found = look("camera in use", machine, PI)
    assert found.verdict is Verdict.WARN
    assert found.evidence.startswith("python")
    with held(device, "edge-ssd"):
        found = look("camera in use", machine, USB)
    assert found.verdict is Verdict.OK
    assert "the service has it open: edge-ssd (pid " in found.evidence


@pytest.mark.parametrize("source", [{"type": "synthetic"}, {"type": "video", "path": "a.mp4"}])
def test_a_source_without_a_device_has_no_checks(source: dict[str, Any]) -> None:
    assert parse({"source": source}).source.checks() == ()
