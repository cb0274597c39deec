"""UsbCamera and the service on vivid, the kernel's fake camera, inside an emulated machine.

What is checked stands in ``source_checks.py`` and ``service_checks.py``. The machine is
emulated in software, since few machines that run tests let another be virtual in them.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]
QEMU = "qemu-system-x86_64"

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def kernel_and_debian(memory: Path) -> Iterator[Path]:
    """A folder with vmlinuz and initramfs; most of a gigabyte, so it is removed at the end."""
    if platform.machine() != "x86_64":
        pytest.skip("the machine is x86-64, and built with this one's packages")
    if shutil.which(QEMU) is None:
        pytest.skip(f"{QEMU} is not installed (apt install qemu-system-x86)")
    folder = memory / "vivid"
    folder.mkdir()
    try:
        built = subprocess.run(
            [HERE / "build_machine.sh", folder, CHECKOUT],
            capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
        assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-4000:]
        yield folder
    finally:
        shutil.rmtree(folder)


def test_the_source_and_the_service_work_on_a_v4l2_camera(
    kernel_and_debian: Path, tmp_path: Path
) -> None:
    kernel_log = tmp_path / "console"
    run = subprocess.run(
        [QEMU, "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "2G",
         "-kernel", kernel_and_debian / "vmlinuz", "-initrd", kernel_and_debian / "initramfs",
         # ramfs: the other kind, tmpfs, takes half of the memory at most.
         "-append", "console=ttyS0 panic=-1 rootfstype=ramfs",
         "-nodefaults", "-display", "none", "-no-reboot",
         "-serial", f"file:{kernel_log}", "-serial", "stdio"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, timeout=400,
    )  # fmt: skip
    print(run.stdout)
    assert "all checks passed" in run.stdout.splitlines()[-1:], kernel_log.read_text()[-3000:]
