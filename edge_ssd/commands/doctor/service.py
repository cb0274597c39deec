"""The systemd units that run the program, and the groups they need."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

from edge_ssd.checks import Check, Finding, System, Verdict, fail, ok, skipped, warn
from edge_ssd.units import SINGLE, groups, units
from edge_ssd.wording import counted

_CAMERA_GROUP = "video"
# Of ExecMainCode, as in waitid(2): CLD_KILLED and CLD_DUMPED; the status is a signal then.
_BY_SIGNAL = ("2", "3")
_STARTS = ("enabled", "enabled-runtime", "static")


def checks(path: Path | None, uses_camera: bool) -> tuple[Check, ...]:
    """Return the checks of the units; path: the configuration, uses_camera: by a device file."""
    return (
        Check("camera group", camera_group, required=uses_camera, exit_code=69),
        Check("service", partial(service, path)),
    )


def unit_of(path: Path | None, system: System) -> str:
    """Return the name of the unit that reads a configuration; empty where none does."""
    if path is None:
        return SINGLE
    if path.absolute().parent != system.path("/etc/edge-ssd") or path.suffix != ".yaml":
        return ""
    return SINGLE if path.stem == "edge-ssd" else f"edge-ssd@{path.stem}.service"


def service(path: Path | None, system: System) -> Finding:
    """The configuration's unit can start, is enabled, runs; other units' problems are warnings."""
    own = unit_of(path, system)
    if not system.exists("/run/systemd/system"):
        return skipped("systemd does not run here: start `edge-ssd run --config FILE` yourself")
    found = _in_use(units(system, *filter(None, [own])), own)
    if not found:
        return skipped("not installed as a service: deploy/install.sh does that")
    evidence, known = "; ".join(map(_state, found)), groups(system)
    found.sort(key=lambda unit: unit["Id"] != own)
    troubles = [
        trouble if unit["Id"] == own else warn(trouble.evidence, trouble.remedy)
        for unit in found
        if (trouble := _trouble(unit, evidence, known))
    ]
    return min(troubles, key=lambda each: each.verdict is not Verdict.FAIL, default=ok(evidence))


def camera_group(system: System) -> Finding:
    """The users that run the program are in the group that owns cameras."""
    gid = groups(system).get(_CAMERA_GROUP)
    if gid is None:
        return fail(
            f"there is no group {_CAMERA_GROUP}: systemd cannot start the service (216/GROUP)",
            f"sudo groupadd --system {_CAMERA_GROUP}, or install udev",
        )
    services = units(system)
    for unit in services:
        member = _CAMERA_GROUP in unit.get("SupplementaryGroups", "").split()
        if not member and unit.get("User", "") not in ("", "root"):
            return fail(
                f"{unit['Id']} runs without the group {_CAMERA_GROUP}",
                f"give the unit SupplementaryGroups={_CAMERA_GROUP}",
            )
    if not system.is_root and gid not in system.groups:
        return fail(
            f"this user is not in the group {_CAMERA_GROUP}",
            f"sudo usermod -aG {_CAMERA_GROUP} $USER, and log in again",
        )
    who = "root needs no group" if system.is_root else f"this user is in {_CAMERA_GROUP}"
    return ok(f"{who}, the service is in {_CAMERA_GROUP}" if services else who)


def _in_use(found: list[dict[str, str]], own: str) -> list[dict[str, str]]:
    """Leave out units that are neither meant to run nor asked about."""
    template_runs = any(unit["Id"] != SINGLE and unit["ActiveState"] == "active" for unit in found)
    asked = "" if own == SINGLE and template_runs else own
    return [
        unit
        for unit in found
        if unit["Id"] == asked
        or unit["ActiveState"] != "inactive"
        or unit.get("UnitFileState") in _STARTS
    ]


def _trouble(unit: dict[str, str], evidence: str, known: dict[str, int]) -> Finding | None:
    name, why = unit["Id"], f"journalctl -u {unit['Id']} -p warning shows why"
    missing = [group for group in unit.get("SupplementaryGroups", "").split() if group not in known]
    if missing:
        return fail(
            f"{evidence}; its group {missing[0]} does not exist (216/GROUP)",
            f"sudo groupadd --system {missing[0]}",
        )
    if unit["ActiveState"] == "failed":
        return fail(evidence, f"{why}; then sudo systemctl restart {name}")
    if unit["SubState"] == "auto-restart" or unit.get("NRestarts", "0") != "0":
        return warn(evidence, why)
    if unit["ActiveState"] == "activating":
        waits = unit.get("StatusText") or "no frame inferred yet"
        return warn(f"{evidence}; {waits}", "wait, or fix the cause")
    runs = unit["ActiveState"] in ("active", "reloading")
    if not runs or unit.get("UnitFileState") not in _STARTS:
        how = f"{name}: it does not start with the machine" if runs else f"--now {name}"
        return warn(evidence, f"sudo systemctl enable {how}")
    return None


def _state(unit: dict[str, str]) -> str:
    parts = [f"{unit['ActiveState']} ({unit['SubState']})", unit.get("UnitFileState", "")]
    result, status = unit.get("Result", "success"), unit.get("ExecMainStatus", "0")
    if result not in ("success", "exit-code", "signal", "core-dump"):  # the status reports these
        parts.append(result)
    if unit.get("ExecMainCode") in _BY_SIGNAL:
        parts.append(f"last ended by {signal.Signals(int(status)).name}")
    elif status != "0":
        parts.append(f"last exit status {status}")
    restarts = int(unit.get("NRestarts", "0"))
    parts += [counted(restarts, "restart")] if restarts else []
    return f"{unit['Id']}: {', '.join(filter(None, parts))}"
