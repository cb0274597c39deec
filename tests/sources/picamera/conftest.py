"""A fake camera, and the source on it; tests/system/picamera2 has the real picamera2."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.fake_picamera2 import Rig
from support.reading import opened

from edge_ssd.sources.picamera import PiCameraSource


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    rig = Rig()
    rig.install(monkeypatch)
    return rig


@pytest.fixture
def source(rig: Rig) -> Iterator[PiCameraSource]:
    yield from opened()
