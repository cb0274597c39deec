"""Paths relative to the current folder, and ``~``, work in every command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.command import edge_ssd
from support.tflite_models import FLOATS, PostprocessOptions, stock_like_model

ANNOTATIONS = {
    "images": [{"id": 1, "file_name": "img2.png"}],
    "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}],
    "categories": [{"id": 1, "name": "car"}],
}
MODEL = ("--model", "./small.tflite")
CONFIG = ("--config", "sub/camera.yaml")
EVAL = ("eval", "--images", "images", "--annotations", "coco.json", *MODEL)
CASES: dict[str, tuple[str, ...]] = {
    "detect": ("detect", "images", *MODEL, "--labels", "labels.txt", "--annotate", "new/out"),
    "detect ~": ("detect", "~/images", "--model=~/small.tflite", "--annotate=~/new/out"),
    "run": ("run", *CONFIG),
    "check-config": ("check-config", "sub/camera.yaml"),
    "record": ("record", *CONFIG, "--output", "new"),
    "bench": ("bench", *MODEL, "--frames", "images", "--count", "2"),
    "bench, a bare name": ("bench", "--model", "small.tflite", "--count", "2"),
    "bench ~": ("bench", "--model=~/small.tflite", "--frames=~/images", "--count", "2"),
    "tune": ("tune", *MODEL, "--seconds", "1"),
    "tune a configuration": ("tune", *CONFIG, "--seconds", "1"),
    "eval": (*EVAL, "--labels", "labels.txt"),
    "models inspect": ("models", "inspect", "small.tflite"),
    "models inspect ~": ("models", "inspect", "~/small.tflite"),
    "models prepare": ("models", "prepare", "op.tflite", "-o", "new.tflite"),
}


@pytest.fixture
def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, and the user's home."""
    (folder / "images").mkdir()
    for name in ("img1.png", "img2.png"):
        (folder / name).rename(folder / "images" / name)
    (folder / "sub").mkdir()
    (folder / "sub" / "camera.yaml").write_text(
        "source: {type: images, path: ../images}\n"
        "model: {name: ../small.tflite, labels: ../labels.txt}\n"
    )
    anchors = np.full((2, 4), 0.5, np.float32)
    operator = stock_like_model(anchors, 4, PostprocessOptions(num_classes=3), FLOATS)
    (folder / "op.tflite").write_bytes(operator)
    (folder / "coco.json").write_text(json.dumps(ANNOTATIONS))
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.mark.quick_cases(4)
@pytest.mark.parametrize("case", CASES)
def test_it_works_with_relative_paths(case: str, home: Path) -> None:
    if case == "eval":
        pytest.importorskip("pycocotools")
    finished = edge_ssd(*CASES[case], cwd=home)
    assert (finished.returncode, "error: " in finished.stderr) == (0, False), finished.stderr
    assert finished.stdout
    if case.startswith("detect"):
        assert (home / "new" / "out" / "img2.jpg").is_file()
    if case == "record":
        assert edge_ssd("run", "--config", "new/replay.yaml", cwd=home).returncode == 0
