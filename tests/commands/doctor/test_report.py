"""The table, its last line, and the JSON."""

from __future__ import annotations

import json

import pytest

from edge_ssd.checks import fail, ok, skipped, warn
from edge_ssd.commands.doctor import report
from edge_ssd.commands.doctor.runner import Examined


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_the_table_keeps_to_the_width(width: int) -> None:
    finding = fail("word " * 30 + "\x1b[2J", "do " * 30)
    lines = report.row(Examined("python", finding), width).splitlines()
    assert lines[0].startswith("FAIL python  ")
    assert max(map(len, lines)) <= max(width, 40)
    assert "-> do do" in "".join(lines)
    assert "\x1b" not in "".join(lines)


def test_a_remedy_is_shown_only_where_there_is_something_to_do() -> None:
    assert report.row(Examined("python", ok("well")), 80) == "ok   python           well"
    assert report.row(Examined("python", ok("")), 80) == "ok   python"


def test_the_last_line_says_whether_it_is_ready() -> None:
    good, odd = Examined("python", ok("a")), Examined("clock", warn("b", "c"))
    bad = [Examined("camera", fail("d", "e")), Examined("model", fail("f", "g"))]
    assert report.summary([good, Examined("power", skipped("x"))]) == "Ready to run"
    assert report.summary([good, odd]) == "Ready to run; 1 warning: clock"
    two = [odd, Examined("sd card", warn("b", "c"))]
    assert report.summary(two) == "Ready to run; 2 warnings: clock, sd card"
    assert report.summary([good, odd, *bad]) == "Not ready: camera, model"


def test_json_is_the_contract() -> None:
    told = json.loads(report.as_json([Examined("clock", warn("b", "c"))]))
    assert told == {
        "schema": 1,
        "would_run": True,
        "checks": [
            {"name": "clock", "option": "", "verdict": "warn", "evidence": "b", "remedy": "c",
             "exit_code": 1}
        ],
    }  # fmt: skip
    assert not json.loads(report.as_json([Examined("a", fail("b", "c"))]))["would_run"]
