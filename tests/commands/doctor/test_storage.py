"""Disk space and the SD card: what passes, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.machines import FakeMachine

from edge_ssd.checks import Verdict
from edge_ssd.commands.doctor import storage

CARD = "31 1 179:2 / / rw,{} shared:1 - ext4 {} rw\n20 31 0:5 / /run rw - tmpfs tmpfs rw"
FORTY_MB = 40_000_000  # a publisher's file and its three backups


@pytest.mark.parametrize(
    ("free", "verdict"), [(10**10, Verdict.OK), (10**8, Verdict.WARN), (10**5, Verdict.FAIL)]
)
def test_disk_space(machine: FakeMachine, free: int, verdict: Verdict) -> None:
    machine.changes = {"free_bytes": lambda _: free}
    assert storage.space([], machine.system()).verdict is verdict


def test_disk_space_where_a_publisher_writes(machine: FakeMachine, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    machine.write("/proc/self/mountinfo", f"9 1 8:2 / {out} rw - ext4 /dev/sda2 rw")
    machine.changes = {"free_bytes": lambda path: 10**9 if path == out else 10**10}

    def of_size(size: int) -> Verdict:
        return storage.space([(out / "a.jsonl", size)], machine.system()).verdict

    assert of_size(110_000_000) is Verdict.OK
    assert of_size(2_010_000_000) is Verdict.WARN


@pytest.mark.parametrize(("free", "verdict"), [(5 * 10**7, Verdict.OK), (10**7, Verdict.WARN)])
def test_in_memory_only_the_publishers_files_need_room(
    machine: FakeMachine, free: int, verdict: Verdict
) -> None:
    """A small Pi's /run has less than 200 MB, and a publisher's files take 40."""
    machine.write("/proc/self/mountinfo", CARD.format("noatime", "/dev/mmcblk0p2"))
    machine.changes = {"free_bytes": lambda path: free if path.name == "run" else 10**10}
    written = [(Path("/run/edge-ssd-none/a.jsonl"), FORTY_MB)]
    found = storage.space(written, machine.system())
    assert (found.verdict, "/run: " in found.evidence) == (verdict, True), found


def test_a_disk_is_no_card(machine: FakeMachine) -> None:
    machine.write("/proc/self/mountinfo", "31 1 8:2 / / rw,relatime - ext4 /dev/sda2 rw")
    assert "/dev/sda2, not on an SD card" in storage.wear([], machine.system()).evidence


def test_a_card_that_is_spared(machine: FakeMachine) -> None:
    machine.write("/proc/self/mountinfo", CARD.format("noatime", "/dev/mmcblk0p2"))
    machine.write("/proc/swaps", "Filename Type\n/dev/zram0 partition")
    machine.write("/var/log/journal/keep")
    machine.write("/etc/systemd/journald.conf", "[Journal]\n#Storage=auto")
    machine.write("/usr/lib/systemd/journald.conf.d/40-rpi.conf", "[Journal]\nStorage=volatile")
    found = storage.wear([(Path("/run/edge-ssd.jsonl"), FORTY_MB)], machine.system())
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
    found = storage.wear([], machine.system())
    assert (found.verdict, found.evidence.count(";")) == (Verdict.WARN, 0)
    assert says in found.evidence


def test_a_publisher_that_writes_to_the_card(machine: FakeMachine) -> None:
    machine.write("/proc/self/mountinfo", CARD.format("noatime", "/dev/mmcblk0p2"))
    found = storage.wear([(Path("/var/tmp/edge-ssd.jsonl"), FORTY_MB)], machine.system())
    assert (found.verdict, found.evidence) == (Verdict.WARN, "a publisher writes to the card")
