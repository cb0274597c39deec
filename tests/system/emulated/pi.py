"""Raspberry Pis without the board: Debian's Python for ARM, run by qemu's user mode.

Each is a virtual environment whose ``bin/python`` is a script: it starts qemu and passes its own
path on as the program's name, which Python takes for ``sys.executable``. So child processes and
pip are emulated as well, with no binfmt_misc, no chroot and nothing set in the environment. The
files, devices and sockets are this machine's, and so is every program but Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[3]
DEPLOY = CHECKOUT / "deploy"

DEBIAN, PYTHON = "bookworm", "python3.11"  # the last for which there is a tflite-runtime
# Bookworm's own qemu is too old: litert 2.2 and later end in a segmentation fault under it.
QEMU_DEBIAN, QEMU_PACKAGE = "trixie", "qemu-user"
LIBRARIES = (f"lib{PYTHON}-stdlib", "libstdc++6", "libgcc-s1", "zlib1g", "libatomic1")


@dataclass(frozen=True)
class Board:
    """A kind of Pi: its architecture, Debian's name, and how qemu plays it.

    packages: Debian's, that the installation takes; Python finds the modules in them.
    """

    architecture: str
    qemu: str
    cpu: str
    packages: tuple[str, ...] = ()


PI_5 = Board("arm64", "qemu-aarch64", "cortex-a76")
PI_2 = Board(
    "armhf", "qemu-arm", "cortex-a7",
    tuple((DEPLOY / "apt" / "armv7l.txt").read_text().split()),
)  # fmt: skip


def missing() -> str | None:
    """Return why no Pi can be emulated here; None where it can."""
    if os.geteuid() != 0:
        return "unpacking a Debian needs root"
    if shutil.which("mmdebstrap") is None:
        return "mmdebstrap is not installed (apt install mmdebstrap)"
    return None


def unpack(debian: str, folder: Path, packages: Sequence[str], *options: str) -> None:
    """Unpack packages of a Debian, with all they depend on, into a new folder; run nothing."""
    run(
        "mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(packages)}", *options,
        # None of it meets a network; one archive less is one less that may be out of step.
        '--setup-hook=sed -i /security/d "$1/etc/apt/sources.list"', debian, folder,
    )  # fmt: skip


def run(*command: object) -> None:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"


class EmulatedPi:
    """A Pi whose Debian is unpacked into a new folder; ``programs`` is the folder of qemu's."""

    def __init__(self, board: Board, root: Path, programs: Path) -> None:
        self._board, self._root = board, root
        self._qemu = programs / board.qemu
        packages = (PYTHON, *LIBRARIES, *board.packages)
        unpack(DEBIAN, root, packages, f"--architectures={board.architecture}")
        for folder in root.iterdir():
            if folder.name not in ("lib", "usr"):
                shutil.rmtree(folder)  # qemu prefers what is in here to the machine's own
        # Links that update-alternatives would have made; Debian's numpy needs them.
        for library in ("blas/libblas.so.3", "lapack/liblapack.so.3"):
            for found in root.glob(f"usr/lib/*/{library}"):
                (found.parents[1] / found.name).symlink_to(found)

    def environment(self, folder: Path) -> Environment:
        """Make a virtual environment with nothing in it in a new folder."""
        made, home = Environment(folder), self._root / "usr" / "bin"
        # Its processes are told by their name, which is that of the file: qemu's, by another name.
        emulator = folder / "emulator" / "python"
        for path in (made.python, made.packages / "any", emulator):
            path.parent.mkdir(parents=True)
        emulator.symlink_to(self._qemu)
        made.python.write_text(
            # Python's own modules come without bytecode, and qemu takes seconds to compile them.
            "#!/bin/sh\nunset PYTHONDONTWRITEBYTECODE\n"
            f"exec '{emulator}' -cpu {self._board.cpu} -L '{self._root}' -0 \"$0\" "
            f"'{home / PYTHON}' \"$@\"\n"
        )
        made.python.chmod(0o755)
        with_debians = "true" if self._board.packages else "false"
        (folder / "pyvenv.cfg").write_text(
            f"home = {home}\ninclude-system-site-packages = {with_debians}\n"
        )
        return made


class Environment:
    """A virtual environment; ``python`` runs it on this machine, ``packages`` holds what it has."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / "bin" / "python"
        self.packages = folder / "lib" / PYTHON / "site-packages"

    def pip(self, *arguments: object) -> None:
        """Run this machine's pip on the Pi, so that it chooses as it would there."""
        run(
            sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python,
            *arguments,
        )  # fmt: skip

    def unpack_pinned(self, target: str, wheels: Path) -> None:
        """Add the wheels that install.sh takes on a target (deploy/constraints), and pytest.

        wheels: a new folder to keep them in.
        """
        run(sys.executable, DEPLOY / "constraints" / "pins.py", "download", target, wheels)
        # It is Python alone, so that any machine's pip may choose.
        run(sys.executable, "-m", "pip", "download", "--quiet", "--dest", wheels, "pytest")
        for wheel in wheels.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(self.packages)
