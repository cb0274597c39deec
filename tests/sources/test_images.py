"""Still images: order, orientation, odd formats, broken files."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.privileges import without_root_rights

from edge_ssd.errors import InputError
from edge_ssd.sources.base import EndOfStream, frames
from edge_ssd.sources.images import ImageSource, read_image
from edge_ssd.types import PixelFormat


def encoded(image: NDArray[np.integer[Any]], extension: str) -> bytes:
    ok, data = cv2.imencode(extension, image)
    assert ok
    return bytes(data)


def plain(color_bgr: tuple[int, int, int] = (0, 0, 255), size: int = 32) -> NDArray[np.uint8]:
    return np.full((size, size * 2, 3), color_bgr, np.uint8)


def save(path: Path, color_bgr: tuple[int, int, int] = (0, 0, 255)) -> Path:
    path.write_bytes(encoded(plain(color_bgr), path.suffix.lower()))
    return path


def names(source: ImageSource) -> list[str]:
    return [Path(frame.path or "").name for frame in frames(source)]


def test_a_folder_is_read_in_natural_order_whatever_the_capitals(tmp_path: Path) -> None:
    for name in ("img10.png", "IMG2.PNG", "img1.jpg", "notes.txt", "._img1.jpg"):
        path = tmp_path / name
        path.write_text("") if path.suffix == ".txt" or name[0] == "." else save(path)
    (tmp_path / "img3.png").mkdir()

    assert names(ImageSource("s", [tmp_path])) == ["img1.jpg", "IMG2.PNG", "img10.png"]


def test_files_and_folders_keep_the_order_given(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    save(folder / "a.png")
    last, first = save(tmp_path / "a.png"), save(tmp_path / "z.png")

    assert names(ImageSource("s", [first, folder, last])) == ["z.png", "a.png", "a.png"]


def test_frames_say_where_they_come_from(tmp_path: Path) -> None:
    paths = [save(tmp_path / "red.png"), save(tmp_path / "blue.png", (255, 0, 0))]
    source = ImageSource("album", paths)
    red, blue = frames(source)

    assert not source.live
    assert source.frame_count == 2
    assert (red.number, blue.number) == (0, 1)
    assert (red.source, red.path) == ("album", str(paths[0]))
    assert red.pixel_format is PixelFormat.BGR
    assert red.image[0, 0].tolist() == [0, 0, 255]
    assert red.captured_ns <= blue.captured_ns
    assert red.captured_at.tzinfo is not None


def test_looping_starts_over_and_keeps_counting(tmp_path: Path) -> None:
    source = ImageSource("s", [save(tmp_path / "a.png"), save(tmp_path / "b.png")], loop=True)
    source.open()
    seen = [source.read(1) for _ in range(5)]

    assert [Path(f.path or "").stem for f in seen if f] == ["a", "b", "a", "b", "a"]
    assert [f.number for f in seen if f] == [0, 1, 2, 3, 4]
    assert source.frame_count is None


def test_the_end_stays_the_end(tmp_path: Path) -> None:
    source = ImageSource("s", [save(tmp_path / "a.png")])
    source.open()
    assert source.read(1) is not None
    for _ in range(2):
        with pytest.raises(EndOfStream):
            source.read(1)


EXIF_TURNED_RIGHT = (
    b"Exif\0\0" + b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
)


def test_exif_orientation_is_respected(tmp_path: Path) -> None:
    image = plain((255, 255, 255), size=64)
    image[:, :64] = 0  # left half black
    jpeg = encoded(image, ".jpg")
    segment = b"\xff\xe1" + struct.pack(">H", len(EXIF_TURNED_RIGHT) + 2) + EXIF_TURNED_RIGHT
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg[:2] + segment + jpeg[2:])

    upright = read_image(path)

    assert upright.shape == (128, 64, 3)
    assert upright[10].mean() < 10  # left became top
    assert upright[-10].mean() > 245


@pytest.mark.parametrize(
    "image",
    [
        np.full((9, 8), 200, np.uint8),
        np.full((9, 8, 4), 200, np.uint8),
        np.full((9, 8), 200 * 257, np.uint16),
        np.full((9, 8, 3), 200 * 257, np.uint16),
    ],
    ids=["grey", "transparent", "16-bit grey", "16-bit colour"],
)
def test_odd_images_become_plain_bgr(tmp_path: Path, image: NDArray[np.integer[Any]]) -> None:
    path = tmp_path / "odd.png"
    path.write_bytes(encoded(image, ".png"))
    decoded = read_image(path)
    assert decoded.shape == (9, 8, 3)
    assert decoded.dtype == np.uint8
    assert (decoded == 200).all()


NOISE = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
BROKEN = {
    "text.jpg": b"hello",
    "empty.jpg": b"",
    "truncated.jpg": encoded(NOISE, ".jpg")[:1000],
    "truncated.png": encoded(NOISE, ".png")[:-1000],
    "truncated.bmp": encoded(NOISE, ".bmp")[:1000],
    "huge.png": encoded(NOISE, ".png")[:16] + b"\x7f\xff\xff\xff" * 2 + b"IEND\xaeB`\x82",
}
OPENCV = tuple(int(part) for part in cv2.__version__.split(".")[:2])
NOISY_BEFORE_OPENCV_4_11 = {"truncated.bmp", "huge.png"}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_skipped_and_counted(
    tmp_path: Path,
    name: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    broken = tmp_path / name
    broken.write_bytes(BROKEN[name])
    source = ImageSource("s", [save(tmp_path / "a.png"), broken, save(tmp_path / "b.png")])

    seen = list(frames(source))

    assert [(Path(f.path or "").name, f.number) for f in seen] == [("a.png", 0), ("b.png", 1)]
    assert source.unreadable == 1
    assert source.frame_count == 2
    assert [str(broken) in line and "\n" not in line for line in caplog.messages] == [True]
    if OPENCV >= (4, 11) or name not in NOISY_BEFORE_OPENCV_4_11:
        assert capfd.readouterr() == ("", "")  # OpenCV adds nothing of its own


def test_a_broken_file_in_a_loop_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.png").write_text("no")
    save(tmp_path / "good.png")
    source = ImageSource("s", [tmp_path], loop=True)
    source.open()
    assert all(source.read(1) for _ in range(3))
    assert len(caplog.messages) == source.unreadable == 1


def test_a_file_without_permission_is_skipped_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = save(tmp_path / "secret.png")
    secret.chmod(0)
    readable = save(tmp_path / "a.png")
    with without_root_rights():
        assert names(ImageSource("s", [secret, readable])) == ["a.png"]
    assert "Permission denied" in caplog.text


@pytest.mark.parametrize("loop", [False, True])
def test_when_nothing_can_be_read_the_run_fails(tmp_path: Path, loop: bool) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text("no")
    with pytest.raises(InputError, match="none of the 2 files"):
        list(frames(ImageSource("s", [tmp_path], loop=loop)))


def test_an_empty_folder_names_itself_and_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{tmp_path}.*\.jpg.*\.png"):
        ImageSource("s", [tmp_path]).open()


def test_what_may_not_be_looked_at_is_told(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    save(secret / "a.png")
    secret.chmod(0)
    for path in (secret, secret / "a.png"):
        expected = rf"{path}: Permission denied; let the user that runs this read it"
        with without_root_rights(), pytest.raises(InputError, match=expected):
            ImageSource("s", [path]).open()
    secret.chmod(0o700)


def test_a_missing_path_fails_at_once(tmp_path: Path) -> None:
    source = ImageSource("s", [save(tmp_path / "a.png"), tmp_path / "gone.png"])
    with pytest.raises(InputError, match=r"gone\.png does not exist"):
        source.open()
