"""The pinned packages: one set a target, and they can be had."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.booted import CHECKOUT, run
from support.installed import guide

pytestmark = pytest.mark.system

CONSTRAINTS = CHECKOUT / "deploy" / "constraints"
sys.path.insert(0, str(CONSTRAINTS))
import pins  # noqa: E402


def pinned(target: str) -> dict[str, str]:
    lines = (CONSTRAINTS / f"{target}.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_there_is_one_file_a_target() -> None:
    assert {path.stem for path in CONSTRAINTS.glob("*.txt")} == set(pins.TARGETS)


@pytest.mark.parametrize("target", pins.TARGETS)
def test_the_runtime_and_numpy_are_those_that_fit(target: str) -> None:
    packages = pinned(target)
    if target.startswith("armv7l"):
        assert "tflite-runtime" in packages
        assert not {"ai-edge-litert", "numpy", "opencv-python-headless"} & set(packages)
        return
    assert "ai-edge-litert" in packages
    old = target.endswith(("py310", "py311", "py312"))
    assert packages["numpy"].startswith("1.") == old


@pytest.mark.parametrize(
    "target", ["aarch64-py311", "aarch64-py313", "armv7l-py311", "x86_64-py311", "x86_64-py313"]
)
def test_every_pin_has_a_wheel_for_its_target(target: str, tmp_path: Path) -> None:
    pins.pip(
        target, "install", "--quiet", "--dry-run", "--no-deps", "--ignore-installed",
        "--target", str(tmp_path), "-r", str(CONSTRAINTS / f"{target}.txt"),
    )  # fmt: skip


@pytest.mark.parametrize("target", pins.TARGETS)
def test_the_pins_are_what_pyproject_asks_for(target: str) -> None:
    tomllib = pytest.importorskip("tomllib")
    machine, python = target.split("-py3")
    place = {"platform_machine": machine, "python_version": f"3.{python}"}
    packages = pinned(target) | (pins.APT if machine == "armv7l" else {})
    versions = {canonicalize_name(name): version for name, version in packages.items()}
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    for line in project["dependencies"]:
        needed = Requirement(line)
        if needed.marker is None or needed.marker.evaluate(place):
            assert versions[canonicalize_name(needed.name)] in needed.specifier, line


def test_a_folder_of_wheels_is_filled_for_a_pi(tmp_path: Path) -> None:
    line = guide("python3 deploy/constraints/pins.py download armv7l-py311 wheels")
    script = line.replace("python3 deploy", f"{sys.executable} {CHECKOUT}/deploy")
    run(*script.split(), check=True, cwd=tmp_path)
    wheels = {path.name.split("-")[0] for path in (tmp_path / "wheels").iterdir()}
    names = {canonicalize_name(name) for name in pinned("armv7l-py311")}
    assert {canonicalize_name(name) for name in wheels} == names | {"edge-ssd"}
