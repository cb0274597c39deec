"""The real picamera2 on libcamera's virtual camera, inside a Debian 13 built for it.

What is checked stands in ``inside_checks.py``. No camera, no kernel module and no earlier
build is needed: root, mmdebstrap and a network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Debian 13 with picamera2 and this checkout; a gigabyte, so it is removed at the end."""
    if os.geteuid() != 0:
        pytest.skip("building a Debian needs root")
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap is not installed (apt install mmdebstrap)")
    root = tmp_path_factory.mktemp("trixie")
    try:
        built = subprocess.run(
            [HERE / "build_root.sh", root, CHECKOUT],
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-4000:]
        yield root
    finally:
        shutil.rmtree(root)


def test_the_source_works_on_the_real_picamera2(root: Path) -> None:
    # A mount namespace of its own, so that nothing stays mounted whatever happens.
    command = (
        'mount -t proc proc "$0/proc" && exec chroot "$0" env -C /edge-ssd '
        "LD_PRELOAD=/root/fake_dmabuf.so PYTHONPATH=tests EDGE_SSD_TESTS_STRICT=1 "
        "/root/venv/bin/python -m pytest -v --color=no tests/system/picamera2/inside_checks.py"
    )
    run = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command, root],
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
