"""Power, clock, disk, card, broker, service: what passes, and what does not."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from support.machines import SYNTHETIC, FakeMachine, look

from edge_ssd.commands.doctor import clock
from edge_ssd.commands.doctor.check import Situation, Verdict

THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
ZONE = "/sys/class/thermal/thermal_zone0"
CARD = "31 1 179:2 / / rw,{} shared:1 - ext4 {} rw\n20 31 0:5 / /run rw - tmpfs tmpfs rw"


@pytest.mark.parametrize(
    ("word", "verdict", "says"),
    [
        ("0", Verdict.OK, "no undervoltage"),
        ("50005", Verdict.WARN, "undervoltage now"),
        ("50000", Verdict.WARN, "undervoltage since the boot"),
        ("e0000", Verdict.WARN, "slowed the processor since the boot"),
        ("20002", Verdict.WARN, "slowed the processor now"),
    ],
)
def test_power(machine: FakeMachine, word: str, verdict: Verdict, says: str) -> None:
    machine.write(THROTTLED, word)
    found = look("power", machine.situation())
    assert (found.verdict, says in found.evidence) == (verdict, True), found


def test_heat_on_other_boards(machine: FakeMachine) -> None:
    assert look("power", machine.situation()).verdict is Verdict.SKIPPED
    machine.write(f"{ZONE}/type", "cpu-thermal")
    machine.write(f"{ZONE}/temp", "61000")
    assert look("power", machine.situation()).evidence.startswith("61 °C")
    machine.write(f"{ZONE}/temp", "85000")
    assert look("power", machine.situation()).verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("told", "verdict"), [(True, Verdict.OK), (False, Verdict.WARN), (None, Verdict.SKIPPED)]
)
def test_clock(machine: FakeMachine, told: bool | None, verdict: Verdict) -> None:
    machine.changes = {"synchronised": lambda: told}
    assert look("clock", machine.situation()).verdict is verdict
    machine.write("/run/systemd/timesync/synchronized")
    assert look("clock", machine.situation()).verdict is Verdict.OK


def test_the_kernel_tells_of_its_clock() -> None:
    assert clock.synchronised() in (True, False)


@pytest.mark.parametrize(
    ("free", "verdict"), [(10**10, Verdict.OK), (10**8, Verdict.WARN), (10**5, Verdict.FAIL)]
)
def test_disk_space(machine: FakeMachine, free: int, verdict: Verdict) -> None:
    machine.changes = {"free_bytes": lambda _: free}
    assert look("disk space", machine.situation()).verdict is verdict


def test_disk_space_where_a_publisher_writes(machine: FakeMachine, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    machine.write("/proc/self/mountinfo", f"9 1 8:2 / {out} rw - ext4 /dev/sda2 rw")
    machine.changes = {"free_bytes": lambda path: 10**9 if path == out else 10**10}

    def with_backups(count: int) -> Verdict:
        publisher = {"type": "jsonl", "path": str(out / "a.jsonl"), "backups": count}
        return look("disk space", machine.situation(SYNTHETIC, publishers=[publisher])).verdict

    assert with_backups(10) is Verdict.OK
    assert with_backups(200) is Verdict.WARN  # 2 GB


@pytest.mark.parametrize(("free", "verdict"), [(5 * 10**7, Verdict.OK), (10**7, Verdict.WARN)])
def test_in_memory_only_the_publishers_files_need_room(
    machine: FakeMachine, free: int, verdict: Verdict
) -> None:
    """A small Pi's /run has less than 200 MB, and a file of 10 MB with 3 backups 40."""
    machine.write("/proc/self/mountinfo", CARD.format("noatime", "/dev/mmcblk0p2"))
    machine.changes = {"free_bytes": lambda path: free if path.name == "run" else 10**10}
    publisher = {"type": "jsonl", "path": "/run/edge-ssd-none/a.jsonl"}
    found = look("disk space", machine.situation(SYNTHETIC, publishers=[publisher]))
    assert (found.verdict, "/run: " in found.evidence) == (verdict, True), found


def test_a_disk_is_no_card(machine: FakeMachine) -> None:
    machine.write("/proc/self/mountinfo", "31 1 8:2 / / rw,relatime - ext4 /dev/sda2 rw")
    assert "/dev/sda2, not on an SD card" in look("sd card", machine.situation()).evidence


def test_a_card_that_is_spared(machine: FakeMachine) -> None:
    machine.write("/proc/self/mountinfo", CARD.format("noatime", "/dev/mmcblk0p2"))
    machine.write("/proc/swaps", "Filename Type\n/dev/zram0 partition")
    machine.write("/var/log/journal/keep")
    machine.write("/etc/systemd/journald.conf", "[Journal]\n#Storage=auto")
    machine.write("/usr/lib/systemd/journald.conf.d/40-rpi.conf", "[Journal]\nStorage=volatile")
    publisher = {"type": "jsonl", "path": "/run/edge-ssd.jsonl"}
    found = look("sd card", machine.situation(SYNTHETIC, publishers=[publisher]))
    assert found.verdict is Verdict.OK, found


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("/proc/self/mountinfo", CARD.format("relatime", "/dev/root"), "without noatime"),
        ("/var/log/journal/keep", "", "the journal is kept"),
        ("/etc/systemd/journald.conf.d/a.conf", "Storage=persistent", "the journal is kept"),
        ("/proc/swaps", "Filename Type\n/var/swap file", "swap is on the card"),
        ("/proc/swaps", "Filename Type\n/dev/mmcblk0p3 partition", "swap is on the card"),
    ],
)
def test_a_card_that_is_worn_out(machine: FakeMachine, path: str, text: str, says: str) -> None:
    machine.write("/proc/self/mountinfo", CARD.format("noatime", "/dev/mmcblk0p2"))
    machine.write(path, text)
    found = look("sd card", machine.situation())
    assert (found.verdict, found.evidence.count(";")) == (Verdict.WARN, 0)
    assert says in found.evidence


