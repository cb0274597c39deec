"""The project's tests, and doctor, on an emulated Pi 5: on either TensorFlow Lite runtime.

That they pass tells that arithmetic, models and libraries are right on 64-bit ARM. It tells nothing
of speed, nor of a Pi's devices.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from system.emulated.pi import CHECKOUT, PI_5, EmulatedPi, Environment
from system.emulated.suite import NO_SCHEMA, NOT_RUN, Suite, examine, run_suite

pytestmark = pytest.mark.system
T = TypeVar("T")

COMPILER = "aarch64-linux-gnu-gcc"
RUNTIMES = ("litert", "tflite-runtime")

MAY_SKIP = {"litert": (), "tflite-runtime": (NO_SCHEMA,)}
"""Reasons to skip; the schema's own reader, to compare ours with, comes with litert alone."""


def side_by_side(function: Callable[[str], T]) -> dict[str, T]:
    with ThreadPoolExecutor() as threads:
        return dict(zip(RUNTIMES, threads.map(function, RUNTIMES), strict=True))


@pytest.fixture(scope="module")
def environments(emulation: Path, qemu: Path) -> dict[str, Environment]:
    """For each runtime an installation of the checkout by pip that has no other."""
    machine = EmulatedPi(PI_5, emulation / "arm64", qemu)

    def install(runtime: str) -> Environment:
        environment = machine.environment(emulation / runtime)
        extra = "" if runtime == "litert" else "[tflite-runtime]"
        environment.pip("install", "--quiet", f"{CHECKOUT}{extra}", "pytest", "pycocotools")
        if runtime != "litert":
            environment.pip("uninstall", "--quiet", "--yes", "ai-edge-litert")
        return environment

    return side_by_side(install)


@pytest.fixture(scope="module")
def suites(environments: dict[str, Environment], emulation: Path, shared: Path) -> dict[str, Suite]:
    """What came of the project's tests on each runtime."""
    programs = emulation / "programs"
    programs.mkdir()
    (programs / "gcc").symlink_to(str(shutil.which(COMPILER)))
    return side_by_side(
        lambda runtime: run_suite(
            environments[runtime], emulation / f"suite-{runtime}", ["tests"], NOT_RUN, programs
        )
    )


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_it_is_a_64_bit_pi_with_that_runtime_alone(
    environments: dict[str, Environment], runtime: str
) -> None:
    code = (
        "import platform, sys; from edge_ssd.inference.runtime import installed; "
        "print(platform.machine(), *sys.version_info[:2], *installed())"
    )
    python = environments[runtime].python
    told = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["aarch64", "3", "11", runtime]


@pytest.mark.skipif(
    shutil.which(COMPILER) is None,
    reason=f"{COMPILER} is not installed (apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross)",
)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_suite_passes(
    suites: dict[str, Suite], runtime: str, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = suites[runtime]
    with capsys.disabled():
        print(f"\nemulated arm64, {runtime}: {suite}")
    assert suite.failed == [], suite.output[-20_000:]
    unexpected = [why for why in suite.skipped if not why.startswith(MAY_SKIP[runtime])]
    assert unexpected == []
    assert suite.passed > 600


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_doctor_says_that_it_is_ready(environments: dict[str, Environment], runtime: str) -> None:
    found = examine(environments[runtime])
    assert found["python"] == "Python 3.11 on aarch64"
    assert found["processor"] == "int8 dot product (asimddp)"
    assert found["runtime"].startswith({"litert": "ai-edge-litert"}.get(runtime, runtime))
    assert "expected cup" in found["golden detection"]


def test_what_is_not_run_exists() -> None:
    for test in NOT_RUN:
        path, _, name = test.partition("[")[0].partition("::")
        assert f"def {name}" in (CHECKOUT / path).read_text(), test
