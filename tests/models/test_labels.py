"""Label files as users have them, and lists that do not fit the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_ssd.errors import ModelError
from edge_ssd.models import labels


def read(folder: Path, content: bytes) -> list[str]:
    path = folder / "labels.txt"
    path.write_bytes(content)
    return labels.read(path)


@pytest.mark.parametrize(
    "content",
    [
        b"cat\ndog",
        b"cat\ndog\n",
        b"cat\r\ndog\r\n",
        b"\xef\xbb\xbfcat\ndog\n",
        b"  cat\t\ndog  \n\n \n",
        b"cat\rdog\r",
    ],
    ids=["plain", "newline at the end", "Windows", "byte order mark", "blanks", "old Mac"],
)
def test_one_name_a_line(content: bytes, tmp_path: Path) -> None:
    assert read(tmp_path, content) == ["cat", "dog"]


def test_names_in_any_language_and_with_blanks(tmp_path: Path) -> None:
    assert read(tmp_path, "traffic light\nKüche\n猫\n".encode()) == ["traffic light", "Küche", "猫"]


def test_an_empty_line_between_is_a_class_without_a_name(tmp_path: Path) -> None:
    """It must not move the names behind it."""
    assert labels.fit(read(tmp_path, b"cat\n\ndog\n"), 3, "it") == ("cat", None, "dog")


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
def test_an_empty_file(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"labels .*labels\.txt is empty; give a text file"):
        read(tmp_path, content)


@pytest.mark.parametrize("content", [b"caf\xe9\n", "cat\n".encode("utf-16")])
def test_a_file_in_another_encoding(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"labels\.txt cannot be read: it is not UTF-8 text"):
        read(tmp_path, content)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read: No such file or directory"):
        labels.read(tmp_path / "no.txt")
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        labels.read(tmp_path)


@pytest.mark.parametrize("first", ["???", "background", "BACKGROUND", "__background__", ""])
def test_a_line_for_the_background_is_dropped(first: str) -> None:
    """Labels are off by one where it is not."""
    assert labels.fit([first, "cat", "dog"], 2, "it") == ("cat", "dog")


def test_ids_that_are_not_used_have_no_name() -> None:
    lines = ["cat", "n/a", "N/A", "???", None, "unused", "dog"]
    assert labels.fit(lines, 7, "it") == ("cat", None, None, None, None, None, "dog")


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_wrong_count_is_refused_with_both(count: int) -> None:
    """Four lines, too, unless the first stands for the background."""
    lines = [f"name {index}" for index in range(count)]
    with pytest.raises(ModelError, match=f"mine.txt has {count} labels and the model 3 classes"):
        labels.fit(lines, 3, "mine.txt")
    with pytest.raises(ModelError, match="it has 4 labels and the model 3 classes"):
        labels.fit(["cat", "dog", "cow", "hen"], 3, "it")


@pytest.mark.parametrize("name", ["coco_labels.txt", "labelmap_91_lines.txt"])
def test_the_published_lists_name_the_same_90_classes(name: str, shared: Path) -> None:
    """One has a line for the background, one has not: ids must not move."""
    names = labels.fit(labels.read(shared / "models" / name), 90, name)
    assert (len(names), names[0], names[16], names[89]) == (90, "person", "cat", "toothbrush")
    # 12 is "street sign", which no picture was labelled with.
    assert (names[10], names[11], names[12]) == ("fire hydrant", None, "stop sign")


def test_the_list_of_91_lines_does_not_fit_91_other_classes(shared: Path) -> None:
    lines = labels.read(shared / "models" / "labelmap_91_lines.txt")
    with pytest.raises(ModelError, match="it has 91 labels and the model 89 classes"):
        labels.fit(lines, 89, "it")
    with pytest.raises(ModelError, match="it has 90 labels and the model 89 classes"):
        labels.fit(lines[1:], 89, "it")