def test_a_publisher_that_writes_to_the_card(machine: FakeMachine) -> None:
    machine.write("/proc/self/mountinfo", CARD.format("noatime", "/dev/mmcblk0p2"))
    publisher = {"type": "jsonl", "path": "/var/tmp/edge-ssd.jsonl"}
    found = look("sd card", machine.situation(SYNTHETIC, publishers=[publisher]))
    assert (found.verdict, found.evidence) == (Verdict.WARN, "a publisher writes to the card")


def test_the_broker_must_answer(machine: FakeMachine) -> None:
    assert look("broker", machine.situation(SYNTHETIC)).verdict is Verdict.SKIPPED
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        mqtt = {"type": "mqtt", "host": "127.0.0.1", "port": port}
        situation = machine.situation(SYNTHETIC, publishers=[mqtt])
        assert look("broker", situation).verdict is Verdict.OK
    found = look("broker", situation)
    assert found.verdict is Verdict.WARN  # the service runs without it, and tries again
    assert f"mqtt://127.0.0.1:{port} does not answer: Connection refused" in found.evidence


def test_a_resolver_that_blocks_is_a_warning(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()
    monkeypatch.setattr("edge_ssd.commands.doctor.network.TIMEOUT_S", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: never.wait())
    mqtt = {"type": "mqtt", "host": "broker.invalid"}
    found = look("broker", machine.situation(SYNTHETIC, publishers=[mqtt, mqtt]))
    assert found.verdict is Verdict.WARN
    assert "the name could not be resolved in time" in found.evidence
    assert "start the broker" in found.remedy


@pytest.mark.parametrize(
    "secret",
    [{"username": "a", "password_file": "none"}, {"tls": {"ca_file": "none"}}],
)
def test_a_secret_that_cannot_be_read_fails(
    machine: FakeMachine, secret: dict[str, object]
) -> None:
    mqtt = {"type": "mqtt", "host": "localhost", **secret}
    found = look("broker", machine.situation(SYNTHETIC, publishers=[mqtt]))
    assert found.verdict is Verdict.FAIL
    assert "none" in found.evidence


def test_a_credential_is_the_services_own(machine: FakeMachine) -> None:
    mqtt = {"type": "mqtt", "host": "localhost", "port": 1, "username": "a",
            "password_credential": "mqtt"}  # fmt: skip
    found = look("broker", machine.situation(SYNTHETIC, publishers=[mqtt]))
    assert found.verdict is Verdict.WARN


def test_without_systemd_there_is_no_service(machine: FakeMachine) -> None:
    assert "systemd does not run here" in look("service", machine.situation()).evidence
    machine.unit(LoadState="not-found")
    assert "not installed" in look("service", machine.situation()).evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "says"),
    [
        ({}, Verdict.OK, "active (running), enabled"),
        ({"ActiveState": "activating", "SubState": "start"}, Verdict.WARN, "no frame yet"),
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
    found = look("service", machine.situation())
    assert (found.verdict, says in found.evidence) == (verdict, True), found


FAILED = {"ActiveState": "failed", "SubState": "failed"}
IDLE = {"ActiveState": "inactive", "SubState": "dead", "UnitFileState": "disabled"}


def two_units(machine: FakeMachine, single: dict[str, str], garden: dict[str, str]) -> None:
    machine.unit(**single)
    first = machine.answers["systemctl"]
    machine.unit(Id="edge-ssd@garden.service", **garden)
    machine.answers["systemctl"] = f"{first}\n{machine.answers['systemctl']}"


def for_camera(machine: FakeMachine, name: str) -> Situation:
    return Situation(machine.system(), machine.root / f"etc/edge-ssd/{name}.yaml")


def test_the_configurations_own_unit_decides(machine: FakeMachine) -> None:
    two_units(machine, {"NRestarts": "2"}, FAILED)
    found = look("service", for_camera(machine, "garden"))
    assert found.verdict is Verdict.FAIL
    assert "journalctl -u edge-ssd@garden.service" in found.remedy
    found = look("service", for_camera(machine, "edge-ssd"))
    assert found.verdict is Verdict.WARN
    assert "edge-ssd@garden.service: failed" in found.evidence
    assert "journalctl -u edge-ssd.service" in found.remedy


def test_another_cameras_failure_is_a_warning(machine: FakeMachine) -> None:
    two_units(machine, {}, FAILED)
    found = look("service", for_camera(machine, "edge-ssd"))
    assert found.verdict is Verdict.WARN
    assert "journalctl -u edge-ssd@garden.service" in found.remedy


def test_a_single_service_that_nobody_uses_is_no_trouble(machine: FakeMachine) -> None:
    two_units(machine, IDLE, {})
    for name in ("edge-ssd", "garden"):
        found = look("service", for_camera(machine, name))
        assert found.verdict is Verdict.OK
        assert "edge-ssd.service" not in found.evidence
    two_units(machine, IDLE, IDLE)
    found = look("service", for_camera(machine, "garden"))
    assert found.remedy == "sudo systemctl enable --now edge-ssd@garden.service"
