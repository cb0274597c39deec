"""Annotated videos: what a player finds in the file, and what is there when something fails."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ssd.commands.detect.annotated import AnnotatedVideo, frame_rate
from edge_ssd.errors import PublishError

Image = NDArray[np.uint8]


def scene(number: int, width: int = 320, height: int = 240) -> Image:
    """A red square on grey that moves to the right, 8 pixels a frame."""
    image = np.full((height, width, 3), 90, np.uint8)
    image[height // 4 : height // 2, 8 * number : 8 * number + width // 4] = (40, 40, 220)
    return image


def write(path: Path, images: list[Image], fps: float = 25.0) -> None:
    height, width = images[0].shape[:2]
    video = AnnotatedVideo(path, width, height, fps)
    for image in images:
        video.write(image)
    video.close()


def decoded(path: Path) -> list[Image]:
    capture = cv2.VideoCapture(str(path))
    images = []
    while (frame := capture.read())[0]:
        images.append(frame[1].astype(np.uint8))
    return images


@pytest.mark.parametrize("fps", [29.97, 7.5])
def test_a_player_finds_every_frame_at_the_rate_of_the_source(tmp_path: Path, fps: float) -> None:
    images = [scene(number) for number in range(12)]
    write(tmp_path / "a.mp4", images, fps)

    found = decoded(tmp_path / "a.mp4")
    assert len(found) == 12
    for image, original in zip(found, images, strict=True):
        assert image.shape == original.shape
        assert np.abs(image.astype(int) - original).mean() < 4
    assert frame_rate(tmp_path / "a.mp4") == pytest.approx(fps, rel=0.001)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_it_is_a_codec_that_browsers_play(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [scene(0)])
    data = (tmp_path / "a.mp4").read_bytes()
    assert data[4:8] == b"ftyp"
    assert b"avc1" in data or b"vp09" in data


@pytest.mark.parametrize(("width", "height"), [(480, 1), (2, 480), (161, 90)])
def test_odd_sizes_lose_nothing(tmp_path: Path, width: int, height: int) -> None:
    image = np.full((height, width, 3), 90, np.uint8)
    image[:, width // 2 :] = (200, 200, 200)
    write(tmp_path / "a.mp4", [image] * 3)

    found = decoded(tmp_path / "a.mp4")
    assert found[0].shape == (height + height % 2, width + width % 2, 3)
    columns = found[0].mean((0, 2))
    assert (columns[0], columns[-1]) == (pytest.approx(90, abs=8), pytest.approx(200, abs=8))


def test_a_frame_of_another_size_is_scaled(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [scene(0), scene(0, 640, 480), scene(0)])
    found = decoded(tmp_path / "a.mp4")
    assert len(found) == 3
    assert np.abs(found[1].astype(int) - scene(0)).mean() < 4


def test_until_it_is_closed_the_old_video_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    video = AnnotatedVideo(path, 320, 240, 25.0)
    video.write(scene(0))
    assert path.read_bytes() == b"old"
    video.close()
    assert len(decoded(path)) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["a.mp4"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "a.mp4"
    with pytest.raises(PublishError, match=f"^{path} cannot be written: No such file"):
        AnnotatedVideo(path, 320, 240, 25.0)


def test_without_an_encoder_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Mock(return_value=Mock(isOpened=lambda: False))
    monkeypatch.setattr(cv2, "VideoWriter", writer)
    with pytest.raises(PublishError, match=r"neither H\.264 nor VP9; install opencv-python-head"):
        AnnotatedVideo(tmp_path / "a.mp4", 320, 240, 25.0)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_an_error_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    video = AnnotatedVideo(tmp_path / "a.mp4", 320, 240, 25.0)
    with full_disk():
        for number in range(3):
            video.write(scene(number))
        with pytest.raises(PublishError, match=r"a\.mp4 cannot be written: frames are missing"):
            video.close()
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr().err == ""


def test_a_video_without_frames_is_not_left(tmp_path: Path) -> None:
    video = AnnotatedVideo(tmp_path / "a.mp4", 320, 240, 25.0)
    with pytest.raises(PublishError):
        video.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [None, b"no video"])
def test_the_rate_of_what_states_none_is_25(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    assert frame_rate(path) == 25.0


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow past some bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
