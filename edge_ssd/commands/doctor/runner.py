"""Run checks, each in a process of its own, whatever happens there."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edge_ssd.commands.doctor.check import Check, Finding, Situation, System, Verdict, fail, skipped
from edge_ssd.errors import EdgeSsdError
from edge_ssd.processes import Ended, isolated

DEFAULT_CONFIG = "/etc/edge-ssd/edge-ssd.yaml"
_NO_ANSWER = "reinstall what it names; a device: unplug it and plug it in again"


@dataclass(frozen=True, slots=True)
class Examined:
    """A check and what it found."""

    check: Check
    finding: Finding


def situation(path: Path | None, system: System | None = None) -> Situation:
    """Return what is to be checked; without a path, the service's configuration if there is one."""
    system = system or System()
    if path is None and system.exists(DEFAULT_CONFIG):
        path = system.path(DEFAULT_CONFIG)
    if path is None:
        return Situation(system)
    if path.exists() and not path.is_file():
        return Situation(system, path, problem="is no regular file")
    try:
        from edge_ssd import config

        return Situation(system, path, config.load(path))
    except Exception as error:
        problem = error.problem if isinstance(error, EdgeSsdError) else _told(error)
        return Situation(system, path, problem=problem)


def examine(checks: Sequence[Check], situation: Situation) -> Iterator[Examined]:
    """Run checks one after the other; never raises for what one of them does."""
    for check in checks:
        yield Examined(check, _isolated(check, situation))


def judge(check: Check, situation: Situation) -> Finding:
    """Run one check here, and weigh what it finds or raises."""
    try:
        finding = check.look(situation)
    except EdgeSsdError as error:
        finding = fail(error.problem, error.remedy)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            finding = _failed(error)
        else:
            finding = skipped("no program can be started from here, as under emulation")
    except ImportError as error:
        finding = fail(f"cannot be checked: {error}", "repair what the checks above name")
    except Exception as error:
        finding = _failed(error)
    return _weighed(finding, check, situation)


def exit_code(examined: Sequence[Examined]) -> int:
    """Return 0 when the service would run, else 78 (configuration), 69 (a device) or 1."""
    failed = [one.check.exit_code for one in examined if one.finding.verdict is Verdict.FAIL]
    return max(failed, default=0)


def _isolated(check: Check, situation: Situation) -> Finding:
    try:
        return isolated(partial(judge, check, situation), check.limit_s)
    except Ended as error:
        finding = fail(f"the check gave no answer: {error}", _NO_ANSWER)
        return _weighed(finding, check, situation)
    except OSError as error:
        return skipped(f"no process can be started for it: {error.strerror}")


def _weighed(finding: Finding, check: Check, situation: Situation) -> Finding:
    """Make a failure a warning where the configuration does not need what failed."""
    if finding.verdict is Verdict.FAIL and not check.needed(situation):
        evidence = "; ".join(filter(None, [finding.evidence, check.instead]))
        return replace(finding, verdict=Verdict.WARN, evidence=evidence)
    return finding


def _failed(error: Exception) -> Finding:
    return fail(f"the check failed: {_told(error)}", "report this, with the whole output")


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
