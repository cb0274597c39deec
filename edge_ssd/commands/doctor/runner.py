"""Run checks, each in a process of its own (a crash is a finding), and print what they find."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from edge_ssd.checks import Check, Finding, System, Verdict, fail, skipped
from edge_ssd.processes import Ended, isolated
from edge_ssd.wording import counted

_NO_ANSWER = "reinstall what it names; a device: unplug it and plug it in again"
_VERDICTS = {Verdict.OK: "ok", Verdict.WARN: "warn", Verdict.FAIL: "FAIL", Verdict.SKIPPED: "-"}


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
        found = {"name": self.name, "option": self.option, **asdict(self.finding)}
        return found | {"exit_code": self.exit_code}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Examined:
        """Return what ``as_json`` made."""
        finding = Finding(Verdict(row["verdict"]), row["evidence"], row["remedy"])
        return cls(row["name"], finding, row["option"], row["exit_code"])


def examine(checks: Iterable[Check], system: System) -> Iterator[Examined]:
    """Run checks one after the other; never raises for what one of them does."""
    for check in checks:
        answered = True
        try:
            finding = isolated(partial(check.judge, system), check.limit_s)
        except Ended as error:
            finding = check.weigh(fail(f"the check gave no answer: {error}", _NO_ANSWER))
            answered = False
        except OSError as error:
            finding = skipped(f"no process can be started for it: {error.strerror}")
        yield Examined(check.name, finding, check.option, check.exit_code, answered)


def exit_code(examined: Sequence[Examined]) -> int:
    """Return 0 when the service is ready to run, else 78 (configuration), 69 (a device) or 1."""
    return max((one.exit_code for one in examined if one.failed), default=0)


def row(examined: Examined, width: int) -> str:
    """Return a check's line of a table of this width in characters, and below it the remedy."""
    finding = examined.finding
    head = f"{_VERDICTS[finding.verdict]:<5}{examined.name:<17}"
    lines = _wrapped(finding.evidence, head, width)
    if finding.remedy and finding.verdict in (Verdict.WARN, Verdict.FAIL):
        lines += "\n" + _wrapped(finding.remedy, " " * len(head) + "-> ", width)
    return lines


def summary(examined: Sequence[Examined]) -> str:
    """Return the last line: whether the service is ready to run, and why not."""
    failed = [one.name for one in examined if one.failed]
    warned = [one.name for one in examined if one.finding.verdict is Verdict.WARN]
    if failed:
        return f"Not ready: {', '.join(dict.fromkeys(failed))}"
    if warned:
        names = ", ".join(dict.fromkeys(warned))
        return f"Ready to run; {counted(len(warned), 'warning')}: {names}"
    return "Ready to run"


def as_json(examined: Sequence[Examined]) -> str:
    """Return one JSON object; docs/doctor.md describes it."""
    ready = not any(one.failed for one in examined)
    checks = [one.as_json() for one in examined]
    return json.dumps({"schema": 1, "would_run": ready, "checks": checks}, indent=1)


def _wrapped(text: str, head: str, width: int) -> str:
    """Return text after a head, its further lines below its first."""
    # Names of programs and devices come from elsewhere: none may steer the terminal.
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    filled = textwrap.fill(
        plain, max(width, 40), initial_indent=head, subsequent_indent=" " * len(head),
        break_on_hyphens=False,
    )  # fmt: skip
    return filled or head.rstrip()
