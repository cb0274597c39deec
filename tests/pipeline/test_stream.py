"""``edge_ssd.stream``: what a program gets from files and cameras, and what ends with its loop."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.mjpeg_server import MjpegCamera
from support.pipelines import GatedDetector, small_spec
from support.recordings import make_video
from support.waiting import wait_for

import edge_ssd
from edge_ssd import Detector
from edge_ssd.errors import ConfigError, DeviceError, InputError
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.models import golden

RECORDED: dict[str, Any] = {"type": "synthetic", "live": False, "fps": None}
THREADS = {"capture", "inference", "postprocess", "stream"}


@pytest.fixture
def detector(tmp_path: Path) -> Detector:
    return Detector.from_backend(CpuBackend(small_spec(tmp_path)))


def running() -> set[str]:
    return THREADS & {thread.name for thread in threading.enumerate()}


def test_the_bundled_model_finds_what_is_in_an_image() -> None:
    (result,) = edge_ssd.stream(golden.PHOTO)
    assert result.frame.path == str(golden.PHOTO)
    assert {found.label for found in result.detections} == {"cup"}


def test_every_frame_of_a_video_comes_in_order(tmp_path: Path, detector: Detector) -> None:
    path = make_video(tmp_path / "clip.avi", 30)
    for source in (path, str(path), {"type": "video", "path": str(path)}):
        numbers = [result.frame.number for result in edge_ssd.stream(source, detector)]
        assert numbers == list(range(30))
    assert not running()


def test_a_folder_gives_its_images_and_videos(tmp_path: Path, detector: Detector) -> None:
    folder = tmp_path / "recorded"
    folder.mkdir()
    make_video(folder / "2.avi", 2)
    for name in ("1.png", "10.png"):
        cv2.imwrite(str(folder / name), np.zeros((48, 64, 3), np.uint8))
    seen = [Path(result.frame.path or "").name for result in edge_ssd.stream(folder, detector)]
    assert seen == ["1.png", "2.avi", "2.avi", "10.png"]


def test_a_slow_program_misses_nothing_of_a_recording(tmp_path: Path) -> None:
    gated = GatedDetector(small_spec(tmp_path))
    results = edge_ssd.stream(RECORDED | {"frame_limit": 50}, Detector.from_backend(gated))
    gated.permits.release(50)
    first = next(results).frame.number
    for _ in range(9):  # what the queues hold, before anybody takes the second result
        assert gated.entered.acquire(timeout=60)
    assert [first, *(result.frame.number for result in results)] == list(range(50))


def test_a_slow_program_gets_the_newest_frames_of_a_camera(detector: Detector) -> None:
    source = {"type": "synthetic", "fps": 1000, "frame_limit": 100}
    results = edge_ssd.stream(source, detector)
    next(results)
    wait_for(lambda: not running())  # the camera has ended, and delivered to nobody
    rest = [result.frame.number for result in results]
    assert 0 < len(rest) <= 4
    assert rest == sorted(rest)
    assert rest[-1] == 99


def test_leaving_the_loop_stops_the_threads(detector: Detector) -> None:
    results = edge_ssd.stream(RECORDED, detector)
    next(results)
    assert running() == THREADS
    results.close()  # type: ignore[attr-defined] - what leaving a for loop does
    assert not running()


def test_a_camera_is_named_by_its_address(detector: Detector) -> None:
    camera = MjpegCamera()
    camera.start()
    results = edge_ssd.stream(camera.url, detector)
    assert next(results).frame.width
    results.close()  # type: ignore[attr-defined]
    camera.stop()
    assert not running()


@pytest.mark.parametrize(
    ("source", "error", "says"),
    [
        ("gone.mp4", InputError, "gone.mp4 does not exist; check"),
        ({"type": "video", "path": "gone.mp4"}, ConfigError, "source.path: gone.mp4 does not"),
        ({"type": "usb", "pth": "a"}, ConfigError, "source.pth: unknown option; did you mean"),
        ("rtmp://camera/stream", ConfigError, "source.type: must be one of video, images"),
        ("http://camera:port/", ConfigError, "source.url: must be such as http://camera.local"),
    ],
)
def test_what_is_wrong_with_the_source_is_raised_at_once(
    source: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as caught:
        edge_ssd.stream(source)
    assert str(caught.value).startswith(says)
    assert not running()


def test_an_error_on_the_way_ends_the_loop(detector: Detector) -> None:
    fault = {"kind": "error", "at_frame": 5}
    results = edge_ssd.stream(RECORDED | {"faults": [fault]}, detector)
    with pytest.raises(DeviceError, match="the camera failed at frame 5"):
        list(results)
    assert not running()
