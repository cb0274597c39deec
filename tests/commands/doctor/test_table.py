"""Every row of the report: which there are, and what they are about."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.machines import FakeMachine

from edge_ssd.checks import Check, Verdict, fail, ok
from edge_ssd.commands.doctor import table
from edge_ssd.commands.doctor.runner import Examined
from edge_ssd.config import Config

ALWAYS = [
    "python", "processor", "numpy", "configuration", "golden detection", "power", "clock",
    "disk space", "sd card", "camera group", "service",
]  # fmt: skip
SYNTHETIC = "source: {type: synthetic}\n"


def rows(machine: FakeMachine, path: Path | None = None) -> dict[str, Examined]:
    return {one.name: one for one in table.rows(path, machine.system())}


@pytest.fixture(autouse=True)
def no_golden(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Its own tests are test_golden.py's; it takes a second."""
    known = Check("golden detection", lambda _: ok("known"))
    monkeypatch.setattr("edge_ssd.commands.doctor.golden.check", lambda *_: known)


def test_a_valid_configuration_passes_and_a_bad_one_is_told_whole(
    machine: FakeMachine, tmp_path: Path
) -> None:
    assert rows(machine)["configuration"].finding.verdict is Verdict.SKIPPED
    path = tmp_path / "a.yaml"
    path.write_text(SYNTHETIC)
    assert rows(machine, path)["configuration"].finding == ok(f"{path} is valid")
    path.write_text(SYNTHETIC + "postprocess: {classes: [unicorn, dragon]}")
    found = rows(machine, path)["configuration"]
    assert (found.finding.verdict, found.exit_code) == (Verdict.FAIL, 78)
    assert "unicorn" in found.finding.evidence
    assert "dragon" in found.finding.evidence


def test_the_services_configuration_is_the_default(machine: FakeMachine) -> None:
    path = machine.write("/etc/edge-ssd/edge-ssd.yaml", f"{SYNTHETIC}fps: 3")
    assert f"{path}: fps: unknown option" in rows(machine)["configuration"].finding.evidence
    machine.write("/etc/edge-ssd/edge-ssd.yaml", SYNTHETIC)
    assert rows(machine)["configuration"].finding == ok(f"{path} is valid")


def test_a_file_that_is_none_is_refused_at_once(machine: FakeMachine, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", tmp_path):
        found = rows(machine, path)["configuration"].finding
        assert found.evidence == f"{path}: not a regular file"


def test_each_section_brings_its_checks(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = (Check("broker", lambda _: fail("silent", "start it"), "publishers.0.host"),)
    monkeypatch.setattr(Config, "checks", lambda _: checks)
    path = tmp_path / "a.yaml"
    path.write_text(SYNTHETIC)
    found = rows(machine, path)
    assert list(found) == [*ALWAYS[:4], "sandbox", "broker", *ALWAYS[4:]]
    assert found["broker"].option == "publishers.0.host"


def test_what_publishers_write_must_have_room(machine: FakeMachine, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    jsonl = "{type: jsonl, path: /run/edge-ssd-none/a.jsonl, max_bytes: 10000000, backups: 9}"
    path.write_text(f"{SYNTHETIC}publishers: [{jsonl}]")
    machine.write("/proc/self/mountinfo", "1 1 0:5 / /run rw - tmpfs tmpfs rw")
    for free, verdict in ((99_000_000, Verdict.WARN), (101_000_000, Verdict.OK)):
        machine.changes = {"free_bytes": lambda at, free=free: free if at.name == "run" else 10**9}
        assert rows(machine, path)["disk space"].finding.verdict is verdict


def test_a_usb_camera_needs_its_group(machine: FakeMachine, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    machine.changes = {"uid": 1000}
    for source, verdict in (("synthetic", "warn"), ("usb, path: /dev/video0", "fail")):
        path.write_text(f"source: {{type: {source}}}")
        assert rows(machine, path)["camera group"].finding.verdict.value == verdict
