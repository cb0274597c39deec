"""Opens the picamera2 source on a fake camera, reads its frames, and looks at them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ssd.pixels import interleaved
from edge_ssd.sources.picamera import PiCameraOptions, PiCameraSource
from edge_ssd.types import Frame, PixelFormat
from support.fake_picamera2 import BARS, Rig


def opened(**options: Any) -> Iterator[PiCameraSource]:
    source = PiCameraSource("door", PiCameraOptions(**options))
    source.open()
    yield source
    source.close()


def read(rig: Rig, source: PiCameraSource) -> Frame:
    rig.push()
    frame = source.read(timeout_s=0)
    assert frame is not None
    return frame


def rgb(frame: Frame) -> NDArray[np.uint8]:
    frame = interleaved(frame)
    return frame.image if frame.pixel_format is PixelFormat.RGB else frame.image[..., ::-1]


def assert_bars(frame: Frame) -> None:
    image = rgb(frame).astype(int)
    assert image.shape == (frame.height, frame.width, 3)
    centres = ((np.arange(len(BARS)) + 0.5) * frame.width / len(BARS)).astype(int)
    assert np.abs(image[:, centres] - np.array(BARS)).max() <= 3


def assert_nothing_is_held(rig: Rig) -> None:
    assert rig.camera is not None
    assert not rig.camera.is_open
    assert not rig.camera.jobs
    assert all(memory.closed for memory in rig.camera.memories)
    assert len(rig.camera.free) == len(rig.camera.memories)
