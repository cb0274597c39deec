"""The board: its power, its heat, its clock."""

from __future__ import annotations

from edge_ssd.board import Sensors
from edge_ssd.commands.doctor.check import Finding, Situation, ok, skipped, warn

_HOT_C = 80.0  # the firmware throttles here


def power(situation: Situation) -> Finding:
    """The supply is strong enough and the processor cool enough, now and since the boot."""
    system = situation.system
    health = Sensors(system.path("/sys"), system.vcgencmd).read()
    temperature_c, throttled = health.temperature_c, health.throttled
    heat = [] if temperature_c is None else [f"{temperature_c:.0f} °C"]
    if throttled is None:
        if not heat:
            return skipped("this board tells neither its power nor its temperature")
        if temperature_c is not None and temperature_c >= _HOT_C:
            return warn(f"{heat[0]}", "give it a heat sink or a fan")
        return ok(f"{heat[0]}; only a Raspberry Pi tells of its power")
    evidence = ", ".join([*heat, f"throttling word {throttled.word:#x}"])
    if throttled.undervoltage or throttled.undervoltage_since_boot:
        when = "now" if throttled.undervoltage else "since the boot"
        return warn(
            f"undervoltage {when} ({evidence})",
            "use the board's official supply and a short, thick cable",
        )
    if throttled.slowed or throttled.slowed_since_boot:
        when = "now" if throttled.slowed else "since the boot"
        return warn(
            f"the firmware slowed the processor {when} ({evidence})", "give it a heat sink or a fan"
        )
    return ok(f"no undervoltage and no throttling since the boot ({evidence})")


def clock(situation: Situation) -> Finding:
    """Something keeps the clock right, so that times in messages are."""
    system = situation.system
    if system.exists("/run/systemd/timesync/synchronized"):
        return ok("synchronised by systemd-timesyncd")
    synchronised = system.synchronised()
    if synchronised is None:
        return skipped("the kernel does not tell")
    if not synchronised:
        return warn(
            "not synchronised: the times in messages may be wrong",
            "sudo timedatectl set-ntp true, and let it reach a time server",
        )
    return ok("synchronised, says the kernel")
