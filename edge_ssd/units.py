"""The systemd units that run the program, and the groups of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_ssd.checks import System

SINGLE = "edge-ssd.service"
_PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,Result,ExecMainCode,ExecMainStatus,"
    "NRestarts,User,SupplementaryGroups,StatusText"
)


def units(system: System, *names: str) -> list[dict[str, str]]:
    """Return what systemd knows of the service's units, and of ``names`` even if never started."""
    asked = SINGLE, *names, "edge-ssd@*.service"
    answer = system.run("systemctl", "show", f"--property={_PROPERTIES}", *asked)
    found = {}  # by name: one that is asked for twice is listed twice
    for block in (answer or "").split("\n\n"):
        unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if unit.get("LoadState") == "loaded":
            found[unit["Id"]] = unit
    return list(found.values())


def unseen_units(system: System) -> list[str]:
    """Return the running units whose open files are hidden from this user."""
    if system.is_root:
        return []
    return [unit["Id"] for unit in units(system) if unit["ActiveState"] == "active"]


def groups(system: System) -> dict[str, int]:
    """Return the ids of the groups in ``/etc/group``."""
    lines = [line.split(":") for line in system.read("/etc/group").splitlines()]
    return {line[0]: int(line[2]) for line in lines if len(line) > 2 and line[2].isdecimal()}
