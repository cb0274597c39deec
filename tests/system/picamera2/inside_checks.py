"""Run inside the root that ``build_root.sh`` makes: the source, the real picamera2, and bars."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ssd import config
from edge_ssd.errors import ConfigError, DeviceError
from edge_ssd.pixels import interleaved
from edge_ssd.service import build
from edge_ssd.sources.picamera import PiCameraOptions, PiCameraSource
from edge_ssd.types import Frame, PixelFormat

sys.path.append(str(Path(__file__).parent))
import virtual_camera

virtual_camera.prepare()

FRAMES = 1000
REOPENED = 50
BARS = [
    (255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0),
    (255, 0, 255), (255, 0, 0), (0, 0, 255), (0, 0, 0),
]  # fmt: skip


@pytest.fixture
def source() -> Iterator[PiCameraSource]:
    source = PiCameraSource("virtual", PiCameraOptions())
    source.open()
    yield source
    source.close()


def read(source: PiCameraSource) -> Frame:
    frame = source.read(timeout_s=5)
    assert frame is not None
    return frame


def assert_bars(rgb: Any) -> None:
    """Every row shows the bars, upright, in order; the whole moves round by a column a frame."""
    bars, width = np.array(BARS), rgb.shape[1]
    differences = np.abs(rgb[0].astype(int)[:, None] - bars).sum(axis=2)
    nearest = differences.argmin(axis=1)
    edge = np.flatnonzero(np.diff(nearest))[0] + 1
    centres = (edge + (np.arange(len(bars)) + 0.5) * width / len(bars)).astype(int) % width
    in_order = np.roll(bars, -nearest[centres[0]], axis=0)
    assert np.abs(rgb[:, centres].astype(int) - in_order).max() <= 4


@pytest.mark.parametrize("asked", ["YUV420", "RGB888"])
def test_it_gives_nv12_whatever_is_asked_and_the_colours_are_right(asked: str) -> None:
    source = PiCameraSource("virtual", PiCameraOptions(lores_format=asked))
    source.open()
    for _ in range(20):
        frame = read(source)
        assert frame.pixel_format is PixelFormat.NV12
        assert frame.image.shape[0] == frame.height * 3 // 2
        assert_bars(interleaved(frame).image)
    source.close()


def test_the_capture_time_is_recent_and_rises(source: PiCameraSource) -> None:
    stamps = []
    for _ in range(20):
        frame = read(source)
        assert 0 <= time.monotonic_ns() - frame.captured_ns < 1e9
        stamps.append(frame.captured_ns)
    assert stamps == sorted(set(stamps))


def test_a_thousand_frames_go_through_the_whole_pipeline(tmp_path: Path) -> None:
    values = {
        "name": "virtual",
        "source": {"type": "picamera", "lores_format": "RGB888"},
        "publishers": [{"type": "jsonl", "path": str(tmp_path / "results.jsonl")}],
    }
    pipeline = build.pipeline(config.parse(values))
    pipeline.start()
    deadline = time.monotonic() + 120
    while pipeline.stats.snapshot().inferred < FRAMES:
        assert not pipeline.wait(0.1), "the pipeline ended"
        assert time.monotonic() < deadline
    pipeline.stop()
    stats = pipeline.stats.snapshot()
    assert stats.captured == stats.dropped + stats.inferred
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").open()]
    assert len(lines) == stats.inferred >= FRAMES
    numbers = [line["frame"] for line in lines]
    assert numbers == sorted(set(numbers))
    assert all(0 < line["age_ms"] < 2000 for line in lines)
    print(f"{stats.captured} captured, {stats.inferred} inferred, {stats.age_p50_ms:.1f} ms old")


def test_fifty_times_opened_and_closed_leak_neither_descriptor_nor_buffer() -> None:
    source = PiCameraSource("virtual", PiCameraOptions())
    for _ in range(3):  # what libraries keep from their first use
        cycle(source)
    gc.collect()
    before = descriptors(), mappings()
    for _ in range(REOPENED):
        cycle(source)
    gc.collect()
    after = descriptors(), mappings()
    print(f"descriptors and buffers before {before}, after {after}")
    assert after[0] <= before[0]
    assert after[1] <= before[1]


def test_a_busy_camera_is_refused_again_and_again_without_a_leak() -> None:
    source, other = (
        PiCameraSource("virtual", PiCameraOptions()),
        PiCameraSource("other", PiCameraOptions()),
    )
    cycle(source)
    gc.collect()
    before = descriptors()
    source.open()
    for _ in range(20):
        with pytest.raises(DeviceError, match=r"is busy or broken: .*resource busy"):
            other.open()
    assert_bars(interleaved(read(source)).image)
    source.close()
    gc.collect()
    assert descriptors() <= before


def test_a_starved_camera_times_out_closes_and_works_again(source: PiCameraSource) -> None:
    """Somebody holds all four buffers; nothing comes until they are given back."""
    held = [source._camera.capture_request(wait=5) for _ in range(4)]
    assert source.read(timeout_s=0.2) is None
    assert source.read(timeout_s=0.2) is None
    for request in held:
        request.release()
    assert_bars(interleaved(read(source)).image)
    held = [source._camera.capture_request(wait=5) for _ in range(4)]
    assert source.read(timeout_s=0.2) is None
    for request in held:
        request.release()
    source.close()
    source.open()
    assert_bars(interleaved(read(source)).image)


def test_what_the_camera_cannot_do_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match=r"source\.controls\.AfMode: this camera has no such"):
        PiCameraSource("virtual", PiCameraOptions(controls={"AfMode": 2})).open()
    with pytest.raises(DeviceError, match=r"no camera 'imx219'; found 0 = Virtual Video Device"):
        PiCameraSource("virtual", PiCameraOptions(camera="imx219")).open()


def cycle(source: PiCameraSource) -> None:
    source.open()
    read(source)
    source.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def mappings() -> int:
    """Mappings of buffers: memory files and devices."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    return sum("memfd:" in line or "/dev/" in line for line in maps)
