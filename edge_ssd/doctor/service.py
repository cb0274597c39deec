"""The systemd units that run the program."""

from __future__ import annotations

from edge_ssd.doctor.check import Finding, Situation, System, fail, ok, skipped, warn

_PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,Result,ExecMainStatus,NRestarts,User,"
    "SupplementaryGroups"
)


def units(system: System) -> list[dict[str, str]]:
    """Return the properties of the service's units that systemd knows; none without systemd."""
    answer = system.run(
        "systemctl", "show", f"--property={_PROPERTIES}", "edge-ssd.service", "edge-ssd@*.service"
    )
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in (answer or "").split("\n\n")
    ]
    return [block for block in blocks if block.get("LoadState") == "loaded"]


def unseen_units(system: System) -> list[str]:
    """Return the running units whose open files do not show to this user."""
    if system.is_root:
        return []
    return [unit["Id"] for unit in units(system) if unit["ActiveState"] == "active"]


def groups(system: System) -> dict[str, int]:
    """Return the ids of the groups in ``/etc/group``."""
    lines = [line.split(":") for line in system.read("/etc/group").splitlines()]
    return {line[0]: int(line[2]) for line in lines if len(line) > 2 and line[2].isdecimal()}


def service(situation: Situation) -> Finding:
    """The units can start, are enabled, run, and need no restarts."""
    system = situation.system
    if not system.exists("/run/systemd/system"):
        return skipped("systemd does not run here: start `edge-ssd run --config FILE` yourself")
    found = units(system)
    if not found:
        return skipped("not installed as a service: deploy/install.sh does that")
    evidence = "; ".join(map(_state, found))
    known = groups(system)
    for unit in found:
        missing = [
            name for name in unit.get("SupplementaryGroups", "").split() if name not in known
        ]
        if missing:
            return fail(
                f"{evidence}; its group {missing[0]} does not exist (216/GROUP)",
                f"sudo groupadd --system {missing[0]}",
            )
        trouble = _trouble(unit, evidence)
        if trouble:
            return trouble
    return ok(evidence)


def _trouble(unit: dict[str, str], evidence: str) -> Finding | None:
    name, why = unit["Id"], f"journalctl -u {unit['Id']} -p warning tells why"
    if unit["ActiveState"] == "failed":
        return fail(evidence, f"{why}; then sudo systemctl restart {name}")
    if unit["SubState"] == "auto-restart" or unit.get("NRestarts", "0") != "0":
        return warn(evidence, why)
    if unit["ActiveState"] not in ("active", "activating", "reloading"):
        return warn(evidence, f"sudo systemctl enable --now {name}")
    if unit.get("UnitFileState") not in ("enabled", "enabled-runtime", "static"):
        return warn(evidence, f"sudo systemctl enable {name}: it does not start with the machine")
    return None


def _state(unit: dict[str, str]) -> str:
    parts = [f"{unit['ActiveState']} ({unit['SubState']})", unit.get("UnitFileState", "")]
    if unit.get("ExecMainStatus", "0") != "0":
        parts.append(f"last exit status {unit['ExecMainStatus']}")
    if unit.get("NRestarts", "0") != "0":
        parts.append(f"{unit['NRestarts']} restarts")
    return f"{unit['Id']}: {', '.join(filter(None, parts))}"
