"""JSON Lines on real files: whole lines, rotation, full disks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.privileges import without_root_rights

from edge_ssd.errors import PublishError
from edge_ssd.publishers.jsonl import JsonLinesOptions, JsonLinesPublisher
from edge_ssd.types import Detections, Frame, FrameResult, PixelFormat, Timing


def result(number: int) -> FrameResult:
    image = np.zeros((4, 4, 3), np.uint8)
    when = datetime(2026, 11, 22, tzinfo=timezone.utc)
    return FrameResult(
        Frame(image, PixelFormat.BGR, "cam", number, 0, when),
        Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32)),
        model="m",
        timing=Timing(1, 2, 3),
        finished_ns=1,
    )


@contextmanager
def publisher(
    path: Path, max_bytes: int = 10_000_000, backups: int = 2
) -> Iterator[JsonLinesPublisher]:
    options = {"path": path, "max_bytes": max_bytes, "backups": backups}
    opened = JsonLinesOptions.model_construct(**options).make()
    opened.open()
    try:
        yield opened
    finally:
        opened.close()


def write(path: Path, number: int) -> None:
    """Open, publish one result, close."""
    with publisher(path) as sink:
        sink.publish(result(number))


def numbers(path: Path) -> list[int]:
    """The frame numbers in a file in which every line must be whole."""
    text = path.read_text("utf-8")
    assert not text or text.endswith("\n")
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    return [line["frame"] for line in lines]


@pytest.fixture
def line_bytes(tmp_path: Path) -> int:
    path = tmp_path / "measure"
    write(path, 0)
    return path.stat().st_size


def test_each_line_can_be_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with publisher(path) as sink:
        for number in range(3):
            sink.publish(result(number))
            assert numbers(path) == list(range(number + 1))


def test_opening_again_appends(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    for number in range(2):
        write(path, number)
    assert numbers(path) == [0, 1]


def test_rotation_keeps_the_newest_files(tmp_path: Path, line_bytes: int) -> None:
    path = tmp_path / "out.jsonl"
    with publisher(path, max_bytes=2 * line_bytes, backups=2) as sink:
        for number in range(9):
            sink.publish(result(number))
            assert path.stat().st_size <= 2 * line_bytes
    assert numbers(path) == [8]
    assert numbers(tmp_path / "out.jsonl.1") == [6, 7]
    assert numbers(tmp_path / "out.jsonl.2") == [4, 5]
    assert sorted(p.name for p in tmp_path.glob("out*")) == [
        "out.jsonl",
        "out.jsonl.1",
        "out.jsonl.2",
    ]


def test_without_backups_the_file_starts_over(tmp_path: Path, line_bytes: int) -> None:
    path = tmp_path / "out.jsonl"
    with publisher(path, max_bytes=2 * line_bytes, backups=0) as sink:
        for number in range(3):
            sink.publish(result(number))
    assert numbers(path) == [2]
    assert not list(tmp_path.glob("out.jsonl.*"))


def test_a_line_longer_than_the_limit_is_still_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with publisher(path, max_bytes=10, backups=1) as sink:
        for number in range(2):
            sink.publish(result(number))
    assert numbers(path) == [1]
    assert numbers(tmp_path / "out.jsonl.1") == [0]


@pytest.mark.parametrize("half", [b'{"schema":1,"sou', b'{"sch', b"\0\0\0", b'{"schema":1\0\0'])
def test_a_half_line_left_by_a_power_cut_is_cut_off(tmp_path: Path, half: bytes) -> None:
    path = tmp_path / "out.jsonl"
    write(path, 0)
    with path.open("ab") as file:
        file.write(half)
    write(path, 1)
    assert numbers(path) == [0, 1]


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("no line end here")
    with pytest.raises(PublishError, match="choose another file"):
        write(path, 0)
    assert path.read_text() == "no line end here"


def test_two_publishers_may_not_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with publisher(path), pytest.raises(PublishError, match="another process"):
        write(path, 0)
    write(path, 1)
    assert numbers(path) == [1]


def test_a_file_taken_away_by_somebody_is_made_again(tmp_path: Path, line_bytes: int) -> None:
    path = tmp_path / "out.jsonl"
    with publisher(path, max_bytes=line_bytes) as sink:
        sink.publish(result(0))
        path.unlink()
        sink.publish(result(1))
    assert numbers(path) == [1]


def test_a_missing_folder_or_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"No such file.*create the folder .*gone"):
        write(tmp_path / "gone" / "out.jsonl", 0)
    with pytest.raises(PublishError, match="name a file"):
        write(tmp_path, 0)


def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with without_root_rights(), pytest.raises(PublishError, match="Permission denied"):
        write(tmp_path / "out.jsonl", 0)


def test_a_full_device_is_a_publish_error() -> None:
    with publisher(Path("/dev/full")) as sink:
        for number in range(2):
            with pytest.raises(PublishError, match="No space left on device; free some space"):
                sink.publish(result(number))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A mounted file system of 16 kB."""
    mount = tmp_path / "tiny"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(mount)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("mount is not installed")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.splitlines()[0]}")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_a_full_disk_leaves_no_half_line_and_goes_on_when_there_is_room(tiny_disk: Path) -> None:
    path, ballast = tiny_disk / "out.jsonl", tiny_disk / "ballast"
    ballast.write_bytes(b"x" * 8192)
    with publisher(path) as sink:
        written = 0
        with pytest.raises(PublishError, match="No space left"):
            for written in range(1000):
                sink.publish(result(written))
        with pytest.raises(PublishError):
            sink.publish(result(written))
        assert numbers(path) == list(range(written))

        ballast.unlink()
        sink.publish(result(written))
    assert numbers(path) == list(range(written + 1))


def test_standard_output_gets_whole_lines_after_what_was_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    sink = JsonLinesOptions().make()
    print("first")
    sink.open()
    for number in range(2):
        sink.publish(result(number))
    sink.close()
    first, *lines = capfd.readouterr().out.splitlines()
    assert first == "first"
    assert [json.loads(line)["frame"] for line in lines] == [0, 1]


def test_a_reader_of_standard_output_that_went_away_is_a_broken_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        sink = JsonLinesOptions().make()
        sink.open()
        with pytest.raises(BrokenPipeError):
            sink.publish(result(0))
