"""What is no model, and what would harm the terminal or fill the memory."""

from __future__ import annotations

import os
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command import edge_ssd
from support.tflite_models import raw_heads_model

from edge_ssd.commands.models import inspected
from edge_ssd.errors import ModelError
from edge_ssd.workshop.inspect import Report, inspect


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip archive", raw_heads_model()[:-300]])
def test_what_is_damaged_or_no_model_is_an_error_of_one_line(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    done = edge_ssd("models", "inspect", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"error: model {re.escape(str(path))}: .*; .*\n", done.stderr)


def test_a_missing_file() -> None:
    with pytest.raises(ModelError, match="neither a file nor a name in the catalogue"):
        inspect("no.tflite")


def test_names_cannot_move_the_cursor(inspect_bytes: Callable[..., Report]) -> None:
    report = inspect_bytes(raw_heads_model(names=("\x1b[2Jboxes", "scores\r")))
    text = inspected.as_text(report)
    assert "\x1b" not in text
    assert "\r" not in text
    assert "?[2Jboxes" in text


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"\0\0\0\x20ftypisom", "not a TensorFlow Lite file"),
        (raw_heads_model(), r"it has 2,147 MB, and at most 537 MB are read; give a smaller model"),
    ],
    ids=["video", "model"],
)
def test_a_huge_file_is_not_read(start: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "huge.tflite"
    path.write_bytes(start)
    os.truncate(path, 1 << 31)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=message):
            inspect(str(path))
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()
