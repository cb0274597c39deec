"""The camera checks, on fake device files and the fake picamera2."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
from support.fake_picamera2 import Rig
from support.machines import SYNTHETIC, FakeMachine, look
from support.privileges import without_root_rights

from edge_ssd.commands.doctor.check import Verdict

PI = {"type": "picamera"}
USB = {"type": "usb", "path": "/dev/video0"}


@contextmanager
def held(path: Path, name: str = "") -> Iterator[None]:
    """Another process has the file open; name: what it calls itself."""
    rename = f"open('/proc/self/comm', 'w').write({name!r});" if name else ""
    code = f"f = open({str(path)!r}); {rename} print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.stdin.close()


def plug_in(machine: FakeMachine) -> Path:
    """A Pi camera, as the kernel shows it."""
    machine.write("/dev/media0")
    machine.write("/dev/dma_heap/linux,cma")
    machine.write("/sys/class/video4linux/video0/name", "rp1-cfe-csi2_ch0")
    return machine.write("/dev/video0")


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    rig = Rig()
    rig.install(monkeypatch)
    return rig


def test_picamera2_can_be_imported(machine: FakeMachine, rig: Rig) -> None:
    assert look("picamera2", machine.situation(PI)).verdict is Verdict.OK


def test_picamera2_is_a_failure_only_where_it_is_needed(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    found = look("picamera2", machine.situation(PI))
    assert found.verdict is Verdict.FAIL
    assert "apt install python3-picamera2" in found.remedy
    assert "see above" in look("camera", machine.situation(PI)).evidence
    monkeypatch.delitem(sys.modules, "picamera2")
    # Whatever is installed, or is a folder of this name on the path, as tests/system has.
    monkeypatch.setattr("edge_ssd.commands.doctor.cameras.find_spec", lambda _: None)
    assert look("picamera2", machine.situation(SYNTHETIC)).verdict is Verdict.SKIPPED
    monkeypatch.setattr("edge_ssd.commands.doctor.cameras.find_spec", find_spec)
    (tmp_path / "picamera2.py").write_text("raise ValueError('numpy.dtype size changed')")
    monkeypatch.syspath_prepend(tmp_path)
    found = look("picamera2", machine.situation(SYNTHETIC))
    assert found.verdict is Verdict.WARN
    assert "numpy.dtype size changed" in found.evidence


def test_the_pi_camera_is_listed(machine: FakeMachine, rig: Rig) -> None:
    found = look("camera", machine.situation(PI))
    assert found.verdict is Verdict.OK
    assert found.evidence.startswith("0 = imx708")
    for other in (1, "ov5647"):
        found = look("camera", machine.situation({**PI, "camera": other}))
        assert found.verdict is Verdict.FAIL
        assert "imx708" in found.evidence
    rig.cameras = []
    assert look("camera", machine.situation(PI)).evidence == "libcamera finds no camera"


def test_a_camera_that_another_process_has_is_not_touched(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without picamera2 here: asking it would fail."""
    monkeypatch.setitem(sys.modules, "picamera2", ModuleType("picamera2"))
    with held(plug_in(machine)):
        found = look("camera", machine.situation(PI))
    assert found.verdict is Verdict.SKIPPED
    assert "not touched: python" in found.evidence
    machine.unit()
    machine.changes = {"uid": 1000}
    assert "edge-ssd.service" in look("camera", machine.situation(PI)).evidence


def test_the_usb_camera_is_named_or_those_that_are_there(machine: FakeMachine) -> None:
    found = look("camera", machine.situation(USB))
    assert found.verdict is Verdict.FAIL
    assert found.remedy == "plug the camera in; /dev/v4l/by-id lists none"
    machine.write("/dev/v4l/by-id/usb-046d_C920-video-index0")
    assert "usb-046d_C920-video-index0" in look("camera", machine.situation(USB)).remedy
    plug_in(machine)
    machine.write("/sys/class/video4linux/video0/name", "HD Pro Webcam C920")
    assert look("camera", machine.situation(USB)).evidence == "/dev/video0: HD Pro Webcam C920"


