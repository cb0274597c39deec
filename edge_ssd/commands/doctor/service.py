"""The systemd units that run the program, and the groups they need."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

from edge_ssd.checks import Check, Finding, System, Verdict, fail, ok, skipped, warn
from edge_ssd.wording import counted

_CONFIGS = Path("/etc/edge-ssd")
_SINGLE = "edge-ssd.service"
_GROUP = "video"  # owns cameras
_PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,Result,ExecMainCode,ExecMainStatus,"
    "NRestarts,User,SupplementaryGroups,StatusText"
)
# Of ExecMainCode, as in waitid(2): CLD_KILLED and CLD_DUMPED; the status is a signal then.
_BY_SIGNAL = ("2", "3")
_STARTS = ("enabled", "enabled-runtime", "static")


def checks(path: Path | None, uses_camera: bool) -> tuple[Check, ...]:
    """Return the checks of the units; path: the configuration, uses_camera: by a device file."""
    return (
        Check("camera group", camera_group, required=uses_camera, exit_code=69),
        Check("service", partial(service, path)),
    )


def units(system: System, *names: str) -> dict[str, dict[str, str]]:
    """Return the properties of the service's units that systemd knows; none without systemd.

    names: units that are asked for even where they were never started.
    """
    answer = system.run(
        "systemctl", "show", f"--property={_PROPERTIES}", _SINGLE, *names, "edge-ssd@*.service"
    )
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in (answer or "").split("\n\n")
    ]
    return {block["Id"]: block for block in blocks if block.get("LoadState") == "loaded"}


def unit_of(path: Path | None, system: System) -> str:
    """Return the name of the unit that reads a configuration; empty where none does."""
    if path is None:
        return _SINGLE
    if path.absolute().parent != system.path(_CONFIGS) or path.suffix != ".yaml":
        return ""
    return _SINGLE if path.stem == "edge-ssd" else f"edge-ssd@{path.stem}.service"


def service(path: Path | None, system: System) -> Finding:
    """The configuration's unit can start, is enabled, runs, and needs no restarts.

    Problems of other cameras' units are warnings.
    """
    own = unit_of(path, system)
    if not system.exists("/run/systemd/system"):
        return skipped("systemd does not run here: start `edge-ssd run --config FILE` yourself")
    found = _in_use(units(system, *filter(None, [own])), own)
    if not found:
        return skipped("not installed as a service: deploy/install.sh does that")
    evidence, known = "; ".join(map(_state, found)), _groups(system)
    found.sort(key=lambda unit: unit["Id"] != own)
    troubles = [
        trouble if unit["Id"] == own else warn(trouble.evidence, trouble.remedy)
        for unit in found
        if (trouble := _trouble(unit, evidence, known))
    ]
    failures = [trouble for trouble in troubles if trouble.verdict is Verdict.FAIL]
    return next(iter([*failures, *troubles]), ok(evidence))


def camera_group(system: System) -> Finding:
    """The users that run the program are in the group that owns cameras."""
    gid = _groups(system).get(_GROUP)
    if gid is None:
        return fail(
            f"there is no group {_GROUP}: systemd cannot start the service (216/GROUP)",
            f"sudo groupadd --system {_GROUP}, or install udev",
        )
    services = units(system).values()
    for unit in services:
        member = _GROUP in unit.get("SupplementaryGroups", "").split()
        if not member and unit.get("User", "") not in ("", "root"):
            return fail(
                f"{unit['Id']} runs without the group {_GROUP}",
                f"give the unit SupplementaryGroups={_GROUP}",
            )
    if not system.is_root and gid not in system.groups:
        return fail(
            f"this user is not in the group {_GROUP}",
            f"sudo usermod -aG {_GROUP} $USER, and log in again",
        )
    who = "root needs no group" if system.is_root else f"this user is in {_GROUP}"
    return ok(f"{who}, the service is in {_GROUP}" if services else who)


def _groups(system: System) -> dict[str, int]:
    """Return the ids of the groups in ``/etc/group``."""
    lines = [line.split(":") for line in system.read("/etc/group").splitlines()]
    return {line[0]: int(line[2]) for line in lines if len(line) > 2 and line[2].isdecimal()}


def _in_use(found: dict[str, dict[str, str]], own: str) -> list[dict[str, str]]:
    """Leave out units that are neither meant to run nor asked about."""
    template_runs = any(name != _SINGLE and unit["ActiveState"] == "active"
                        for name, unit in found.items())  # fmt: skip
    asked = "" if own == _SINGLE and template_runs else own
    return [
        unit
        for name, unit in found.items()
        if name == asked
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
    return _unready(unit, evidence)


def _unready(unit: dict[str, str], evidence: str) -> Finding | None:
    name = unit["Id"]
    if unit["ActiveState"] == "activating":
        waits = unit.get("StatusText") or "no frame inferred yet"
        return warn(f"{evidence}; {waits}", "wait, or fix the cause")
    if unit["ActiveState"] not in ("active", "reloading"):
        return warn(evidence, f"sudo systemctl enable --now {name}")
    if unit.get("UnitFileState") not in _STARTS:
        return warn(evidence, f"sudo systemctl enable {name}: it does not start with the machine")
    return None


def _state(unit: dict[str, str]) -> str:
    parts = [f"{unit['ActiveState']} ({unit['SubState']})", unit.get("UnitFileState", "")]
    result, status = unit.get("Result", "success"), unit.get("ExecMainStatus", "0")
    if result not in ("success", "exit-code", "signal", "core-dump"):  # these the status tells
        parts.append(result)
    if unit.get("ExecMainCode") in _BY_SIGNAL:
        parts.append(f"last ended by {signal.Signals(int(status)).name}")
    elif status != "0":
        parts.append(f"last exit status {status}")
    restarts = int(unit.get("NRestarts", "0"))
    parts += [counted(restarts, "restart")] if restarts else []
    return f"{unit['Id']}: {', '.join(filter(None, parts))}"
