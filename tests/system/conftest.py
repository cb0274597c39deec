"""One Debian and one folder of wheels for all tests that install the service."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import booted
from support.booted import Machine


@pytest.fixture(scope="session")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory, where thousands of files come and go quickly."""
    reason = booted.missing()
    if reason:
        pytest.skip(f"no container: {reason}")
    folder = tmp_path_factory.mktemp("memory")
    booted.run("mount", "-t", "tmpfs", "tmpfs", folder, check=True)
    yield folder
    booted.run("umount", folder, check=True)


@pytest.fixture(scope="session")
def debian(memory: Path) -> Path:
    """A Debian 12 nothing was installed on; it is not to be changed."""
    booted.build_root(memory / "debian")
    return memory / "debian"


@pytest.fixture(scope="session")
def srv(memory: Path) -> Path:
    """The containers' /srv: demo, and first: a checkout with a folder of wheels."""
    folder = memory / "srv"
    shutil.copytree(booted.CHECKOUT / "demo", folder / "demo")
    first = booted.copy_checkout(folder / "first")
    pins = first / "deploy" / "constraints" / "pins.py"
    target = f"{platform.machine()}-py311"
    booted.run(sys.executable, pins, "download", target, first / "wheels", check=True)
    return folder


@pytest.fixture(scope="session")
def machine(memory: Path, debian: Path, srv: Path) -> Iterator[Machine]:
    """The Debian, booted; each file of tests leaves it as it found it."""
    root = memory / "machine"
    booted.run("cp", "--archive", debian, root, check=True)
    machine = Machine(root, srv)
    yield machine
    machine.power_off()


@pytest.fixture(scope="module")
def installed(machine: Machine) -> Iterator[Machine]:
    from support.installed import configure, install, recorded  # not in every chroot

    configure(machine, recorded())
    finished = install(machine)
    assert finished.returncode == 0, finished.stdout
    yield machine
    machine.run("/opt/edge-ssd/uninstall.sh", "--purge", check=True)


@pytest.fixture
def service(installed: Machine) -> Machine:
    """It runs, on the recorded images."""
    from support.installed import configure, recorded, restart

    configure(installed, recorded())
    restart(installed)
    return installed
