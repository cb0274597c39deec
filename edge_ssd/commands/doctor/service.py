"""The systemd units that run the program."""

from __future__ import annotations

import signal
from pathlib import Path

from edge_ssd.commands.doctor.check import (
    Finding,
    Situation,
    Verdict,
    fail,
    ok,
    skipped,
    warn,
)
from edge_ssd.units import SINGLE, groups, units

_CONFIGS = Path("/etc/edge-ssd")
# Of ExecMainCode, as in waitid(2): CLD_KILLED and CLD_DUMPED; the status is a signal then.
_BY_SIGNAL = ("2", "3")
_STARTS = ("enabled", "enabled-runtime", "static")


def unit_of(situation: Situation) -> str:
    """Return the name of the unit that reads the configuration; empty where none does."""
    path = situation.path
    if path is None:
        return SINGLE
    if path.absolute().parent != situation.system.path(_CONFIGS) or path.suffix != ".yaml":
        return ""
    return SINGLE if path.stem == "edge-ssd" else f"edge-ssd@{path.stem}.service"


def installed_unit(situation: Situation) -> str:
    """Return the unit that reads the configuration; empty where systemd knows none."""
    own = unit_of(situation)
    return own if own and any(unit["Id"] == own for unit in units(situation.system, own)) else ""


def service(situation: Situation) -> Finding:
    """The configuration's unit can start, is enabled, runs, and needs no restarts.

    Other cameras' units do not decide: what troubles them is a warning.
    """
    system, own = situation.system, unit_of(situation)
    if not system.exists("/run/systemd/system"):
        return skipped("systemd does not run here: start `edge-ssd run --config FILE` yourself")
    found = _in_use(units(system, *filter(None, [own])), own)
    if not found:
        return skipped("not installed as a service: deploy/install.sh does that")
    evidence = "; ".join(map(_state, found))
    known = groups(system)
    found.sort(key=lambda unit: unit["Id"] != own)
    troubles = [
        trouble if unit["Id"] == own else warn(trouble.evidence, trouble.remedy)
        for unit in found
        if (trouble := _trouble(unit, evidence, known))
    ]
    failures = [trouble for trouble in troubles if trouble.verdict is Verdict.FAIL]
    return next(iter([*failures, *troubles]), ok(evidence))


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
    name, why = unit["Id"], f"journalctl -u {unit['Id']} -p warning tells why"
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
        waits = unit.get("StatusText") or "it has inferred no frame yet"
        return warn(f"{evidence}; {waits}", "wait, or mend what it waits for")
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
    restarts = unit.get("NRestarts", "0")
    if restarts != "0":
        parts.append(f"{restarts} restart{'s' if restarts != '1' else ''}")
    return f"{unit['Id']}: {', '.join(filter(None, parts))}"
