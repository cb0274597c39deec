"""A fake USB camera, and the source on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from support.fake_camera import FakeCamera, FakeVideoCapture

from edge_ssd.sources import usb
from edge_ssd.sources.usb import UsbCamera, UsbOptions


@pytest.fixture
def camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCamera]:
    fake = FakeCamera(tmp_path)
    monkeypatch.setattr(cv2, "VideoCapture", lambda path, api: FakeVideoCapture(fake, path, api))
    monkeypatch.setattr(usb, "BY_ID", fake.by_id)
    yield fake
    fake.driver.put(None)
    fake.throw_away()


@pytest.fixture
def source(camera: FakeCamera) -> Iterator[UsbCamera]:
    source = UsbCamera("door", UsbOptions(path=camera.node, width=None, height=None, fps=None))
    yield source
    camera.driver.put(None)
    source.close()
