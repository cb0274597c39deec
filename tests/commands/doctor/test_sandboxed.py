"""How the checks of a configuration are run inside the sandbox of the unit that reads it.

tests/system/test_doctor_sandbox.py does it with a real systemd.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from support.machines import FakeMachine

from edge_ssd.checks import Check, Verdict, fail, ok, warn
from edge_ssd.commands.doctor import sandboxed, table
from edge_ssd.commands.doctor.runner import Examined
from edge_ssd.config import Config

UNIT = """\
# /etc/systemd/system/edge-ssd.service
[Unit]
Description=no setting of a process

[Service]
Type=notify
ExecStart=/opt/edge-ssd/bin/edge-ssd run --config /etc/edge-ssd/edge-ssd.yaml
Restart=on-failure
WatchdogSec=20
#ProtectHome=no
RuntimeDirectory=edge-ssd more
Environment=TMPDIR=%t/edge-ssd \\
    LANG=C
DynamicUser=yes
NoExecPaths=/srv
LoadCredential=mqtt:/etc/edge-ssd/secrets/mqtt

# /etc/systemd/system/edge-ssd.service.d/override.conf
[Service]
ReadWritePaths=
ReadWritePaths=/srv/%i-100%%
StateDirectory=edge-ssd
"""


class Systemd:
    """Answers as systemctl and systemd-run do; ``started`` is what the latter was told."""

    def __init__(self, machine: FakeMachine, unit: str = "edge-ssd.service") -> None:
        machine.unit(Id=unit)
        self.machine, self.started = machine, []
        self.printed = json.dumps({"schema": 1, "file": "f", "problems": [], "checks": []})
        machine.changes = {"run": self.run}

    def run(self, *command: str, **limits: Any) -> str | None:
        if command[0] == "systemd-run":
            assert limits["limit_s"] > 60
            self.started = list(command)
            return self.printed
        if command[:2] == ("systemctl", "cat"):
            return UNIT
        return self.machine.answers.get(command[0])

    def properties(self) -> list[str]:
        return [word[11:] for word in self.started if word.startswith("--property=")]


def config(machine: FakeMachine, name: str = "edge-ssd") -> Path:
    return machine.write(f"/etc/edge-ssd/{name}.yaml", "source: {type: synthetic}")


def test_it_runs_with_the_settings_of_the_unit_and_its_drop_ins(machine: FakeMachine) -> None:
    systemd, path = Systemd(machine), config(machine)
    inside = sandboxed.check(path, machine.system())
    assert inside.finding == ok("checked as edge-ssd.service runs")
    assert systemd.properties() == [
        "TemporaryFileSystem=/run/edge-ssd:mode=0777",
        "TemporaryFileSystem=/run/more:mode=0777",
        "Environment=TMPDIR=/run/edge-ssd      LANG=C",
        "DynamicUser=yes",
        "NoExecPaths=/srv",
        "LoadCredential=mqtt:/etc/edge-ssd/secrets/mqtt",
        "ReadWritePaths=",
        "ReadWritePaths=/srv/-100%",
        "StateDirectory=edge-ssd",
        "User=edge-ssd",
        "RuntimeMaxSec=300",
    ]
    command = [sys.executable, "-m", "edge_ssd", "check-config", "--deep", "--json", str(path)]
    assert systemd.started[-7:] == command
    assert not any("no setting" in word for word in systemd.started)


def test_each_camera_has_its_own_unit(machine: FakeMachine) -> None:
    systemd, path = Systemd(machine, "edge-ssd@garden.service"), config(machine, "garden")
    assert sandboxed.check(path, machine.system()).unit == "edge-ssd@garden.service"
    assert "ReadWritePaths=/srv/garden-100%" in systemd.properties()


def test_elsewhere_it_is_this_user_that_checks(machine: FakeMachine, tmp_path: Path) -> None:
    path = config(machine)
    inside = sandboxed.check(path, machine.system())
    assert (inside.finding.verdict, inside.unit) == (Verdict.SKIPPED, "")
    assert "no installed service reads" in inside.finding.evidence
    systemd = Systemd(machine)
    draft = sandboxed.check(tmp_path / "edge-ssd.yaml", machine.system())
    assert "no installed service reads" in draft.finding.evidence
    machine.changes["uid"] = 1000
    inside = sandboxed.check(path, machine.system())
    assert inside.finding.verdict is Verdict.SKIPPED
    assert inside.finding.evidence == (
        "checked as this user: run with sudo to check inside edge-ssd.service's sandbox"
    )
    assert not systemd.started


def ended(status: int) -> str:
    return f"Running as unit: x\nMain processes terminated with: code=exited/status={status}\n"


def test_a_credential_that_is_missing_keeps_the_unit_from_starting(machine: FakeMachine) -> None:
    systemd, path = Systemd(machine), config(machine)
    systemd.printed = ended(243)
    found = sandboxed.check(path, machine.system()).finding
    assert (found.verdict, found.evidence) == (
        Verdict.FAIL,
        "edge-ssd.service does not start (243/CREDENTIALS): /etc/edge-ssd/secrets/mqtt, which its "
        "credential mqtt is loaded from, does not exist",
    )
    assert "sudo systemctl edit edge-ssd`" in found.remedy
    machine.write("/etc/edge-ssd/secrets/mqtt")  # so it is something else
    found = sandboxed.check(path, machine.system()).finding
    assert found.evidence == "edge-ssd.service does not start (243/CREDENTIALS)"


@pytest.mark.parametrize(
    ("printed", "verdict", "says"),
    [
        (ended(216), Verdict.FAIL, "does not start (216/GROUP)"),
        (ended(203), Verdict.WARN, "did not run inside edge-ssd.service's sandbox (exit status"),
        ("Unknown assignment: Foo=1\n", Verdict.WARN, "Unknown assignment: Foo=1"),
        (None, Verdict.WARN, "did not run inside edge-ssd.service's sandbox"),
    ],
)
def test_a_unit_in_which_nothing_runs_is_a_finding(
    machine: FakeMachine, printed: str, verdict: Verdict, says: str
) -> None:
    systemd, path = Systemd(machine), config(machine)
    systemd.printed = printed
    found = sandboxed.check(path, machine.system()).finding
    assert (found.verdict, says in found.evidence) == (verdict, True), found
    assert re.search("journalctl -u 'edge-ssd-check-", found.remedy)


class TestTable:
    """What the report makes of it."""

    @pytest.fixture(autouse=True)
    def checks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two checks that fail for whoever is not the service, and one of other processes."""
        checks = (
            Check("outputs", lambda _: fail("not here", "sudo"), "publishers.0.path", exit_code=78,
                  rights=True),
            Check("camera", lambda _: fail("away", "plug it in"), "source.path", exit_code=69),
            Check("camera in use", lambda _: ok("seen by root"), "source", outside=True),
        )  # fmt: skip
        monkeypatch.setattr(Config, "checks", lambda _: checks)
        known = Check("golden detection", lambda _: ok("known"))
        monkeypatch.setattr("edge_ssd.commands.doctor.golden.check", lambda *_: known)

    def rows(self, machine: FakeMachine) -> dict[str, Examined]:
        return {one.name: one for one in table.rows(None, machine.system())}

    def answer(self, systemd: Systemd, *problems: dict[str, str]) -> None:
        told = [
            Examined("outputs", ok("may write"), "publishers.0.path", 78),
            Examined("camera", warn("busy", "wait"), "source.path", 69),
            Examined("camera in use", ok("nobody"), "source"),
        ]
        checks = [] if problems else [one.as_json() for one in told]
        answer = {"schema": 1, "file": "f.yaml", "problems": problems, "checks": checks}
        systemd.printed = json.dumps(answer)

    def test_what_the_sandbox_says_counts(self, machine: FakeMachine) -> None:
        systemd = Systemd(machine)
        config(machine)
        self.answer(systemd)
        found = self.rows(machine)
        assert found["configuration"].finding == ok("f.yaml is valid")
        assert found["outputs"].finding == ok("may write")
        assert found["camera"].finding == warn("busy", "wait")
        assert found["camera in use"].finding == ok("seen by root")

    def test_a_file_that_the_service_cannot_read_fails(self, machine: FakeMachine) -> None:
        systemd = Systemd(machine)
        config(machine)
        hidden = {"option": "model.name", "text": "no permission", "remedy": "move it"}
        self.answer(systemd, hidden)
        found = self.rows(machine)["configuration"]
        assert (found.finding, found.exit_code) == (
            fail("edge-ssd.service: model.name: no permission", "move it"), 78,
        )  # fmt: skip

    def test_what_another_user_may_not_do_is_a_warning(self, machine: FakeMachine) -> None:
        Systemd(machine)
        config(machine)
        machine.changes["uid"] = 1000
        found = self.rows(machine)
        assert found["outputs"].finding == warn(
            "not here; edge-ssd.service runs as another user", "sudo"
        )
        assert found["camera"].finding.verdict is Verdict.FAIL

    def test_without_a_service_this_user_counts(self, machine: FakeMachine) -> None:
        config(machine)
        found = self.rows(machine)
        assert found["outputs"].finding.verdict is Verdict.FAIL
        assert found["sandbox"].finding.verdict is Verdict.SKIPPED
