"""Whatever a check does is a finding; what a start of the service makes of it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from edge_ssd.checks import Check, Finding, System, Verdict, fail, ok, start_problems, warn
from edge_ssd.errors import DeviceError, ModelError, Problem

HERE = System()


def raising(error: Exception) -> Check:
    def look(_: System) -> Finding:
        raise error

    return Check("bad", look)


@pytest.mark.parametrize(
    ("error", "evidence", "remedy"),
    [
        (DeviceError("the camera is on fire", "put it out"), "the camera is on fire", "put it out"),
        (ModelError("is empty", "pull it", Path("a.tflite")), "model a.tflite: is empty", "pull"),
        (KeyError("oops"), "the check failed: KeyError: 'oops'", "report this"),
        (ImportError("No module named 'numpy'"), "cannot be checked: No module named", "repair"),
    ],
)
def test_an_error_is_a_failure(error: Exception, evidence: str, remedy: str) -> None:
    found = raising(error).judge(HERE)
    assert found.verdict is Verdict.FAIL
    assert found.evidence.startswith(evidence)
    assert found.remedy.startswith(remedy)


def test_where_no_program_can_be_started_a_check_is_skipped() -> None:
    found = raising(OSError(errno.ENOEXEC, "Exec format error")).judge(HERE)
    assert found.verdict is Verdict.SKIPPED
    assert "no program can be started" in found.evidence


def test_what_is_not_required_is_a_warning() -> None:
    check = Check("tpu", lambda _: fail("none", "plug in"), required=False, instead="the CPU runs")
    assert check.judge(HERE) == warn("none; the CPU runs", "plug in")


def test_an_option_is_named_with_its_section() -> None:
    assert Check("a", lambda _: ok(""), "path").below("publishers.1").option == "publishers.1.path"
    assert Check("a", lambda _: ok("")).below("source").option == "source"


def test_a_start_runs_what_is_marked_for_it() -> None:
    def mistaken(_: System) -> Finding:
        raise AssertionError("it opens a device")

    checks = [
        Check("camera", mistaken),
        Check(
            "outputs", lambda _: fail("read-only", "choose"), "a.path", at_start=True, rights=True
        ),
        Check("broker", lambda _: fail("silent", ""), "b", required=False, at_start=True),
        Check("credentials", lambda _: ok("read"), "c", at_start=True),
    ]  # fmt: skip
    assert start_problems(checks, HERE) == [Problem("a.path", "read-only", "choose")]
    assert start_problems(checks, HERE, rights=False) == []