def test_a_network_camera_must_answer(machine: FakeMachine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        source = {"type": "rtsp", "url": f"rtsp://user:secret@127.0.0.1:{port}/path"}
        found = look("camera", machine.situation(source))
        assert found.verdict is Verdict.OK
        assert "secret" not in found.evidence
    found = look("camera", machine.situation(source))
    assert found.verdict is Verdict.FAIL
    assert "Connection refused" in found.evidence
    assert "secret" not in found.evidence


def test_cameras_that_nobody_needs_are_listed(machine: FakeMachine) -> None:
    assert look("camera", machine.situation(SYNTHETIC)).verdict is Verdict.SKIPPED
    assert look("camera", machine.situation()).verdict is Verdict.SKIPPED
    plug_in(machine)
    assert look("camera", machine.situation()).evidence == "rp1-cfe-csi2_ch0"


def test_device_files_must_be_there(machine: FakeMachine) -> None:
    assert look("camera devices", machine.situation(PI)).verdict is Verdict.FAIL
    for source in (USB, SYNTHETIC):  # of USB cameras the check before tells
        assert look("camera devices", machine.situation(source)).verdict is Verdict.SKIPPED
    plug_in(machine)
    for source in (PI, USB):
        assert look("camera devices", machine.situation(source)).verdict is Verdict.OK


def test_the_pi_camera_needs_a_dma_heap(machine: FakeMachine) -> None:
    plug_in(machine)
    (machine.root / "dev/dma_heap/linux,cma").unlink()
    found = look("camera devices", machine.situation(PI))
    assert found.verdict is Verdict.FAIL
    assert found.remedy == "use Raspberry Pi OS's own kernel"


def test_device_files_must_be_open_to_this_user(machine: FakeMachine) -> None:
    plug_in(machine).chmod(0)
    with without_root_rights():
        found = look("camera devices", machine.situation(USB))
        assert look("camera devices", machine.situation(SYNTHETIC)).verdict is Verdict.WARN
    assert found.verdict is Verdict.FAIL
    assert "/dev/video0" in found.evidence
    assert "usermod -aG video" in found.remedy


def test_the_user_must_be_in_the_group_video(machine: FakeMachine) -> None:
    assert look("camera group", machine.situation(PI)).verdict is Verdict.OK
    machine.changes = {"uid": 1000}
    assert "usermod -aG video" in look("camera group", machine.situation(PI)).remedy
    assert look("camera group", machine.situation(SYNTHETIC)).verdict is Verdict.WARN
    machine.changes = {"uid": 1000, "groups": frozenset([44])}
    assert look("camera group", machine.situation(PI)).verdict is Verdict.OK


def test_the_services_user_must_be_in_the_group_video(machine: FakeMachine) -> None:
    machine.unit()
    assert look("camera group", machine.situation(PI)).evidence.endswith("the service is in video")
    machine.unit(SupplementaryGroups="plugdev")
    found = look("camera group", machine.situation(PI))
    assert (found.verdict, found.remedy) == (
        Verdict.FAIL, "give the unit SupplementaryGroups=video",
    )  # fmt: skip
    machine.write("/etc/group", "root:x:0:")
    assert "216/GROUP" in look("camera group", machine.situation(PI)).evidence


def test_who_uses_the_camera_is_named(machine: FakeMachine) -> None:
    assert look("camera in use", machine.situation(PI)).verdict is Verdict.SKIPPED
    device = plug_in(machine)
    found = look("camera in use", machine.situation(PI))
    assert found.verdict is Verdict.OK
    assert "root" not in found.evidence
    machine.changes = {"uid": 1000}
    assert "show only to root" in look("camera in use", machine.situation(PI)).evidence
    with held(device):
        found = look("camera in use", machine.situation(PI))
    assert found.verdict is Verdict.WARN
    assert found.evidence.startswith("python")
    with held(device, "edge-ssd"):
        found = look("camera in use", machine.situation(USB))
    assert found.verdict is Verdict.OK
    assert "the service has it open: edge-ssd (pid " in found.evidence
