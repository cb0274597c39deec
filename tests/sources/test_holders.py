"""Who has a device open, on real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_ssd.sources.holders import holders


@contextmanager
def another_process_holding(path: Path) -> Iterator[str]:
    code = f"f = open({str(path)!r}); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield f"(pid {process.pid})"
        process.stdin.close()


def test_the_process_that_has_it_open_is_named_while_it_has(tmp_path: Path) -> None:
    device, other, link = tmp_path / "video0", tmp_path / "video1", tmp_path / "by-id"
    device.touch()
    other.touch()
    link.symlink_to(device)
    with device.open(), another_process_holding(device) as pid:
        for asked in (device, str(device), link, tmp_path / "video*"):
            (holder,) = holders(asked)  # and not this process
            assert holder.startswith("python")
            assert holder.endswith(pid)
        assert holders(other) == []
        assert holders(other, device) == holders(device)
    assert holders(device) == []
