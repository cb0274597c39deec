"""Files that are replaced whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_ssd.files import check_folder, is_file, make_folder, remedy, replacing


@pytest.fixture(autouse=True)
def private_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.tflite"
    path.write_text("old")
    return path


def test_the_new_file_takes_the_old_ones_place_with_the_given_mode(file: Path):
    with replacing(file, 0o640) as part:
        part.write_text("new")
        assert (file.read_text(), part.parent, part.suffix) == ("old", file.parent, ".tflite")

    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o640)
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_old_file_alone(file: Path, error: type[BaseException]):
    with pytest.raises(error), replacing(file) as part:
        part.write_text("half")
        raise error

    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]


def test_a_place_that_cannot_be_written_raises_and_leaves_nothing(tmp_path: Path):
    (tmp_path / "taken").mkdir()

    with pytest.raises(OSError, match="directory"), replacing(tmp_path / "taken") as part:
        part.write_text("new")

    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]


def test_folders_can_be_read_by_everybody(tmp_path: Path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")

    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a" / "b")] == [
        0o755, 0o755,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["absent", "n" * 300, "file/below"])
def test_what_cannot_be_looked_at_is_no_file(tmp_path: Path, name: str):
    (tmp_path / "file").write_text("")

    assert not is_file(tmp_path / name)
    assert is_file(tmp_path / "file")


def test_a_folder_is_made_and_left_empty_or_refused(tmp_path: Path):
    check_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []

    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"directory|exists"):
        check_folder(tmp_path / "file" / "below")


@pytest.mark.parametrize("path", ["/home/pi/x.tflite", "/root/x.tflite", "/run/user/1000/x"])
def test_what_services_never_see_should_be_moved(path: str):
    says = "put the file below /etc/edge-ssd or /usr/local/share"
    assert remedy(Path(path), PermissionError()).endswith(says)
    assert says not in remedy(Path("/srv" + path), PermissionError())
    assert remedy(Path(path), FileNotFoundError()) == "check the path"
