"""A check that crashes or hangs is a finding."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import subprocess
import threading

import pytest

from edge_ssd.checks import Check, Finding, System, Verdict, fail, ok, skipped, warn
from edge_ssd.commands.doctor.runner import Examined, examine, exit_code

HERE = System()


def segfault(_: System) -> Finding:
    faulthandler.disable()  # pytest's
    os.write(1, b"about to crash\n")
    ctypes.string_at(0)
    raise AssertionError("unreachable")


def hang(_: System) -> Finding:
    threading.Event().wait()
    raise AssertionError("unreachable")


def hang_in_a_program(_: System) -> Finding:
    subprocess.run(["sleep", "1000"], check=True)
    raise AssertionError("unreachable")


def bug(_: System) -> Finding:
    raise KeyError("oops")


def exit_silently(_: System) -> Finding:
    os._exit(3)


@pytest.mark.parametrize(
    ("look", "says", "answers"),
    [
        (
            segfault,
            "its process was ended by SIGSEGV (Segmentation fault), saying: about to crash",
            False,
        ),
        (hang, "it took longer than 0.3 s", False),
        (hang_in_a_program, "it took longer than 0.3 s", False),
        (bug, "KeyError: 'oops'", True),
        (exit_silently, "ended with status 3", False),
    ],
)
def test_whatever_a_check_does_is_a_finding(look, says: str, answers: bool) -> None:
    limit_s = 0.3 if look in (hang, hang_in_a_program) else 30
    checks = [Check("bad", look, "model", limit_s=limit_s), Check("good", lambda _: ok("well"))]
    bad, good = examine(checks, HERE)
    assert bad.finding.verdict is Verdict.FAIL
    assert says in bad.finding.evidence
    assert bad.finding.remedy
    assert (bad.name, bad.option, bad.answered) == ("bad", "model", answers)
    assert good == Examined("good", ok("well"))


def test_a_crash_of_what_is_not_required_is_a_warning() -> None:
    (one,) = examine([Check("bad", segfault, required=False)], HERE)
    assert one.finding.verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([(69, ok("")), (78, warn("", "")), (1, skipped(""))], 0),
        ([(1, fail("", "")), (1, ok(""))], 1),
        ([(69, fail("", "")), (1, fail("", ""))], 69),
        ([(69, fail("", "")), (78, fail("", ""))], 78),
    ],
)
def test_the_exit_code_is_that_of_what_failed(
    findings: list[tuple[int, Finding]], code: int
) -> None:
    assert exit_code(
        [Examined("x", finding, exit_code=number) for number, finding in findings]
    ) == (code)


def test_json_carries_it_whole() -> None:
    one = Examined("broker", warn("silent", "start it"), "publishers.0.host", 69)
    assert Examined.from_json(json.loads(json.dumps(one.as_json()))) == one
