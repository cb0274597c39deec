"""Images, folders and videos mixed on one command line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.privileges import without_root_rights
from support.recordings import make_video

from edge_ssd.errors import InputError
from edge_ssd.sources.base import EndOfStream, frames
from edge_ssd.sources.recorded import open_paths


def make_image(path: Path) -> Path:
    ok, data = cv2.imencode(path.suffix, np.zeros((48, 64, 3), np.uint8))
    assert ok
    path.write_bytes(bytes(data))
    return path


def names(paths: list[Path]) -> list[str]:
    return [Path(frame.path or "").name for frame in frames(open_paths(paths))]


def test_everything_comes_in_the_order_given_with_numbers_counting_up(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    make_image(folder / "10.png")
    make_video(folder / "9.avi", 2)
    last = make_image(tmp_path / "last.jpg")
    source = open_paths([make_video(tmp_path / "clip.avi", 3), folder, last], name="mixed")

    source.open()
    total = source.frame_count
    source.close()
    seen = list(frames(source))

    assert [Path(f.path or "").name for f in seen] == (
        ["clip.avi"] * 3 + ["9.avi"] * 2 + ["10.png", "last.jpg"]
    )
    assert [f.number for f in seen] == list(range(7))
    assert total == 7
    assert {f.source for f in seen} == {"mixed"}
    assert not source.live


@pytest.mark.parametrize("name", ["one.png", "one.avi"])
def test_a_single_file_works_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    make_image(path) if path.suffix == ".png" else make_video(path, 1)
    assert names([path]) == [name]


def test_broken_inputs_are_reported_once_and_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("broken.avi", "broken.jpg"):
        (tmp_path / name).write_text("no")
    paths = [
        tmp_path / "broken.avi",
        tmp_path / "broken.jpg",
        make_video(tmp_path / "good.avi", 2),
        make_image(tmp_path / "good.png"),
    ]
    source = open_paths(paths)

    seen = list(frames(source))

    assert [Path(f.path or "").name for f in seen] == ["good.avi", "good.avi", "good.png"]
    assert [f.number for f in seen] == [0, 1, 2]
    assert source.unreadable == 2
    assert source.frame_count == 3
    for name in ("broken.avi", "broken.jpg"):
        assert sum(name in line for line in caplog.messages) == 1


@pytest.mark.parametrize("broken", [["a.avi", "b.avi"], ["a.avi", "b.jpg"]])
def test_when_nothing_can_be_read_the_run_fails(tmp_path: Path, broken: list[str]) -> None:
    for name in broken:
        (tmp_path / name).write_text("no")
    source = open_paths([tmp_path / name for name in broken])
    with pytest.raises(InputError, match="none of the 2 files could be read"):
        list(frames(source))
    assert source.unreadable == 2


def test_an_unknown_kind_of_file_is_refused_with_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "photo.heic"
    path.write_text("")
    with pytest.raises(InputError, match=r"photo\.heic.*known are .*\.jpg.*\.mp4"):
        open_paths([path])


def test_missing_paths_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone does not exist"):
        open_paths([tmp_path / "gone"])
    with pytest.raises(InputError, match=r"has no files ending in .*\.avi.*\.bmp"):
        open_paths([tmp_path])
    with pytest.raises(InputError, match="no images or videos were given"):
        open_paths([])


def test_closing_early_and_reading_past_the_end_are_harmless(tmp_path: Path) -> None:
    source = open_paths([make_image(tmp_path / "a.png"), make_video(tmp_path / "b.avi", 2)])
    source.close()
    source.open()
    assert source.read(1) is not None
    assert source.read(1) is not None
    source.close()
    source.close()
    with pytest.raises(EndOfStream):
        source.read(1)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("secret/a.jpg", "Permission denied; let the user that runs this read it"),
        (f"{'a' * 300}.jpg", "File name too long; check the path"),
    ],
)
def test_what_may_not_be_looked_at_is_told(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir(mode=0)
    expected = rf"\.jpg: {reason}"
    with without_root_rights(), pytest.raises(InputError, match=expected):
        open_paths([tmp_path / name])
