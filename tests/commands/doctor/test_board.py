"""Power and clock: what passes, and what does not."""

from __future__ import annotations

import pytest
from support.machines import FakeMachine

from edge_ssd import clock as kernel
from edge_ssd.checks import Verdict
from edge_ssd.commands.doctor import board

THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
ZONE = "/sys/class/thermal/thermal_zone0"


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
    found = board.power(machine.system())
    assert (found.verdict, says in found.evidence) == (verdict, True), found


def test_heat_on_other_boards(machine: FakeMachine) -> None:
    assert board.power(machine.system()).verdict is Verdict.SKIPPED
    machine.write(f"{ZONE}/type", "cpu-thermal")
    machine.write(f"{ZONE}/temp", "61000")
    assert board.power(machine.system()).evidence.startswith("61 °C")
    machine.write(f"{ZONE}/temp", "85000")
    assert board.power(machine.system()).verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("told", "verdict"), [(True, Verdict.OK), (False, Verdict.WARN), (None, Verdict.SKIPPED)]
)
def test_clock(machine: FakeMachine, told: bool | None, verdict: Verdict) -> None:
    machine.changes = {"synchronised": lambda: told}
    assert board.clock(machine.system()).verdict is verdict
    machine.write("/run/systemd/timesync/synchronized")
    assert board.clock(machine.system()).verdict is Verdict.OK


def test_the_kernel_tells_of_its_clock() -> None:
    assert kernel.synchronised() in (True, False)


def test_neither_keeps_the_service_from_running() -> None:
    assert [(check.name, check.required) for check in board.CHECKS] == [
        ("power", False), ("clock", False),
    ]  # fmt: skip
