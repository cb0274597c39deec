"""The board: its power, its temperature, its clock."""

from __future__ import annotations

from edge_ssd.board import Sensors
from edge_ssd.checks import Check, Finding, System, ok, skipped, warn

_HOT_C = 80.0  # the firmware throttles here
_COOLER = "give it a heat sink or a fan"


def power(system: System) -> Finding:
    """The supply is strong enough and the processor cool enough, now and since the boot."""
    health = Sensors(system.path("/sys"), system.vcgencmd).read()
    temperature_c, throttled = health.temperature_c, health.throttled
    heat = [] if temperature_c is None else [f"{temperature_c:.0f} °C"]
    if throttled is None:
        if temperature_c is None:
            return skipped("this board reports neither its power nor its temperature")
        if temperature_c >= _HOT_C:
            return warn(heat[0], _COOLER)
        return ok(f"{heat[0]}; only a Raspberry Pi reports its power")
    evidence = ", ".join([*heat, f"throttling word {throttled.word:#x}"])
    if throttled.undervoltage or throttled.undervoltage_since_boot:
        when = "now" if throttled.undervoltage else "since the boot"
        return warn(
            f"undervoltage {when} ({evidence})",
            "use the board's official supply and a short, thick cable",
        )
    if throttled.slowed or throttled.slowed_since_boot:
        when = "now" if throttled.slowed else "since the boot"
        return warn(f"the firmware slowed the processor {when} ({evidence})", _COOLER)
    return ok(f"no undervoltage and no throttling since the boot ({evidence})")


def clock(system: System) -> Finding:
    """The clock is synchronised, so that times in messages are right."""
    if system.exists("/run/systemd/timesync/synchronized"):
        return ok("synchronised by systemd-timesyncd")
    synchronised = system.synchronised()
    if synchronised is None:
        return skipped("the kernel does not report it")
    if not synchronised:
        return warn(
            "not synchronised: the times in messages may be wrong",
            "sudo timedatectl set-ntp true, and let it reach a time server",
        )
    return ok("synchronised, according to the kernel")


CHECKS = (Check("power", power, required=False), Check("clock", clock, required=False))
