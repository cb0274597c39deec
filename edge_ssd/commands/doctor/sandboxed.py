"""Run a configuration's checks as the service does: in a transient unit with the same settings.

systemd itself decides what the service may read, write and reach, drop-ins included.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_ssd.checks import Finding, System, fail, ok, skipped, warn
from edge_ssd.commands.doctor import service
from edge_ssd.commands.doctor.runner import Examined
from edge_ssd.units import units

_LIMIT_S = 300
# What starts, ends and watches a service, and where it prints. RuntimeDirectory= is replaced: the
# end of the transient unit would remove the folder of the running service.
_LEFT_OUT = re.compile(
    r"Exec(Start|Stop|Reload|Condition)|Type$|ExitType|Restart|Watchdog|Notify|Timeout|Standard"
    r"|RuntimeMaxSec|RuntimeDirectory|User$|KillMode|PIDFile|RemainAfterExit|SuccessExitStatus"
)
_FOLDERS = {
    "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc", "T": "/tmp",
    "V": "/var/tmp",
}  # fmt: skip
# Of systemd.exec(5): what ended the process before it became this program.
_SET_UP = {216: "216/GROUP", 217: "217/USER", 226: "226/NAMESPACE", 243: "243/CREDENTIALS"}


@dataclass(frozen=True, slots=True)
class Inside:
    """What was found inside the sandbox of a unit.

    unit: the one that reads the configuration; empty where none is installed.
    finding: whether the checks ran there.
    answer: what ``check-config --deep --json`` printed there; empty where it did not run.
    """

    finding: Finding
    unit: str = ""
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def examined(self) -> dict[tuple[str, str], Examined]:
        """What the checks found, by name and option."""
        rows = map(Examined.from_json, self.answer.get("checks", ()))
        return {(row.name, row.option): row for row in rows}


def check(path: Path, system: System) -> Inside:
    """Check a configuration inside the sandbox of the installed unit that reads it."""
    unit = service.unit_of(path, system)
    installed = [each for each in units(system, unit) if each["Id"] == unit] if unit else []
    if not installed:
        return Inside(skipped(f"checked as this user: no installed service reads {path}"))
    if not system.is_root:
        why = f"run with sudo to check inside {unit}'s sandbox"
        return Inside(skipped(f"checked as this user: {why}"), unit)
    settings = list(_settings(system.run("systemctl", "cat", unit) or "", unit))
    printed = system.run(*_command(path, settings, installed[0].get("User", "")),
                         limit_s=_LIMIT_S + 10, errors=True) or ""  # fmt: skip
    answers = [line for line in printed.splitlines() if line.startswith('{"schema"')]
    if answers:
        return Inside(ok(f"checked as {unit} runs"), unit, json.loads(answers[0]))
    return Inside(_not_started(unit, printed, settings, system), unit)


def _command(path: Path, settings: list[tuple[str, str]], user: str) -> Iterator[str]:
    """Yield the words of the command that runs the checks with such settings."""
    name = f"edge-ssd-check-{os.getpid()}"
    yield from ("systemd-run", "--pipe", "--wait", "--collect", f"--unit={name}")
    # Of this name, a dynamic user is the service's: its folders are not given to another one.
    more = [("User", user)] if user else []
    for key, value in [*settings, *more, ("RuntimeMaxSec", str(_LIMIT_S))]:
        yield f"--property={key}={value}"
    yield from (sys.executable, "-m", "edge_ssd", "check-config", "--deep", "--json", str(path))


def _settings(text: str, unit: str) -> Iterator[tuple[str, str]]:
    """Yield the settings of ``[Service]`` that a process runs with, in order.

    text: the unit's file and its drop-ins. An empty value takes back those before, as there.
    """
    section = ""
    for line in map(str.strip, text.replace("\\\n", " ").splitlines()):
        key, assigned, value = (part.strip() for part in line.partition("="))
        if line.startswith("["):
            section = line
        elif section == "[Service]" and assigned and not line.startswith(("#", ";")):
            value = _expanded(value, unit)
            if key == "RuntimeDirectory":
                # Empty, as at each start.
                for folder in value.split():
                    place = f"/run/{folder.partition(':')[0]}"
                    yield "TemporaryFileSystem", f"{place}:mode=0777"
            elif not _LEFT_OUT.match(key):
                yield key, value


def _expanded(value: str, unit: str) -> str:
    """Return a value without systemd's specifiers, which a transient unit does not expand."""
    stem = unit.removesuffix(".service")
    prefix, _, instance = stem.partition("@")
    known = _FOLDERS | {"%": "%", "n": unit, "N": stem, "p": prefix, "i": instance}
    return re.sub("%(.)", lambda found: known.get(found[1], found[0]), value)


def _not_started(
    unit: str, printed: str, settings: list[tuple[str, str]], system: System
) -> Finding:
    """Return why the checks gave no answer."""
    found = re.search(r"status=(\d+)", printed)
    status = int(found[1]) if found else 0
    edit = f"sudo systemctl edit {unit.removesuffix('.service')}"
    if status == 243:
        loaded = [value.partition(":")[::2] for key, value in settings if key == "LoadCredential"]
        missing = [pair for pair in loaded if pair[1].startswith("/") and system.missing(pair[1])]
        for name, path in missing[:1]:
            return fail(
                f"{unit} does not start (243/CREDENTIALS): {path}, which its credential {name} is "
                "loaded from, does not exist",
                f"make that file (root's, mode 0600), or correct LoadCredential= by `{edit}`",
            )
    why = f"journalctl -u 'edge-ssd-check-{os.getpid()}' shows why"
    if status in _SET_UP:
        return fail(f"{unit} does not start ({_SET_UP[status]})", f"{why}; correct it by `{edit}`")
    last = printed.strip().rpartition("\n")[2]
    return warn(
        f"the checks did not run inside {unit}'s sandbox (exit status {status}): {last}",
        f"{why}; or run the doctor of the installed program",
    )
