"""Which machines install.sh takes, what it would do there, and that it does it with a network."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import booted
from support.booted import Finished, chroot_into, disposable
from support.installed import guide

pytestmark = pytest.mark.system

INSTALL = "/srv/first/deploy/install.sh"


@pytest.fixture
def root(debian: Path, srv: Path) -> Iterator[Path]:
    with disposable(debian, srv) as root:
        yield root


def pretend(root: Path, program: str, says: str) -> None:
    """Put a fake in the place of a program of a disposable Debian."""
    path = (root / program).resolve()
    path.unlink()
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


def dry_run(root: Path, architecture: str, kernel: str, python: str, pi: bool) -> Finished:
    """Say what would be done on a machine of Debian's and the kernel's architecture."""
    pretend(root, "usr/bin/dpkg", architecture)
    pretend(root, "usr/bin/uname", kernel)
    pretend(root, "usr/bin/python3.11", python)
    if pi:
        (root / "etc" / "rpi-issue").touch()
    return chroot_into(root, INSTALL, "--dry-run")


@pytest.mark.parametrize(
    ("system", "architecture", "kernel", "python", "pi", "pins"),
    [
        ("Pi OS Bookworm, 64 bit", "arm64", "aarch64", "3.11", True, "aarch64-py311"),
        ("Pi OS Trixie, 64 bit", "arm64", "aarch64", "3.13", True, "aarch64-py313"),
        ("Pi OS Bookworm, 32 bit", "armhf", "armv7l", "3.11", True, "armv7l-py311"),
        ("the same, 64-bit kernel", "armhf", "aarch64", "3.11", True, "armv7l-py311"),
        ("Debian 12, ARM", "arm64", "aarch64", "3.11", False, "aarch64-py311"),
        ("Debian 12, PC", "amd64", "x86_64", "3.11", False, "x86_64-py311"),
        ("Debian 13, PC", "amd64", "x86_64", "3.13", False, "x86_64-py313"),
    ],
)
def test_a_supported_machine(
    root: Path, system: str, architecture: str, kernel: str, python: str, pi: bool, pins: str
) -> None:
    finished = dry_run(root, architecture, kernel, python, pi)
    assert finished.returncode == 0, f"{system}: {finished.stdout}"
    assert f"/constraints/{pins}.txt" in finished.stdout
    assert ("--no-install-recommends python3-picamera2" in finished.stdout) == pi
    assert ("python3-opencv" in finished.stdout) == (architecture == "armhf")


@pytest.mark.parametrize(
    ("system", "architecture", "kernel", "python", "words"),
    [
        ("Pi OS Trixie, 32 bit", "armhf", "aarch64", "3.13", "flash the 64-bit Raspberry Pi OS"),
        ("Pi Zero", "armhf", "armv6l", "3.11", "use a Zero 2 W or newer"),
        ("an old PC", "i386", "i686", "3.11", "no TensorFlow Lite runtime exists for i386"),
        ("Debian 11", "arm64", "aarch64", "3.9", "Python 3.9 is not supported"),
    ],
)
def test_a_machine_without_a_runtime_is_refused_in_a_sentence(
    root: Path, system: str, architecture: str, kernel: str, python: str, words: str
) -> None:
    finished = dry_run(root, architecture, kernel, python, pi=False)
    assert finished.returncode == 1, f"{system}: {finished.stdout}"
    (line,) = finished.stdout.splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_a_system_that_is_no_debian_is_refused(root: Path) -> None:
    (root / "usr" / "bin" / "dpkg").unlink()
    finished = chroot_into(root, INSTALL, "--dry-run")
    assert (finished.returncode, finished.stdout.count("\n")) == (1, 1)
    assert "use Raspberry Pi OS or Debian" in finished.stdout


def small_card(root: Path, size: str) -> Path:
    """Make /opt a file system of that size."""
    booted.run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", root / "opt", check=True)
    return root / "opt"


def test_a_full_card_is_told_before_anything_is_written(root: Path) -> None:
    opt, changes = small_card(root, "20m"), root.parent / "upper"
    before = set(changes.rglob("*"))
    needed = []
    for options in ("--dry-run --wheels /srv/first/wheels", "--wheels /srv/first/wheels", ""):
        finished = chroot_into(root, INSTALL, *options.split())
        assert finished.returncode == 1
        (line,) = finished.stdout.splitlines()
        told = re.match(r"error: /opt needs (\d+) MB of free space and has 20: make room ", line)
        assert told, line
        needed.append(int(told[1]))
    assert needed[0] == needed[1] < needed[2]  # what is downloaded needs space, too
    assert (list(opt.iterdir()), set(changes.rglob("*"))) == ([], before)


def test_what_a_killed_installation_left_makes_room(root: Path) -> None:
    opt = small_card(root, "400m")
    for folder, status in (("edge-ssd.a", 0), ("another-program", 1)):
        (opt / folder).mkdir()
        booted.run("fallocate", "--length=250M", opt / folder / "file", check=True)
        finished = chroot_into(root, INSTALL, "--dry-run", "--wheels", "/srv/first/wheels")
        assert finished.returncode == status, finished.stdout
        assert (opt / folder / "file").exists()
        shutil.rmtree(opt / folder)


def test_only_root_may_install(root: Path) -> None:
    finished = chroot_into(root, "setpriv", "--reuid=65534", "sh", INSTALL)
    assert (finished.returncode, finished.stdout) == (
        1, "error: this needs root: run it with sudo\n",
    )  # fmt: skip


def test_a_misspelt_option_is_refused(root: Path) -> None:
    assert chroot_into(root, INSTALL, "--whels", "x").returncode == 2
    missing = chroot_into(root, INSTALL, "--wheels", "/nowhere")
    assert "'/nowhere' is not one" in missing.stdout


def test_with_a_network_and_without_systemd(root: Path) -> None:
    """As one prepares an image: packages from Debian and PyPI, the service at the next boot."""
    environment = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    if "PIP_CERT" in environment:
        certificate = root / environment["PIP_CERT"].lstrip("/")
        certificate.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(environment["PIP_CERT"], certificate)
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    chroot_into(root, "dpkg", "--remove", "--force-depends", "procps")
    shutil.copytree(
        booted.CHECKOUT, root / "checkout", ignore=shutil.ignore_patterns(".*", "tests")
    )
    dry = chroot_into(root, "env", "-C", "/checkout", *guide("deploy/install.sh --dry-run").split())
    assert "apt-get install -y --no-install-recommends procps" in dry.stdout
    line = guide("sudo deploy/install.sh")
    finished = chroot_into(root, "env", "-C", "/checkout", line, **environment)
    assert finished.returncode == 0, finished.stdout
    assert "they start at the next boot" in finished.stdout
    assert (root / "bin" / "kill").exists()  # ExecReload's, from procps
    assert (root / "etc/systemd/system/multi-user.target.wants/edge-ssd.service").is_symlink()
    assert chroot_into(root, "edge-ssd", "--version").returncode == 0
    numpy = "import numpy, cv2; print(numpy.__version__)"
    version = chroot_into(root, "/opt/edge-ssd/bin/python", "-c", numpy).stdout
    assert version.startswith("1.")  # Debian 12's picamera2 needs that
