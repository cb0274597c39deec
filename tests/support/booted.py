"""A Debian 12 in a folder: booted with its own systemd in a container, or entered by chroot.

Both need root. Nothing is left behind but the folders, which are the caller's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
OTHERS = ("pyproject.toml", "LICENSE", "NOTICE")
TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter", "unshare")
PACKAGES = "systemd,systemd-sysv,dbus,udev,python3,python3-venv,procps"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Memory and logs; and what the system keeps for itself while it runs.
VOLATILE = ("/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/log", "/var/cache")
OWN_BUSINESS = ("/srv", "/var/lib/systemd", "/var/lib/dpkg", "/var/lib/apt")

Finished = subprocess.CompletedProcess[str]


def missing() -> str | None:
    """Return why no Debian can be built and booted here; None where it can."""
    if os.geteuid() != 0:
        return "it needs root"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def build_root(folder: Path) -> None:
    """Build a Debian 12 with systemd and Python; needs a network, and 20 s."""
    run(
        "mmdebstrap", "--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io",
        f"--include={PACKAGES}", "bookworm", folder, check=True,
    )  # fmt: skip


def run(*command: object, check: bool = False, timeout_s: float = 900, **more: object) -> Finished:
    """Run to the end; stdout has both outputs, in their order."""
    finished = subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=timeout_s, **more,
    )  # fmt: skip
    assert not check or finished.returncode == 0, f"{command}: {finished.stdout}"
    return finished


class Machine:
    """A container that has booted; `shared` is its /srv, read-only."""

    def __init__(self, root: Path, shared: Path) -> None:
        self.root = root
        self._nspawn = subprocess.Popen(
            ["systemd-nspawn", "--quiet", f"--directory={root}", "--boot", "--machine=edge",
             "--register=no", "--keep-unit", "--private-network", "--console=read-only",
             f"--bind-ro={shared}:/srv"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for(lambda: bool(self._init()), "systemd's process")
            self._leader = self._init()[0]
            booted = ("running", "degraded")
            wait_for(lambda: self.ask("systemctl", "is-system-running") in booted, "the boot")
        except BaseException:
            self._nspawn.kill()
            self._nspawn.wait()
            raise

    def run(self, *command: object, check: bool = False) -> Finished:
        """Run a command inside, as root; stdout has both outputs."""
        enter = ("nsenter", "--target", self._leader, "--all", "env", "--ignore-environment")
        return run(*enter, f"PATH={PATH}", *command, check=check)

    def ask(self, *command: object) -> str:
        """Return what a command inside prints."""
        return self.run(*command).stdout.strip()

    def path(self, inside: str) -> Path:
        """Return where a file of the container's disk is; not one of its /run."""
        return self.root / inside.lstrip("/")

    def unit(self, name: str, unit: str = "edge-ssd") -> str:
        """Return a property of a unit, as ``systemctl show`` has it."""
        return self.ask("systemctl", "show", f"--property={name}", "--value", unit)

    def microseconds(self, name: str) -> int:
        """Return when something happened to the service, on the monotonic clock."""
        return int(self.unit(f"{name}TimestampMonotonic"))

    def listing(self) -> set[str]:
        """Return every file, with mode, owner and where a link leads."""
        prune = [word for place in VOLATILE + OWN_BUSINESS for word in ("-path", place, "-o")]
        find = ("find", "/", "-xdev", "(", *prune[:-1], ")", "-prune", "-o")
        return set(self.ask(*find, "-printf", r"%p %y%m %U:%G %l\n").splitlines())

    def power_off(self) -> None:
        self.run("systemctl", "poweroff")
        try:
            self._nspawn.wait(30)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()

    def _init(self) -> list[str]:
        return run("pgrep", "-P", self._nspawn.pid).stdout.split()


@contextmanager
def disposable(base: Path, shared: Path) -> Iterator[Path]:
    """Give the base as a folder to change at will: changes go to memory, and are forgotten.

    It is for ``chroot_into``; its /srv is `shared`, read-only.
    """
    place = base.with_name(f"{base.name}-disposable")
    place.mkdir()
    try:
        run("mount", "-t", "tmpfs", "tmpfs", place, check=True)
        upper, work, root = (place / name for name in ("upper", "work", "root"))
        for folder in (upper, work, root):
            folder.mkdir()
        options = f"lowerdir={base},upperdir={upper},workdir={work}"
        run("mount", "-t", "overlay", "-o", options, "overlay", root, check=True)
        run("mount", "-t", "proc", "proc", root / "proc", check=True)
        run("mount", "--bind", "--read-only", shared, root / "srv", check=True)
        yield root
    finally:
        run("umount", "--recursive", place)
        with suppress(OSError):
            place.rmdir()


def chroot_into(root: Path, *command: object, **environment: str) -> Finished:
    """Run a command in a folder that is a Debian; no systemd runs there."""
    return run("chroot", root, "env", *command, env={"PATH": PATH, **environment})


def copy_checkout(folder: Path, version: str | None = None) -> Path:
    """Copy what an installation starts from, as of another version if that is given."""
    for name in ("deploy", "systemd", "configs", "docs", "edge_ssd"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / name, folder / name, ignore=ignored)
    for path in (*CHECKOUT.glob("*.md"), *map(CHECKOUT.joinpath, OTHERS)):
        shutil.copy(path, folder)
    if version:
        init = folder / "edge_ssd" / "__init__.py"
        line = f'__version__ = "{version}"'
        init.write_text(re.sub("(?m)^__version__ = .*", line, init.read_text()))
    return folder


def add_wheel(checkout: Path, others: Path) -> None:
    """Build a copy's own wheel into its folder `wheels`, beside those of others."""
    wheels = checkout / "wheels"
    shutil.copytree(
        others, wheels, copy_function=os.link, ignore=shutil.ignore_patterns("edge_ssd-*")
    )
    wheel = ("wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, checkout)
    run(sys.executable, "-m", "pip", *wheel, check=True)


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come to pass in {timeout_s:.0f} s"
        time.sleep(0.05)
