"""The doctor beside an installed service: its checks run as that service does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.booted import Machine
from support.installed import CONFIG, LINES, configure, recorded, restart, wait_for_more

pytestmark = pytest.mark.system

DOCTOR = "/opt/edge-ssd/bin/edge-ssd"


def doctor(machine: Machine, *before: str, config: str = CONFIG) -> tuple[int, dict[str, Any]]:
    """Return its exit code and what it found, by check."""
    finished = machine.run(*before, DOCTOR, "doctor", "--config", config, "--json")
    told = json.loads(finished.stdout)
    return finished.returncode, {check["name"]: check for check in told["checks"]}


@contextmanager
def drop_in(machine: Machine, *lines: str) -> Iterator[None]:
    file = machine.path("/etc/systemd/system/edge-ssd.service.d/test.conf")
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(["[Service]", *lines, ""]))
    machine.run("systemctl", "daemon-reload", check=True)
    yield
    file.unlink()
    file.parent.rmdir()
    machine.run("systemctl", "daemon-reload", check=True)


def test_it_leaves_the_running_service_alone(service: Machine) -> None:
    process, owner = service.unit("MainPID"), service.ask("stat", "-c", "%U %a", "/run/edge-ssd")
    code, found = doctor(service)
    assert (code, found["sandbox"]["verdict"]) == (0, "ok"), found
    assert found["sandbox"]["evidence"] == "checked as edge-ssd.service runs"
    assert found["configuration"]["verdict"] == "ok"
    wait_for_more(service, 3)
    assert service.unit("MainPID") == process
    assert service.ask("stat", "-c", "%U %a", "/run/edge-ssd") == owner
    assert service.ask("systemctl", "list-units", "--all", "--no-legend", "edge-ssd-check*") == ""


def test_the_service_starts_after_it(service: Machine) -> None:
    service.run("systemctl", "stop", "edge-ssd", check=True)
    assert doctor(service)[1]["sandbox"]["verdict"] == "ok"
    restart(service)
    wait_for_more(service, 1)
    assert service.run("runuser", "-u", "nobody", "--", "cat", LINES).returncode == 0


def test_another_user_is_told_to_ask_as_root(service: Machine) -> None:
    code, found = doctor(service, "runuser", "-u", "nobody", "--")
    assert code == 0, found
    assert found["sandbox"]["evidence"].endswith("inside edge-ssd.service's sandbox")


def test_a_file_that_only_root_may_read_fails(service: Machine) -> None:
    service.path(CONFIG).chmod(0o600)
    code, found = doctor(service)
    service.path(CONFIG).chmod(0o644)
    assert code == 78
    assert found["configuration"]["evidence"].startswith("edge-ssd.service: Permission denied")


def test_a_model_that_the_service_cannot_see_fails(service: Machine) -> None:
    model = "/opt/edge-ssd/lib/python3.11/site-packages/edge_ssd/models/data"
    names = service.ask("sh", "-c", f"ls {model}/*.tflite").split()
    service.run("cp", names[0], "/root/own.tflite", check=True)
    configure(service, recorded(model={"name": "/root/own.tflite"}))
    code, found = doctor(service)
    assert code == 78
    assert "model.name: model /root/own.tflite" in found["configuration"]["evidence"]


def test_a_credential_that_is_not_there_keeps_it_from_starting(service: Machine) -> None:
    with drop_in(service, "LoadCredential=cam:/etc/edge-ssd/none"):
        code, found = doctor(service)
        assert code == 78
        assert "243/CREDENTIALS" in found["sandbox"]["evidence"]
        assert "/etc/edge-ssd/none, which its credential cam is" in found["sandbox"]["evidence"]


def test_the_state_folder_stays_the_services(service: Machine) -> None:
    with drop_in(service, "StateDirectory=edge-ssd"):
        restart(service)
        owner = service.ask("stat", "-c", "%u", "/var/lib/edge-ssd/")
        assert doctor(service)[1]["sandbox"]["verdict"] == "ok"
        assert service.ask("stat", "-c", "%u", "/var/lib/edge-ssd/") == owner != "0"
    service.run("rm", "-r", "/var/lib/private/edge-ssd", "/var/lib/edge-ssd", check=True)


def test_each_camera_is_checked_as_its_own_unit(service: Machine) -> None:
    garden = "/etc/edge-ssd/garden.yaml"
    configure(service, recorded("/run/edge-ssd-garden/a.jsonl"), garden)
    code, found = doctor(service, config=garden)
    service.path(garden).unlink()
    assert (code, found["sandbox"]["verdict"]) == (0, "ok"), found
    assert found["sandbox"]["evidence"] == "checked as edge-ssd@garden.service runs"
