"""What a check is and what it finds; every source, backend and publisher has its own.

``edge-ssd doctor`` runs all of them, ``check-config --deep`` those of one configuration, and the
service, at its start, those that are marked ``at_start``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from pathlib import Path

from edge_ssd.errors import EdgeSsdError, Problem
from edge_ssd.files import hidden

_TIMEX_BYTES = 512  # more than struct timex has anywhere
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


class Verdict(str, Enum):
    """What a finding means."""

    OK = "ok"
    WARN = "warn"  # the service runs, but not as well as it could
    FAIL = "fail"  # the service does not run
    SKIPPED = "skipped"  # there is nothing to look at, or it must not be touched


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, what it rests on, and what to do about it; each on one line."""

    verdict: Verdict
    evidence: str
    remedy: str = ""


ok, warn = partial(Finding, Verdict.OK), partial(Finding, Verdict.WARN)
fail, skipped = partial(Finding, Verdict.FAIL), partial(Finding, Verdict.SKIPPED)


def run_command(*arguments: str, limit_s: float = 5.0, errors: bool = False) -> str | None:
    """Return a command's output (errors: stderr too) at any exit status; None if it cannot run."""
    try:
        return subprocess.run(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors else subprocess.DEVNULL,
            text=True, errors="replace", check=False, timeout=limit_s,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None


def version_of(package: str) -> str:
    """Return an installed package's version."""
    from importlib import metadata  # noqa: PLC0415 - the service, which imports this, asks for none

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # from apt, or copied by hand
        return "of unknown version"


def synchronised() -> bool | None:
    """Return whether the kernel's clock is synchronised; None when it does not report it."""
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    # A struct of zeros asks and changes nothing.
    state = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) if adjtimex else -1
    return None if state < 0 else state != _TIME_ERROR


def _machine() -> str:
    """Return the processor that programs are built for: a 32-bit system may run on 64 bits."""
    machine = platform.machine()
    narrow = sys.maxsize < 1 << 32
    return {"aarch64": "armv7l", "x86_64": "i686"}.get(machine, machine) if narrow else machine


@dataclass(frozen=True, slots=True)
class System:
    """The machine as checks see it; tests give a root of their own, and fake answers.

    root: the folder that holds ``dev``, ``etc``, ``proc``, ``run`` and ``sys``.
    machine, python: what the interpreter is built for, and its version.
    uid, groups: whose rights this process has.
    vcgencmd: the path of the Pi firmware's command, or None.
    run: runs a command and returns what it prints; None when it cannot be run.
    free_bytes: what is left where a path is.
    synchronised: whether the kernel's clock is; None when it does not report it.
    """

    root: Path = Path("/")
    machine: str = field(default_factory=_machine)
    python: tuple[int, int] = sys.version_info[:2]
    uid: int = field(default_factory=os.geteuid)
    groups: frozenset[int] = field(
        default_factory=lambda: frozenset([os.getegid(), *os.getgroups()])
    )
    vcgencmd: str | None = field(default_factory=lambda: shutil.which("vcgencmd"))
    run: Callable[..., str | None] = run_command
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    synchronised: Callable[[], bool | None] = synchronised

    @property
    def is_root(self) -> bool:
        """Whether everything shows to this process."""
        return self.uid == 0

    def path(self, path: str | Path) -> Path:
        """Return an absolute path as it is below ``root``, and a relative one unchanged."""
        return self.root / str(path)[1:] if Path(path).is_absolute() else Path(path)

    def read(self, path: str | Path) -> str:
        """Return a file's text; empty where it is missing or hidden."""
        try:
            return self.path(path).read_text("utf-8", "replace")
        except OSError:
            return ""

    def exists(self, path: str | Path) -> bool:
        """Whether there is such a file, and it shows."""
        return self.path(path).exists()

    def missing(self, path: str | Path) -> bool:
        """Whether there is no such file; one that is hidden from this user may be there."""
        at = self.path(path)
        return hidden(at) is None and not os.path.exists(at)  # noqa: PTH110 - it raises nothing

    def glob(self, pattern: str) -> list[Path]:
        """Return what fits an absolute pattern, in order; as paths within this system."""
        found = sorted(self.root.glob(pattern.lstrip("/")))
        return [Path("/") / path.relative_to(self.root) for path in found]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at before the service runs.

    look: may raise; an EdgeSsdError is a failure in its own words.
    option: the option at fault where it fails, relative to its section; empty for the section.
    required: where False, a failure is a warning. instead: what the service does without it.
    exit_code: what the service ends with where this fails. limit_s: seconds it may take.
    at_start: takes milliseconds and opens no device, so that every start of the service runs it.
    rights: asks what this user may do, rarely the service's: not for a plain ``check-config``.
    outside: looks at the processes of other users, which the service's sandbox hides.
    """

    name: str
    look: Callable[[System], Finding]
    option: str = ""
    required: bool = True
    instead: str = ""
    exit_code: int = 1
    limit_s: float = 15.0
    at_start: bool = False
    rights: bool = False
    outside: bool = False

    def below(self, section: str) -> Check:
        """Return the same check of an option inside ``section``."""
        return replace(self, option=".".join(filter(None, [section, self.option])))

    def judge(self, system: System) -> Finding:
        """Run it here; never raises for what it does."""
        return self.weigh(self._outcome(system))

    def weigh(self, finding: Finding) -> Finding:
        """Make a failure a warning where the service runs without what failed."""
        if finding.verdict is not Verdict.FAIL or self.required:
            return finding
        return warn("; ".join(filter(None, [finding.evidence, self.instead])), finding.remedy)

    def _outcome(self, system: System) -> Finding:
        try:
            return self.look(system)
        except EdgeSsdError as error:
            return fail(error.what, error.remedy)
        except ImportError as error:
            return fail(f"cannot be checked: {error}", "repair what the checks above name")
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.ENOEXEC:
                return skipped("no program can be started from here, as under emulation")
            what = f"the check failed: {type(error).__name__}: {error}"
            return fail(what, "report this, with the whole output")


def start_problems(
    checks: Iterable[Check], system: System | None = None, rights: bool = True
) -> list[Problem]:
    """Return what checks ``at_start`` find; rights: also those that ask what this user may do."""
    system = system or System()
    wanted = [check for check in checks if check.at_start and (rights or not check.rights)]
    judged = [(check.option, check.judge(system)) for check in wanted]
    problems = (
        Problem(option, found.evidence, found.remedy)
        for option, found in judged
        if found.verdict is Verdict.FAIL
    )
    return list(dict.fromkeys(problems))
