"""A run of the project's own tests by another Python, and what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from system.emulated.pi import CHECKOUT, Environment

TIMEOUT_S, DOCTOR_S = 1800, 300

STARTS = "starts Python again and again, seconds each here, and waits for no more than a Pi needs"
LAST_WORDS = "quotes the last words of a process that dies; qemu adds its own"
NOT_RUN = {
    "tests/test_readme.py": "measures speed; .ci/run does it natively",
    "tests/test_bad_inputs.py": STARTS,
    "tests/doctor/test_runner.py": STARTS,  # the tests of either Pi run doctor itself
    "tests/models/test_fuzz.py": "limits the memory of a process, and qemu needs more",
    "tests/models/test_damaged.py::test_random_damage": "minutes; the reader is Python alone",
    "tests/detector/test_isolated.py::test_an_abort_loses_one_frame_and_is_told": LAST_WORDS,
    "tests/detector/test_isolated.py::test_deaths_in_a_row_wait_longer_and_end_it": STARTS,
    "tests/detector/test_isolated.py::test_deaths_far_apart_never_end_it": STARTS,
    "tests/detector/test_isolated.py::test_while_it_waits_it_says_so_and_does_not_block": STARTS,
    "tests/detector/test_isolated.py::"
    "test_a_stop_does_not_wait_for_a_network_that_starts_again": STARTS,
    "tests/detector/test_isolated.py::"
    "test_a_stick_that_becomes_ten_times_slower_is_told": "compares times of a busy emulator",
    "tests/detector/test_probe.py::test_what_goes_wrong_is_told_in_one_line": LAST_WORDS,
    "tests/detector/test_probe.py::test_a_hang_is_ended_and_told": STARTS,
}
"""Tests that are not run, and why; nor are those in tests/system, of this machine's own Debian."""

NO_SCHEMA = "could not import 'ai_edge_litert.schema_py_generated'"


@dataclass(frozen=True)
class Suite:
    """How many tests passed, in how many seconds, which failed, and why each other was skipped."""

    passed: int
    seconds: float
    failed: list[str]
    skipped: list[str]
    output: str

    def __str__(self) -> str:
        return (
            f"{self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped "
            f"in {self.seconds:.0f} s"
        )


def run_suite(
    environment: Environment, folder: Path, paths: Collection[str], but: Collection[str],
    programs: Path | None = None,
) -> Suite:  # fmt: skip
    """Run the tests in ``paths`` without those in ``but``, both ids of pytest.

    folder: a new one for their files. programs: a folder of programs to prefer.
    """
    folder.mkdir()
    report = folder / "report.xml"
    path = os.environ["PATH"] if programs is None else f"{programs}:{os.environ['PATH']}"
    started = time.monotonic()
    done = subprocess.run(
        [environment.python, "-m", "pytest", "-m", "not tensorflow", "--ignore=tests/system",
         "-p", "no:cacheprovider", "--color=no", "--durations=15",
         f"--basetemp={folder / 'tests'}", f"--junitxml={report}",
         *(f"--deselect={test}" for test in but), *paths],
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=TIMEOUT_S,
        env=os.environ | {"PATH": path, "EDGE_SSD_TESTS_STRICT": "0"},
    )  # fmt: skip
    assert report.exists(), done.stdout[-4000:] + done.stderr[-4000:]
    return read_report(report, time.monotonic() - started, done.stdout)


def read_report(report: Path, seconds: float, output: str) -> Suite:
    failed, skipped, passed = [], [], 0
    for case in ElementTree.parse(report).iter("testcase"):
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"{case.get('classname')}::{case.get('name')}")
        elif skip is not None:
            skipped.append(skip.get("message", ""))
        else:
            passed += 1
    return Suite(passed, seconds, failed, skipped, output)


def examine(environment: Environment) -> dict[str, str]:
    """Run doctor, which must say that the service would run; return what it found, by check."""
    done = subprocess.run(
        [environment.python, "-m", "edge_ssd", "doctor", "--json"],
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=DOCTOR_S,
    )  # fmt: skip
    checks = json.loads(done.stdout)["checks"]
    failed = [check for check in checks if check["verdict"] == "fail"]
    assert (failed, done.returncode, done.stderr) == ([], 0, "")
    return {check["name"]: check["evidence"] for check in checks}
