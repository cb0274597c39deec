"""The network and its arithmetic on an emulated 32-bit Pi, with what install.sh takes there.

That is tflite-runtime, the pinned wheels, and numpy, OpenCV and PyYAML from Debian.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from system.emulated.pi import CHECKOUT, PI_2, EmulatedPi, Environment
from system.emulated.suite import NO_SCHEMA, NOT_RUN, examine, run_suite

pytestmark = pytest.mark.system

SMOKE = ("tests/inference", "tests/models", "tests/postprocess", "tests/test_boxes.py")
ALSO_NOT_RUN = {
    f"tests/inference/test_{name}.py": "needs a compiler for 32-bit ARM"
    for name in (
        "delegate", "edgetpu_checks", "fallback", "probe", "subprocess", "subprocess_deaths",
        "subprocess_streams",
    )
}  # fmt: skip
"""Tests of those that are not run, and why."""


@pytest.fixture(scope="module")
def environment(emulation: Path, qemu: Path) -> Environment:
    machine = EmulatedPi(PI_2, emulation / "armhf", qemu)
    environment = machine.environment(emulation / "32-bit")
    environment.unpack_pinned("armv7l-py311", emulation / "wheels")
    return environment


def test_the_network_and_its_arithmetic(
    environment: Environment, emulation: Path, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = run_suite(environment, emulation / "suite-armhf", SMOKE, {**NOT_RUN, **ALSO_NOT_RUN})
    with capsys.disabled():
        print(f"\nemulated armhf, tflite-runtime: {suite}")
    assert suite.failed == [], suite.output[-20_000:]
    assert [why for why in suite.skipped if not why.startswith(NO_SCHEMA)] == []
    assert suite.passed > 400


def test_the_command_finds_what_is_in_the_pictures(environment: Environment) -> None:
    done = subprocess.run(
        [environment.python, "-m", "edge_ssd", "detect", "--json", "demo/images"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    results = [json.loads(line) for line in done.stdout.splitlines()]
    found = {Path(result["path"]).stem: result["detections"][0]["label"] for result in results}
    assert found["chelsea"] == "cat"
    assert found["coffee"] == "cup"
    assert found["camera"] == "person"


def test_doctor_says_that_it_is_ready(environment: Environment) -> None:
    found = examine(environment)
    assert found["python"] == "Python 3.11 on armv7l"
    assert found["runtime"].startswith("tflite-runtime 2.14")
    assert "expected cup" in found["golden detection"]
