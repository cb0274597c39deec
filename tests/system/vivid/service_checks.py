"""Run inside the machine that ``build_machine.sh`` makes: the whole service on vivid.

Its network is small: emulated, a frame of the bundled one takes longer than a stop may.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import camera
from camera import NODE
from support.command import command, environment
from support.config_file import File


class Service:
    """``edge-ssd run`` on vivid."""

    def __init__(self, folder: Path) -> None:
        self.config = File(folder)
        self.config.write(source={"type": "usb", "path": str(NODE), "fps": 10, "fourcc": "YUYV"})
        self._log = folder / "log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                command(["run", "--config", self.config.path]), stderr=log, env=environment()
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def frames(self) -> list[int]:
        return self.config.frames("a.jsonl")

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            threading.Event().wait(0.05)

    def wait_for_frames(self) -> None:
        """Wait for ten more."""
        wanted = len(self.frames) + 10
        self.wait_for(lambda: len(self.frames) >= wanted)


def test_it_survives_the_plug_a_stall_and_a_broken_stream(tmp_path: Path) -> None:
    camera.plug_in()
    service = Service(tmp_path)
    service.wait_for_frames()

    camera.unplug()
    service.wait_for(lambda: "door: /dev/video0 was unplugged" in service.log)
    camera.plug_in()
    service.wait_for_frames()

    camera.freeze()
    service.wait_for(lambda: "door: /dev/video0 gave no image for 3" in service.log)
    camera.thaw()
    service.wait_for_frames()

    camera.break_stream()
    service.wait_for(lambda: service.log.count("; retrying") == 3)
    service.wait_for_frames()

    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(10) == 0, service.log
    assert service.log.count("was unplugged") == 1
    assert service.log.count("works again after") == 3
    assert len(service.log.splitlines()) == 6
    assert service.frames == sorted(set(service.frames))
    lines = service.config.lines("a.jsonl")
    assert {(line["width"], line["height"]) for line in lines} == {(640, 480)}
    print(service.log, f"{len(lines)} frames")
