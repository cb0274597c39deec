"""The camera rows of doctor: those of the configured source, or of what is connected."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.fake_picamera2 import Rig
from support.machines import SYNTHETIC, FakeMachine, look
from support.privileges import without_root_rights

from edge_ssd.commands.doctor.check import Verdict

PI = {"type": "picamera"}


def plug_in(machine: FakeMachine) -> Path:
    """A Pi camera, as the kernel shows it."""
    machine.write("/dev/media0")
    machine.write("/dev/dma_heap/linux,cma")
    machine.write("/sys/class/video4linux/video0/name", "rp1-cfe-csi2_ch0")
    return machine.write("/dev/video0")


def test_the_configured_camera_is_examined(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig()
    rig.install(monkeypatch)
    assert look("camera", machine.situation(PI)).evidence.startswith("0 = imx708")
    rig.cameras = []
    found = look("camera", machine.situation(PI))
    assert (found.verdict, found.evidence) == (Verdict.FAIL, "no camera found")


def test_picamera2_is_a_failure_only_where_it_is_needed(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    found = look("picamera2", machine.situation(PI))
    assert found.verdict is Verdict.FAIL
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


def test_cameras_that_nobody_needs_are_listed(machine: FakeMachine) -> None:
    assert look("camera", machine.situation(SYNTHETIC)).verdict is Verdict.SKIPPED
    assert look("camera", machine.situation()).verdict is Verdict.SKIPPED
    plug_in(machine)
    assert look("camera", machine.situation()).evidence == "rp1-cfe-csi2_ch0"


def test_device_files_that_nobody_needs_are_a_warning(machine: FakeMachine) -> None:
    assert look("camera devices", machine.situation(SYNTHETIC)).verdict is Verdict.SKIPPED
    plug_in(machine).chmod(0)
    with without_root_rights():
        assert look("camera devices", machine.situation(SYNTHETIC)).verdict is Verdict.WARN
    machine.changes = {"uid": 1000}
    assert look("camera group", machine.situation(SYNTHETIC)).verdict is Verdict.WARN


def test_the_user_must_be_in_the_group_video(machine: FakeMachine) -> None:
    assert look("camera group", machine.situation(PI)).verdict is Verdict.OK
    machine.changes = {"uid": 1000}
    assert "usermod -aG video" in look("camera group", machine.situation(PI)).remedy
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
