"""The Debian package: built, installed, upgraded, removed and purged in a booted container."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.booted import CHECKOUT, Finished, Machine, add_wheel, copy_checkout, run
from support.installed import CONFIG, configure, guide, install, recorded, wait_for_more

pytestmark = pytest.mark.system

TARGET = f"{platform.machine()}-py311"


@pytest.fixture(scope="module", autouse=True)
def needs_dpkg_deb() -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")


@pytest.fixture(scope="module")
def clean(machine: Machine) -> Iterator[Machine]:
    """Nothing is installed, nor after the tests."""
    yield machine
    machine.run("dpkg", "--purge", "edge-ssd")


def build(checkout: Path, wheels: Path) -> str:
    """Build a package into /srv/dist; return its name there."""
    dist = wheels.parents[1] / "dist"
    script = checkout / "deploy" / "build_deb.sh"
    printed = run(script, TARGET, dist, wheels, check=True).stdout
    return f"/srv/dist/{Path(printed.split(chr(39))[-2]).name}"


def apt_install(machine: Machine, package: str) -> Finished:
    return machine.run("apt-get", "install", "-y", "--no-install-recommends", package)


def test_its_whole_life(clean: Machine, srv: Path) -> None:
    machine, before = clean, clean.listing()
    wheels = srv / "first" / "wheels"
    configure(machine, recorded())
    package = build(srv / "first", wheels)
    finished = apt_install(machine, package)
    assert finished.returncode == 0, finished.stdout
    assert machine.unit("ActiveState") == "active"
    wait_for_more(machine)

    assert "# The service" in machine.ask("cat", "/usr/share/doc/edge-ssd/docs/service.md")
    assert machine.ask("edge-ssd", "check-config", "/usr/share/doc/edge-ssd/configs/reference.yaml")
    by_hand = install(machine)
    assert by_hand.returncode == 1
    assert "the Debian package edge-ssd is installed" in by_hand.stdout
    assert machine.run("/opt/edge-ssd/uninstall.sh").returncode == 1

    process = machine.unit("MainPID")
    newer = copy_checkout(srv / "newer", "7.8")
    add_wheel(newer, wheels)
    upgraded = apt_install(machine, build(newer, newer / "wheels"))
    assert upgraded.returncode == 0, upgraded.stdout
    assert machine.ask("dpkg-query", "-W", "-f", "${Version}", "edge-ssd") == "7.8+py311"
    assert machine.unit("MainPID") != process
    assert "recorded" in machine.path(CONFIG).read_text()
    wait_for_more(machine)

    process = machine.unit("MainPID")
    unfit = copy_checkout(srv / "unfit", "7.9")
    add_wheel(unfit, wheels)
    damaged = next((unfit / "wheels").glob("tqdm-*"))
    damaged.unlink()  # it is a link to the good one
    damaged.write_bytes(b"not a wheel")
    failed = apt_install(machine, build(unfit, unfit / "wheels"))
    assert failed.returncode != 0
    assert machine.unit("MainPID") == process
    wait_for_more(machine)

    removed = machine.run(*guide("sudo apt remove edge-ssd").split(), "-y")
    assert removed.returncode == 0, removed.stdout
    left = {line.split()[0] for line in machine.listing() - before}
    assert {path for path in left if not path.startswith("/etc/edge-ssd")} == set()
    assert CONFIG in left
    purged = machine.run(*guide("sudo apt purge edge-ssd").split(), "-y")
    assert purged.returncode == 0, purged.stdout
    assert machine.listing() == before


def refused(checkout: Path, target: str, wheels: Path) -> str:
    """Return the one line with which no package is built."""
    dist = wheels.parent / "dist"
    finished = run(checkout / "deploy" / "build_deb.sh", target, dist, wheels)
    assert finished.returncode == 1, finished.stdout
    (line,) = finished.stdout.splitlines()
    assert not dist.exists()
    return line


NUMPY = "numpy-1.26.4-cp311-cp311"


@pytest.mark.parametrize(
    ("target", "wheel"),
    [
        ("aarch64-py311", f"{NUMPY}-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
        ("aarch64-py311", f"{NUMPY}-musllinux_1_1_aarch64.whl"),
        ("x86_64-py311", f"{NUMPY}-macosx_10_9_x86_64.whl"),
        ("aarch64-py313", f"{NUMPY}-manylinux2014_aarch64.whl"),
        ("aarch64-py311", "protobuf-7.36.2-cp312-abi3-manylinux2014_aarch64.whl"),
    ],
)
def test_a_wheel_of_another_machine_is_refused(tmp_path: Path, target: str, wheel: str) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("click-8.5.1-py3-none-any.whl", wheel):
        (wheels / name).touch()
    machine, minor = target.split("-py3")
    expected = f"error: {wheels / wheel} is not for {machine} and Python 3.{minor}: fill a new "
    assert refused(CHECKOUT, target, wheels).startswith(expected)


def test_an_incomplete_folder_of_wheels_is_refused(srv: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    shutil.copytree(srv / "first" / "wheels", wheels)
    next(wheels.glob("tqdm-*")).unlink()
    assert f"{wheels} lacks tqdm==" in refused(srv / "first", TARGET, wheels)


def test_wheels_of_an_earlier_version_are_refused(srv: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    shutil.copytree(srv / "first" / "wheels", wheels)
    later = copy_checkout(tmp_path / "later", "9.9")
    assert f"{wheels} lacks edge-ssd==9.9" in refused(later, TARGET, wheels)


def test_wheels_of_another_checkout_are_refused(srv: Path, tmp_path: Path) -> None:
    other = copy_checkout(tmp_path / "other")
    (other / "edge_ssd" / "boxes.py").write_text("")
    told = refused(other, TARGET, srv / "first" / "wheels")
    assert "the wheel of edge-ssd in" in told
    assert "is of another checkout: fill a new folder with" in told


def test_a_misspelt_target_is_refused(tmp_path: Path) -> None:
    assert "aarch64-py39 is no target" in refused(CHECKOUT, "aarch64-py39", tmp_path / "wheels")


def test_one_can_be_built_for_a_pi_on_any_machine(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    line = guide("deploy/build_deb.sh aarch64-py311 dist")
    run(*line.split(), check=True, cwd=checkout)
    (package,) = (checkout / "dist").iterdir()
    assert package.name.endswith("+py311_arm64.deb")
    fields = run("dpkg-deb", "--field", package, check=True).stdout
    assert "Architecture: arm64" in fields
    assert "python3 (>= 3.11), python3 (<< 3.12)" in fields
    contents = run("dpkg-deb", "--contents", package, check=True).stdout
    assert "manylinux_2_17_aarch64" in contents
    assert "x86_64" not in contents.replace("x86_64-py", "")
