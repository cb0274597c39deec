"""A fake USB camera, since no machine of ours has a real one.

``FakeVideoCapture`` stands for OpenCV's: like it, it grants sizes of its own choice, blocks in
``grab`` until a frame comes, and returns False when the camera is gone. The device nodes are real:
pseudo-terminals.
"""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ssd.sources.usb import UsbCamera
from edge_ssd.types import Frame

WIDTH, HEIGHT = 64, 48
BGR = np.full((HEIGHT, WIDTH, 3), (30, 200, 90), np.uint8)


class FakeCamera:
    """The hardware: a node under by-id, frames in its driver, and what it can do."""

    def __init__(self, folder: Path) -> None:
        self.by_id = folder / "by-id"
        self.by_id.mkdir()
        self.node = self.by_id / "usb-Acme_Cam_1234-video-index0"
        self._terminal, slave = os.openpty()
        self.device = Path(os.ttyname(slave))
        os.close(slave)
        self.given: dict[int, float] = {
            cv2.CAP_PROP_FRAME_WIDTH: WIDTH,
            cv2.CAP_PROP_FRAME_HEIGHT: HEIGHT,
            cv2.CAP_PROP_FPS: 30,
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"YUYV"),
        }
        self.refuses_to_open = False
        self.captures: list[FakeVideoCapture] = []
        self.driver: queue.Queue[NDArray[Any] | None] = queue.Queue()
        self.all_taken = threading.Event()
        self.plug_in()

    def plug_in(self) -> None:
        self.driver = queue.Queue()
        self.node.symlink_to(self.device)

    def unplug(self) -> None:
        self.node.unlink()
        self.driver.put(None)

    def send(self, *images: NDArray[Any]) -> None:
        for image in images:
            self.driver.put(image)

    def throw_away(self) -> None:
        os.close(self._terminal)


class FakeVideoCapture:
    """``cv2.VideoCapture`` on a FakeCamera."""

    def __init__(self, camera: FakeCamera, path: str, api: int) -> None:
        assert api == cv2.CAP_V4L2
        self.camera, self.path = camera, path
        self.asked: dict[int, float] = {}
        self.owner = threading.get_ident()
        self.open = not camera.refuses_to_open
        self.waiting = threading.Event()
        self._picture: NDArray[Any] | None = None
        camera.captures.append(self)

    def isOpened(self) -> bool:  # noqa: N802
        return self.open

    def set(self, option: int, value: float) -> bool:
        self.asked[option] = value
        return True

    def get(self, option: int) -> float:
        return self.camera.given[option]

    def grab(self) -> bool:
        assert threading.get_ident() == self.owner
        self.waiting.set()
        self._picture = self.camera.driver.get()
        self.waiting.clear()
        return self._picture is not None

    def retrieve(self) -> tuple[bool, NDArray[Any] | None]:
        return True, self._picture

    def release(self) -> None:
        assert threading.get_ident() == self.owner
        self.open = False


def read(source: UsbCamera) -> Frame:
    frame = source.read(10)
    assert frame is not None
    return frame
