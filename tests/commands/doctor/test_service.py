"""The units of the service, and the group that owns cameras."""

from __future__ import annotations

import pytest
from support.machines import FakeMachine

from edge_ssd.checks import Finding, Verdict
from edge_ssd.commands.doctor import service


def state(machine: FakeMachine, name: str = "edge-ssd") -> Finding:
    """Look at the units, for the configuration of this name."""
    path = machine.root / f"etc/edge-ssd/{name}.yaml"
    return service.service(path, machine.system())


def test_without_systemd_there_is_no_service(machine: FakeMachine) -> None:
    assert "systemd does not run here" in state(machine).evidence
    machine.unit(LoadState="not-found")
    assert "not installed" in state(machine).evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "says"),
    [
        ({}, Verdict.OK, "active (running), enabled"),
        ({"ActiveState": "activating", "SubState": "start"}, Verdict.WARN, "no frame inferred yet"),
        ({"ActiveState": "activating", "SubState": "start", "StatusText": "the camera is away"},
         Verdict.WARN, "activating (start), enabled; the camera is away"),
        ({"ActiveState": "failed", "SubState": "failed", "ExecMainStatus": "78"}, Verdict.FAIL,
         "last exit status 78"),
        ({"ActiveState": "failed", "SubState": "failed", "ExecMainStatus": "6",
          "ExecMainCode": "3", "Result": "watchdog"}, Verdict.FAIL,
         "enabled, watchdog, last ended by SIGABRT"),
        ({"NRestarts": "4"}, Verdict.WARN, "4 restarts"),
        ({"NRestarts": "1", "SubState": "running", "Result": "success"}, Verdict.WARN, "1 restart"),
        ({"ActiveState": "activating", "SubState": "auto-restart"}, Verdict.WARN, "auto-restart"),
        ({"ActiveState": "inactive", "SubState": "dead"}, Verdict.WARN, "inactive (dead)"),
        ({"UnitFileState": "disabled"}, Verdict.WARN, "disabled"),
        ({"SupplementaryGroups": "video gpio"}, Verdict.FAIL, "its group gpio does not exist"),
    ],
)  # fmt: skip
def test_the_services_state(
    machine: FakeMachine, changes: dict[str, str], verdict: Verdict, says: str
) -> None:
    machine.unit(**changes)
    found = state(machine)
    assert (found.verdict, says in found.evidence) == (verdict, True), found


FAILED = {"ActiveState": "failed", "SubState": "failed"}
IDLE = {"ActiveState": "inactive", "SubState": "dead", "UnitFileState": "disabled"}


def two_units(machine: FakeMachine, single: dict[str, str], garden: dict[str, str]) -> None:
    machine.unit(**single)
    first = machine.answers["systemctl"]
    machine.unit(Id="edge-ssd@garden.service", **garden)
    machine.answers["systemctl"] = f"{first}\n{machine.answers['systemctl']}"


def test_the_configurations_own_unit_decides(machine: FakeMachine) -> None:
    two_units(machine, {"NRestarts": "2"}, FAILED)
    found = state(machine, "garden")
    assert found.verdict is Verdict.FAIL
    assert "journalctl -u edge-ssd@garden.service" in found.remedy
    found = state(machine)
    assert found.verdict is Verdict.WARN
    assert "edge-ssd@garden.service: failed" in found.evidence
    assert "journalctl -u edge-ssd.service" in found.remedy


def test_another_cameras_failure_is_a_warning(machine: FakeMachine) -> None:
    two_units(machine, {}, FAILED)
    found = state(machine)
    assert found.verdict is Verdict.WARN
    assert "journalctl -u edge-ssd@garden.service" in found.remedy


def test_a_single_service_that_nobody_uses_is_no_trouble(machine: FakeMachine) -> None:
    two_units(machine, IDLE, {})
    for name in ("edge-ssd", "garden"):
        found = state(machine, name)
        assert found.verdict is Verdict.OK
        assert "edge-ssd.service" not in found.evidence
    two_units(machine, IDLE, IDLE)
    found = state(machine, "garden")
    assert found.remedy == "sudo systemctl enable --now edge-ssd@garden.service"


def test_the_user_must_be_in_the_group_video(machine: FakeMachine) -> None:
    assert service.camera_group(machine.system()).verdict is Verdict.OK
    machine.changes = {"uid": 1000}
    assert "usermod -aG video" in service.camera_group(machine.system()).remedy
    group, _ = service.checks(None, uses_camera=False)
    assert group.judge(machine.system()).verdict is Verdict.WARN
    machine.changes = {"uid": 1000, "groups": frozenset([44])}
    assert service.camera_group(machine.system()).verdict is Verdict.OK


def test_the_services_user_must_be_in_the_group_video(machine: FakeMachine) -> None:
    machine.unit()
    assert service.camera_group(machine.system()).evidence.endswith("the service is in video")
    machine.unit(SupplementaryGroups="plugdev")
    found = service.camera_group(machine.system())
    assert (found.verdict, found.remedy) == (
        Verdict.FAIL, "give the unit SupplementaryGroups=video",
    )  # fmt: skip
    machine.write("/etc/group", "root:x:0:")
    assert "216/GROUP" in service.camera_group(machine.system()).evidence
