"""Who has a device open, on real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.machines import held

from edge_ssd.holders import holders


@contextmanager
def in_a_namespace_of_its_own(script: str, wait: str = "echo held && read _") -> Iterator[int]:
    """A process with mounts of its own, as in a container; yields its id.

    wait: says "held", and ends with its standard input.
    """
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-rm"]
    with subprocess.Popen(
        [*unshare, "sh", "-c", f"{script} && {wait}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        if process.stdout.readline() != "held\n":
            pytest.skip("no mount namespace can be made here")
        yield process.pid
        process.stdin.close()


def test_the_process_that_has_it_open_is_named_while_it_has(tmp_path: Path) -> None:
    device, other, link = tmp_path / "video0", tmp_path / "video1", tmp_path / "by-id"
    device.touch()
    other.touch()
    link.symlink_to(device)
    with device.open(), held(device) as pid:
        for asked in (device, str(device), link, tmp_path / "video*"):
            (holder,) = holders(asked)  # and not this process
            assert holder.startswith("python")
            assert holder.endswith(pid)
        assert holders(other) == []
        assert holders(other, device) == holders(device)
    assert holders(device) == []


def test_a_device_is_known_by_its_number_whatever_its_name(tmp_path: Path) -> None:
    """As `docker run --device /dev/full:/dev/video0` shows a device under another name."""
    shown = tmp_path / "video0"
    shown.touch()
    with in_a_namespace_of_its_own(f"mount --bind /dev/full {shown} && exec 3>{shown}") as pid:
        assert Path(f"/proc/{pid}/fd/3").readlink() == shown
        assert any(holder.endswith(f"(pid {pid})") for holder in holders("/dev/full"))
        assert holders(shown) == []


def test_another_terminal_of_the_same_number_is_none() -> None:
    """Every container begins anew with /dev/pts/0."""
    mine, its = os.openpty()
    name = os.ttyname(its)
    opened = f"import os; [os.openpty() for _ in range({Path(name).name} + 1)]"
    code = f"{opened}; print('held', flush=True); input()"
    devpts = "mount -t devpts -o newinstance,ptmxmode=666 devpts /dev/pts"
    with in_a_namespace_of_its_own(devpts, f'exec {sys.executable} -c "{code}"') as pid:
        links = [entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir()]
        assert Path(name) in links
        assert holders(name) == []
        with held(Path(name)) as other:
            assert [holder.partition(" ")[2] for holder in holders(name)] == [other]
            os.write(mine, b"\n")
    os.close(mine)
    os.close(its)


def test_another_file_of_the_same_name_is_none(tmp_path: Path) -> None:
    device, ours = tmp_path / "video0", tmp_path / "ours"
    device.touch()
    ours.touch()
    with in_a_namespace_of_its_own(f"mount --bind {ours} {device} && exec 3<{device}") as pid:
        assert Path(f"/proc/{pid}/fd/3").readlink() == device
        assert holders(device) == []
        assert holders(ours)[0].endswith(f"(pid {pid})")
