"""Feeds mutated model files to ``models inspect``, in child processes that may hang or crash.

    python tests/support/model_fuzz.py [--count 20000] [--first 0]

Every mutant is made from its number alone, so a finding is repeated with ``--first N --count 1``.
Some of those that inspect accepts are run by the real interpreter, in a child of their own: it
may crash, and what it did is counted apart.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from edge_ssd import cli
from edge_ssd.errors import EdgeSsdError
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.inference.options import ModelOptions
from edge_ssd.models.loading import load
from support.model_mutants import mutant, places, sources

RESULTS = ("refused", "usable", "not usable")
HANG_S = 30.0
PIPE_BUF = 4000
"""A line is written whole, as long as it is no longer."""
MEMORY_BYTES = 400_000_000
"""What one inspection may allocate, beyond what the interpreter and its libraries have mapped."""
RUNTIME_SHARE = 8
"""One accepted mutant in so many is run."""


@dataclass
class Tally:
    """What became of the mutants. findings: the number of a mutant, and what is wrong."""

    inspected: Counter[str] = field(default_factory=Counter)
    run: Counter[str] = field(default_factory=Counter)
    crashed: list[int] = field(default_factory=list)
    findings: list[tuple[int, str]] = field(default_factory=list)
    slowest_s: float = 0.0


# --- The children ---


def inspected(number: int, path: Path) -> str:
    """Run ``models inspect`` as a user does; return what became of it. Raises AssertionError."""
    as_json = ["--json"] if number % 2 else []
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main.main(["models", "inspect", str(path), *as_json], standalone_mode=False)
        except SystemExit as ending:
            code = int(ending.code or 0)
    lines = err.getvalue().splitlines()
    if code:
        assert code == 1 and len(lines) == 1 and lines[0].startswith("error: "), lines
        return "refused"
    assert not lines, lines
    if not as_json:
        assert all(len(line) <= 80 for line in out.getvalue().splitlines()[1:]), "a long line"
        usable = "The detector can use it" in " ".join(out.getvalue().split())
    else:
        usable = json.loads(out.getvalue(), parse_constant=_refuse)["usable"]
    return "usable" if usable else "not usable"


def _refuse(constant: str) -> object:
    raise AssertionError(f"{constant} is not JSON")


def run_apart(path: Path) -> str:
    """Infer once on zeros in a child of its own; return how it ended."""
    child = os.fork()
    if not child:
        faulthandler.disable()
        with open(os.devnull, "r+b") as nothing:  # noqa: PTH123 - a descriptor
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        signal.alarm(60)
        os._exit(_run(path))
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return "hung" if number == signal.SIGALRM else signal.Signals(number).name
    return {0: "ran", 1: "refused", 2: "not our error"}[os.WEXITSTATUS(status)]


def _run(path: Path) -> int:
    try:
        CpuBackend(load(str(path)), ModelOptions(threads=1)).invoke()
    except EdgeSsdError:
        return 1
    except RuntimeError:  # the runtime's own, when it infers
        return 1
    except BaseException:
        return 2
    return 0


def work(numbers: range, report: int, folder: Path) -> None:
    """Inspect mutants, and report each as lines of JSON: (what, number, result, seconds)."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("error")
    faulthandler.disable()  # of pytest: a crash is told by the parent
    path = folder / "m.tflite"

    def tell(*message: object) -> None:
        os.write(report, json.dumps(message).encode()[:PIPE_BUF] + b"\n")

    for number in numbers:
        path.write_bytes(mutant(number))
        tell("begun", number, "", 0)
        begun = time.monotonic()
        try:
            result = inspected(number, path)
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            result = f"{type(error).__name__}: {str(error)[:500]} ({where})"
        tell("inspected", number, result, time.monotonic() - begun)
        if result == "usable" and number % RUNTIME_SHARE == 0:
            tell("ran", number, run_apart(path), 0)


# --- The parent ---


class Worker:
    """A child that inspects some numbers; replaced when it crashes or hangs."""

    def __init__(self, numbers: range, tally: Tally, folder: Path) -> None:
        self._numbers, self._tally, self._folder = numbers, tally, folder
        self._start()

    def _start(self) -> None:
        ours, theirs = os.pipe()
        self._child = os.fork()
        if not self._child:
            os.close(ours)
            work(self._numbers, theirs, self._folder)
            os._exit(0)
        os.close(theirs)
        self.report, self._rest = ours, b""
        self._begun: tuple[int, float] | None = None

    def read(self) -> bool:
        """Take what it reports; return whether there is more to come."""
        chunk = os.read(self.report, 65536)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._note(*json.loads(line))
        return bool(chunk) or self._ended()

    def check(self) -> None:
        """Kill it if it has taken too long."""
        if self._begun and time.monotonic() - self._begun[1] > HANG_S:
            os.kill(self._child, signal.SIGKILL)

    def _note(self, what: str, number: int, result: str, took_s: float) -> None:
        self._begun = (number, time.monotonic()) if what == "begun" else None
        if what == "inspected":
            known = result in RESULTS
            self._tally.inspected[result if known else "finding"] += 1
            self._tally.slowest_s = max(self._tally.slowest_s, took_s)
            if not known:
                self._tally.findings.append((number, result))
        elif what == "ran":
            self._tally.run[result] += 1
            if result.startswith("SIG"):
                self._tally.crashed.append(number)
            elif result == "not our error":
                self._tally.findings.append((number, "the detector: not our error"))

    def _ended(self) -> bool:
        """Note how the child ended; return whether another was started in its place."""
        os.close(self.report)
        status = os.waitpid(self._child, 0)[1]
        if not self._begun:
            return False
        number = self._begun[0]
        self._tally.findings.append((number, _how_ended(status)))
        self._tally.inspected["finding"] += 1
        self._numbers = range(number + self._numbers.step, self._numbers.stop, self._numbers.step)
        self._start()
        return True


def _how_ended(status: int) -> str:
    if not os.WIFSIGNALED(status):
        return f"ended with status {os.WEXITSTATUS(status)}"
    number = signal.Signals(os.WTERMSIG(status))
    return "a hang" if number is signal.SIGKILL else f"ended by {number.name}"


def fuzz(first: int, count: int, workers: int = 2) -> Tally:
    """Inspect mutants ``first`` to ``first + count``; return what became of them."""
    tally = Tally()
    for name in [name for kind in sources() for name in kind]:
        places(name)  # once, for all children
    with tempfile.TemporaryDirectory() as folder:
        running = []
        for index in range(workers):
            own = Path(folder, str(index))
            own.mkdir()
            running.append(Worker(range(first + index, first + count, workers), tally, own))
        while running:
            ready = select.select([worker.report for worker in running], [], [], 0.5)[0]
            running = [w for w in running if w.report not in ready or w.read()]
            for worker in running:
                worker.check()
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    begun = time.monotonic()
    tally = fuzz(options.first, options.count)
    print(f"{options.count} mutants in {time.monotonic() - begun:.0f} s: {dict(tally.inspected)}")
    print(f"slowest inspection {tally.slowest_s:.2f} s")
    print(f"run by the interpreter: {dict(tally.run)}; crashed it: {tally.crashed[:20]}")
    for number, finding in tally.findings:
        print(f"mutant {number}: {finding}")
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
