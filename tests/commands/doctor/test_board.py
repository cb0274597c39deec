"""Power, clock, disk, card, service: what passes, and what does not."""

from __future__ import annotations

import pytest
from support.machines import SYNTHETIC, FakeMachine, look

from edge_ssd import clock
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


def test_disk_space_of_a_publisher(machine: FakeMachine) -> None:
    (machine.root / "mnt").mkdir()
    machine.changes = {"free_bytes": lambda path: 10**6 if path.name == "mnt" else 10**10}
    publisher = {"type": "jsonl", "path": "/mnt/a.jsonl"}
    found = look("disk space", machine.situation(SYNTHETIC, publishers=[publisher]))
    assert (found.verdict, "/mnt: 1 MB free" in found.evidence) == (Verdict.WARN, True), found


def test_the_worst_of_the_brokers_decides(machine: FakeMachine) -> None:
    assert look("broker", machine.situation(SYNTHETIC)).verdict is Verdict.SKIPPED
    mqtt = {"type": "mqtt", "host": "127.0.0.1", "port": 1}
    found = look("broker", machine.situation(SYNTHETIC, publishers=[mqtt]))
    assert found.verdict is Verdict.WARN  # the service runs without it, and retries
    secret = {"username": "a", "password_file": "none"}
    found = look("broker", machine.situation(SYNTHETIC, publishers=[mqtt, mqtt | secret]))
    assert (found.verdict, "none: No such file" in found.evidence) == (Verdict.FAIL, True)
    credential = {"username": "a", "password_credential": "the-services-own"}
    found = look("broker", machine.situation(SYNTHETIC, publishers=[mqtt | credential]))
    assert found.verdict is Verdict.WARN


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
