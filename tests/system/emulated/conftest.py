"""What the emulated Pis are built from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from system.emulated import pi


@pytest.fixture(scope="session")
def emulation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for them; they take gigabytes, so it is removed at the end."""
    reason = pi.missing()
    if reason:
        pytest.skip(f"no emulated Pi: {reason}")
    folder = tmp_path_factory.mktemp("emulation")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def qemu(emulation: Path) -> Path:
    """The folder of qemu's programs; nothing else of their Debian is needed."""
    pi.unpack(pi.QEMU_DEBIAN, emulation / "qemu", [pi.QEMU_PACKAGE])
    return emulation / "qemu" / "usr" / "bin"
