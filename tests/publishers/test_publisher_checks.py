"""What publishers look at before the service runs: folders, rights, room, secrets, brokers."""

from __future__ import annotations

import socket
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.machines import FakeMachine
from support.privileges import without_root_rights

from edge_ssd import reachable
from edge_ssd.checks import Finding, System, Verdict, fail, start_problems
from edge_ssd.config import parse
from edge_ssd.errors import ConfigError, EdgeSsdError
from edge_ssd.publishers.base import PublisherOptions
from edge_ssd.publishers.jsonl import JsonLinesOptions
from edge_ssd.publishers.mqtt import MqttOptions


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path / "root")


def look(options: PublisherOptions, name: str, system: System | None = None) -> list[Finding]:
    """Run the checks of this name."""
    found = []
    for check in options.checks():
        if check.name == name:
            try:
                found.append(check.look(system or System()))
            except EdgeSsdError as error:
                found.append(fail(error.problem, error.remedy))
    return found


def at_start(path: str, machine: FakeMachine, **only: bool) -> list[str]:
    checks = [check.below("p") for check in JsonLinesOptions(path=Path(path)).checks()]
    return [str(problem) for problem in start_problems(checks, machine.system(), **only)]


def test_standard_output_needs_nothing() -> None:
    assert JsonLinesOptions().checks() == ()


@pytest.mark.parametrize("path", ["out.jsonl", "./out.jsonl", "link.jsonl", None])
def test_two_publishers_may_not_share_a_file_however_it_is_named(
    path: str | None, tmp_path: Path
) -> None:
    (tmp_path / "link.jsonl").symlink_to("out.jsonl")
    first = str(tmp_path / "out.jsonl") if path else None
    files = [{"type": "jsonl", "path": each} for each in (first, path)]
    with pytest.raises(ConfigError) as caught:
        parse({"source": {"type": "synthetic"}, "publishers": files}, tmp_path)
    (problem,) = caught.value.problems
    assert problem.option == "publishers.1.path"
    assert problem.text == f"another publisher has {tmp_path / path if path else 'stdout'} already"


def test_a_folder_that_does_not_exist_is_one_problem(machine: FakeMachine) -> None:
    says = ["p.path: the folder /none does not exist; create it, or correct the path"]
    assert at_start("/none/a", machine) == says
    assert at_start("/none/a", machine, rights=False) == says


def test_what_this_user_may_not_write_is_not_judged_for_another_user(machine: FakeMachine) -> None:
    (machine.root / "closed").mkdir(mode=0o555)
    machine.write("/open/closed").chmod(0o444)
    with without_root_rights():
        assert at_start("/open/new", machine) == []
        for path in ("/closed/a", "/open/closed"):
            says = f"p.path: {path} may not be written by this user; choose a folder where it may"
            assert at_start(path, machine) == [says]
            assert at_start(path, machine, rights=False) == []


def test_a_folder_is_no_file(machine: FakeMachine) -> None:
    (machine.root / "data/a").mkdir(parents=True)
    assert "may not be written" in at_start("/data/a", machine)[0]


def test_a_folder_that_systemd_makes_at_the_start_may_be_missing(machine: FakeMachine) -> None:
    for folder in ("edge-ssd", "edge-ssd-garden"):
        assert at_start(f"/run/{folder}/a", machine, rights=False) == []
    assert at_start("/run/egde-ssd/a", machine, rights=False)


def test_the_broker_must_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        options = MqttOptions(host="127.0.0.1", port=port)
        (found,) = look(options, "broker")
        assert (found.verdict, found.evidence) == (Verdict.OK, f"mqtt 127.0.0.1:{port} answers")
    (found,) = look(options, "broker")
    assert found.verdict is Verdict.WARN  # the service runs without it, and retries
    assert found.evidence == f"mqtt 127.0.0.1:{port} does not answer: Connection refused"
    assert "start the broker, or correct host and port" in found.remedy


def test_a_name_server_that_blocks_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    impatient = partial(reachable.unreachable, timeout_s=0.1)
    monkeypatch.setattr("edge_ssd.publishers.mqtt.unreachable", impatient)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: never.wait())
    (found,) = look(MqttOptions(host="broker.invalid"), "broker")
    assert found.verdict is Verdict.WARN
    assert found.evidence == "mqtt broker.invalid:1883: the name could not be resolved in time"


@pytest.mark.parametrize(
    ("options", "option", "problem"),
    [
        ({"username": "a", "password_file": "none"}, "password_file", "none: No such file"),
        ({"username": "a", "password_credential": "mqtt"}, "password_credential",
         "there is no systemd credential 'mqtt' here"),
        ({"tls": {"ca_file": "none"}}, "tls", "none: No such file"),
    ],
)  # fmt: skip
def test_a_secret_that_cannot_be_read_stops_the_service_and_is_not_judged_for_another_user(
    options: dict[str, Any], option: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    section = MqttOptions.model_validate({"host": "h", **options})
    checks = [check.below("publishers.0") for check in section.checks()]
    (found,) = start_problems(checks)
    assert str(found).startswith(f"publishers.0.{option}: {problem}")
    assert found.remedy
    assert not start_problems(checks, rights=False)


def test_secrets_that_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mqtt").write_text("secret\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    options = MqttOptions.model_validate(
        {"host": "h", "username": "a", "password_credential": "mqtt", "tls": {}}
    )
    found = look(options, "credentials")
    assert [one.evidence for one in found] == [
        "password_credential can be read", "tls can be read",
    ]  # fmt: skip
    assert "secret" not in repr(found)
