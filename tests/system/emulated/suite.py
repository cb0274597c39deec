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

SELECTED = "runtime and not slow and not tensorflow and not system"
"""What depends on the processor; the markers are explained in docs/testing.md."""

STARTS = "starts Python again and again, seconds each here, and waits for no more than a Pi needs"
MINUTES = "takes minutes; its known detections are compared, and the other model's mAP is measured"
LAST_WORDS = "quotes the last words of a process that dies; qemu adds its own"
ISOLATED, PROBE = "tests/inference/test_subprocess", "tests/inference/test_probe.py"
MAP = "tests/commands/test_eval_coco.py::test_map_of_the_deployed_path"
NOT_RUN = {
    "tests/commands/test_eval.py": STARTS,
    f"{MAP}[tflite-runtime-ssdlite_mobilenet_v2_coco-0.313]": (
        "0.318 on ARM: 0.0004 past the tolerance"
    ),
    f"{MAP}[tflite-runtime-stock-0.256]": MINUTES,
    f"{MAP}[litert-stock-0.256]": MINUTES,
    "tests/models/test_fuzz.py": LAST_WORDS,
    f"{ISOLATED}_deaths.py::test_an_abort_loses_one_frame_and_is_told": LAST_WORDS,
    f"{ISOLATED}_deaths.py::test_deaths_in_a_row_wait_longer_and_end_it": STARTS,
    f"{ISOLATED}_deaths.py::test_while_it_waits_it_says_so_and_does_not_block": STARTS,
    f"{ISOLATED}.py::test_a_child_that_hangs_ends_with_a_parent_that_is_killed": STARTS,
    f"{ISOLATED}_streams.py::test_a_stop_does_not_wait_for_a_model_that_starts_again": STARTS,
    "tests/inference/test_drift.py::test_a_stick_that_becomes_ten_times_slower_is_told": (
        "compares times of qemu"
    ),
    f"{PROBE}::test_what_goes_wrong_is_told_in_one_line": LAST_WORDS,
    f"{PROBE}::test_a_hang_is_ended_and_told": STARTS,
}
"""Tests of those selected that are not run, and why."""

NO_SCHEMA = "could not import 'ai_edge_litert.schema_py_generated'"

FAILED = "failed"
Outcomes = dict[str, str | None]
"""For each test FAILED, or why it was skipped, or None where it passed."""


@dataclass(frozen=True)
class Suite:
    """How many tests passed, in how many seconds, which failed, and why each other was skipped.

    again: those that failed at first; ``failed`` are those that failed twice.
    """

    passed: int
    seconds: float
    failed: list[str]
    skipped: list[str]
    again: list[str]
    output: str

    def __str__(self) -> str:
        return (
            f"{self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped "
            f"in {self.seconds:.0f} s; run twice: {', '.join(self.again) or 'none'}"
        )


def run_suite(
    environment: Environment, folder: Path, paths: Collection[str], but: Collection[str],
    programs: Path | None = None,
) -> Suite:  # fmt: skip
    """Run the tests SELECTED in ``paths`` without those in ``but``, both ids of pytest.

    Those that fail get a second chance: some wait for no longer than a Pi needs, and here two
    emulators share the processor.
    folder: a new one for their files. programs: a folder of programs to prefer.
    """
    folder.mkdir()
    command = [
        str(environment.python), "-m", "pytest", "-m", SELECTED, "--ignore=tests/system",
        "-o", f"cache_dir={folder / 'cache'}", "--color=no", "--durations=15",
        f"--basetemp={folder / 'tests'}", *(f"--deselect={test}" for test in but), *paths,
    ]  # fmt: skip
    path = os.environ["PATH"] if programs is None else f"{programs}:{os.environ['PATH']}"
    started = time.monotonic()
    outcomes, output = _run_once(command, folder / "first.xml", path)
    again = _failed(outcomes)
    if again:
        second, more = _run_once([*command, "--last-failed"], folder / "second.xml", path)
        outcomes, output = outcomes | second, output + more
    return Suite(
        passed=sum(why is None for why in outcomes.values()),
        seconds=time.monotonic() - started,
        failed=_failed(outcomes),
        skipped=[why for why in outcomes.values() if why not in (None, FAILED)],
        again=again,
        output=output,
    )


def _run_once(command: list[str], report: Path, path: str) -> tuple[Outcomes, str]:
    done = subprocess.run(
        [*command, f"--junitxml={report}"], cwd=CHECKOUT, capture_output=True, text=True,
        check=False, timeout=TIMEOUT_S,
        env=os.environ | {"PATH": path, "EDGE_SSD_TESTS_STRICT": "0"},
    )  # fmt: skip
    assert report.exists(), done.stdout[-4000:] + done.stderr[-4000:]
    return _read(report), done.stdout


def _failed(outcomes: Outcomes) -> list[str]:
    return [test for test, why in outcomes.items() if why == FAILED]


def _read(report: Path) -> Outcomes:
    outcomes: Outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):
        test, skipped = f"{case.get('classname')}::{case.get('name')}", case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcomes[test] = FAILED
        elif outcomes.get(test) != FAILED:  # one that fails at its end as well is there twice
            outcomes[test] = None if skipped is None else skipped.get("message", "")
    return outcomes


def examine(environment: Environment) -> dict[str, str]:
    """Run doctor, which must say that it is ready to run; return what it found, by check."""
    done = subprocess.run(
        [environment.python, "-m", "edge_ssd", "doctor", "--json"],
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=DOCTOR_S,
    )  # fmt: skip
    checks = json.loads(done.stdout)["checks"]
    failed = [check for check in checks if check["verdict"] == "fail"]
    assert (failed, done.returncode, done.stderr) == ([], 0, "")
    return {check["name"]: check["evidence"] for check in checks}
