"""Run checks, each in a process of its own: one that crashes or hangs is a finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from edge_ssd.checks import Check, Finding, System, Verdict, fail, skipped
from edge_ssd.processes import Ended, isolated

_NO_ANSWER = "reinstall what it names; a device: unplug it and plug it in again"


@dataclass(frozen=True, slots=True)
class Examined:
    """What a check found.

    option: the option it is about; empty where it is about none.
    exit_code: what the service ends with where it fails.
    answered: False where its process crashed or hung.
    """

    name: str
    finding: Finding
    option: str = ""
    exit_code: int = 1
    answered: bool = True

    @property
    def failed(self) -> bool:
        """Whether the service does not run for it."""
        return self.finding.verdict is Verdict.FAIL

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "name": self.name,
            "option": self.option,
            "verdict": self.finding.verdict.value,
            "evidence": self.finding.evidence,
            "remedy": self.finding.remedy,
            "exit_code": self.exit_code,
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Examined:
        """Return what ``as_json`` made."""
        finding = Finding(Verdict(told["verdict"]), told["evidence"], told["remedy"])
        return cls(told["name"], finding, told["option"], told["exit_code"])


def examine(checks: Iterable[Check], system: System) -> Iterator[Examined]:
    """Run checks one after the other; never raises for what one of them does."""
    for check in checks:
        finding, answered = _isolated(check, system)
        yield Examined(check.name, finding, check.option, check.exit_code, answered)


def exit_code(examined: Sequence[Examined]) -> int:
    """Return 0 when the service is ready to run, else 78 (configuration), 69 (a device) or 1."""
    return max((one.exit_code for one in examined if one.failed), default=0)


def _isolated(check: Check, system: System) -> tuple[Finding, bool]:
    try:
        return isolated(partial(check.judge, system), check.limit_s), True
    except Ended as error:
        return check.weigh(fail(f"the check gave no answer: {error}", _NO_ANSWER)), False
    except OSError as error:
        return skipped(f"no process can be started for it: {error.strerror}"), True
