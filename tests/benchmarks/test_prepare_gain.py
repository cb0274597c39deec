"""What benchmarks/prepare_gain.py says to one who calls it wrongly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.command import environment

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "prepare_gain.py"


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        ((), 2, "the following arguments are required: STOCK.tflite; usage: prepare_gain.py"),
        ((__file__, "0"), 2, "argument ROUNDS: invalid positive value: '0'; usage: "),
        ((__file__, "many"), 2, "argument ROUNDS: invalid positive value: 'many'; usage: "),
        ((__file__,), 1, f"model {__file__}: not a TensorFlow Lite file"),
        (("none.tflite",), 1, "no model 'none.tflite'"),
    ],
)
def test_what_it_cannot_measure_is_one_line(
    arguments: tuple[str, ...], code: int, problem: str
) -> None:
    finished = subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        capture_output=True, text=True, check=False, env=environment(), timeout=60,
    )  # fmt: skip
    assert (finished.returncode, finished.stdout) == (code, "")
    (line,) = finished.stderr.splitlines()
    assert line.startswith(f"error: {problem}")
