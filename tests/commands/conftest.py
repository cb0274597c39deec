"""A small model and images, for every command."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.painted import LABELS, paint, write_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """small.tflite, labels.txt, and three images; img2.png shows one `car`."""
    write_model(tmp_path / "small.tflite")
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    for name, score in (("img10", 0), ("img1", 0), ("img2", 0.75)):
        paint(tmp_path / f"{name}.png", score)
    return tmp_path
