"""A fake machine for the doctor: a root folder of its own, and what programs answer there."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_ssd.checks import System

UNIT = {
    "Id": "edge-ssd.service", "LoadState": "loaded", "ActiveState": "active",
    "SubState": "running", "UnitFileState": "enabled", "Result": "success",
    "ExecMainCode": "1", "ExecMainStatus": "0", "NRestarts": "0", "User": "edge-ssd",
    "SupplementaryGroups": "video render plugdev",
}  # fmt: skip
GROUPS = "root:x:0:\nvideo:x:44:\nrender:x:105:\nplugdev:x:46:\n"


class FakeMachine:
    """A Pi 5 as root sees it; ``write`` and ``answers`` change it.

    answers: what a program prints, by its name.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.answers: dict[str, str] = {}
        self.write("/etc/group", GROUPS)
        self.changes: dict[str, Any] = {}

    def write(self, path: str, text: object = "") -> Path:
        file = self.root / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n" if text else "")
        return file

    def unit(self, **changes: str) -> None:
        """Run systemd, with the service's unit."""
        (self.root / "run/systemd/system").mkdir(parents=True, exist_ok=True)
        lines = [f"{name}={value}" for name, value in (UNIT | changes).items()]
        self.answers["systemctl"] = "\n".join(lines) + "\n"

    def stick(self, usb_id: str = "18d1:9302", speed: int = 5000) -> Path:
        """Plug an Edge TPU in; return its device file."""
        vendor, product = usb_id.split(":")
        for name, value in {
            "idVendor": vendor, "idProduct": product, "busnum": 2, "devnum": 3, "speed": speed,
            "bMaxPower": "896mA",
        }.items():  # fmt: skip
            self.write(f"/sys/bus/usb/devices/2-1/{name}", value)
        return self.write("/dev/bus/usb/002/003")

    def system(self) -> System:
        plain = System(
            root=self.root,
            machine="aarch64",
            python=(3, 11),
            uid=0,
            groups=frozenset(),
            vcgencmd=None,
            run=lambda program, *_, **__: self.answers.get(program),
            free_bytes=lambda _: 10**10,
            synchronised=lambda: True,
        )
        return dataclasses.replace(plain, **self.changes)


@contextmanager
def held(path: Path, name: str = "") -> Iterator[str]:
    """Another process has the file open; yields ``(pid N)``. name: what it calls itself."""
    rename = f"open('/proc/self/comm', 'w').write({name!r});" if name else ""
    code = f"f = open({str(path)!r}); {rename} print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield f"(pid {process.pid})"
        process.stdin.close()
