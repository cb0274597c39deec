"""What the checks found, for people and for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence

from edge_ssd.checks import Verdict
from edge_ssd.commands.doctor.runner import Examined
from edge_ssd.wording import counted

_SCHEMA = 1
_MIN_WIDTH = 40
_NAME_WIDTH = 17
_VERDICTS = {Verdict.OK: "ok", Verdict.WARN: "warn", Verdict.FAIL: "FAIL", Verdict.SKIPPED: "-"}


def row(examined: Examined, width: int) -> str:
    """Return a check's line of a table of this width in characters, and below it the remedy."""
    verdict, finding = _VERDICTS[examined.finding.verdict], examined.finding
    head = f"{verdict:<5}{examined.name:<{_NAME_WIDTH}}"
    lines = _wrapped(finding.evidence, head, width)
    remedy = finding.remedy and finding.verdict in (Verdict.WARN, Verdict.FAIL)
    return lines + (
        "\n" + _wrapped(finding.remedy, " " * len(head) + "-> ", width) if remedy else ""
    )


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
    return json.dumps({"schema": _SCHEMA, "would_run": ready, "checks": checks}, indent=1)


def _wrapped(text: str, head: str, width: int) -> str:
    """Return text after a head, its further lines below its first."""
    # Names of programs and devices come from elsewhere: none may steer the terminal.
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    filled = textwrap.fill(
        plain, max(width, _MIN_WIDTH), initial_indent=head, subsequent_indent=" " * len(head),
        break_on_hyphens=False,
    )  # fmt: skip
    return filled or head.rstrip()
