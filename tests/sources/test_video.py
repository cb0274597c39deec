"""Recorded videos, made here with OpenCV."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_ssd.errors import InputError
from edge_ssd.sources.base import EndOfStream, frames
from edge_ssd.sources.video import VideoOptions, VideoSource

WIDTH, HEIGHT, FRAMES = 96, 64, 30


def make_video(path: Path, count: int = FRAMES, codec: str = "mp4v") -> Path:
    """Each frame is brighter than the one before; the top left corner is always white."""
    fourcc = cv2.VideoWriter.fourcc(*codec)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, 10, (WIDTH, HEIGHT))
    if not writer.isOpened():
        pytest.skip(f"this OpenCV cannot write {codec} videos")
    for number in range(count):
        image = np.full((HEIGHT, WIDTH, 3), number * 7, np.uint8)
        image[:16, :16] = 255
        writer.write(image)
    writer.release()
    return path


def source_of(path: Path, loop: bool = False) -> VideoSource:
    return VideoSource("door", VideoOptions(path=path, loop=loop))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.mp4")


def test_every_frame_comes_once_and_in_order(clip: Path) -> None:
    source = source_of(clip)
    seen = list(frames(source))

    assert not source.live
    assert [frame.number for frame in seen] == list(range(FRAMES))
    brightness = [frame.image[40:, 40:].mean() for frame in seen]
    assert np.abs(np.array(brightness) - np.arange(FRAMES) * 7).max() < 5
    assert {(frame.width, frame.height) for frame in seen} == {(WIDTH, HEIGHT)}
    assert {(frame.source, frame.path) for frame in seen} == {("door", str(clip))}
    times = [frame.captured_ns for frame in seen]
    assert times == sorted(times)


def test_frames_are_not_overwritten_by_later_ones(clip: Path) -> None:
    source = source_of(clip)
    source.open()
    first = source.read(1)
    assert first is not None
    before = first.image.copy()
    source.read(1)
    assert np.array_equal(first.image, before)
    source.close()


def test_the_length_is_known_while_open(clip: Path) -> None:
    source = source_of(clip)
    assert source.frame_count is None
    source.open()
    assert source.frame_count == FRAMES
    source.close()
    source.close()


def test_looping_starts_over_and_keeps_counting(clip: Path) -> None:
    source = source_of(clip, loop=True)
    source.open()
    seen = [source.read(1) for _ in range(2 * FRAMES + 1)]
    source.close()
    assert [f.number for f in seen if f] == list(range(2 * FRAMES + 1))
    assert np.array_equal(seen[0].image, seen[-1].image)  # type: ignore[union-attr]


def test_the_end_stays_the_end(clip: Path) -> None:
    source = source_of(clip)
    source.open()
    for _ in range(FRAMES):
        assert source.read(1) is not None
    for _ in range(2):
        with pytest.raises(EndOfStream):
            source.read(1)
    source.close()


def test_a_name_that_looks_like_an_address_is_still_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_video(tmp_path / "clip.mp4").rename(tmp_path / "12:30 %03d.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(list(frames(source_of(Path("12:30 %03d.mp4"))))) == FRAMES


def test_a_video_marked_as_turned_comes_upright(clip: Path) -> None:
    if cv2.__version__.startswith("4.6."):
        pytest.skip("OpenCV 4.6 turns videos the wrong way (opencv/opencv#22088)")
    data = bytearray(clip.read_bytes())
    matrix = data.index(b"tkhd") + 44  # in the MP4 track header
    quarter_turn = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    data[matrix : matrix + 36] = quarter_turn
    clip.write_bytes(data)

    frame = next(frames(source_of(clip)))

    assert (frame.width, frame.height) == (HEIGHT, WIDTH)
    assert frame.image[:10, -10:].mean() > 200  # the white corner went from left to right


@pytest.mark.parametrize("content", [b"", b"hello " * 100], ids=["empty", "text"])
def test_what_is_no_video_is_refused_quietly(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"notes\.mp4: no frame could be decoded; check"):
        source_of(path).open()
    assert capfd.readouterr() == ("", "")


def test_a_video_without_its_index_is_refused(clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[:1000])
    with pytest.raises(InputError, match="no frame could be decoded"):
        source_of(clip).open()


@pytest.mark.parametrize(("name", "problem"), [("gone.mp4", "does not exist"), ("", "is a folder")])
def test_a_missing_file_or_a_folder_is_named(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        source_of(tmp_path / name).open()


def test_a_video_that_breaks_off_ends_there_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make_video(tmp_path / "clip.avi", codec="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = source_of(path, loop=True)
    source.open()
    seen = [source.read(1) for _ in range(2 * FRAMES)]
    source.close()

    assert all(seen)
    assert len(caplog.messages) == 1
    assert "clip.avi: the video breaks off after" in caplog.text
    assert capfd.readouterr() == ("", "")


def test_a_whole_video_gives_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path, codec in ((tmp_path / "a.avi", "MJPG"), (tmp_path / "a.mkv", "mp4v")):
        assert len(list(frames(source_of(make_video(path, codec=codec))))) == FRAMES
    assert not caplog.messages
