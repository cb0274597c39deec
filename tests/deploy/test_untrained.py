"""Each builder's network, exported by the command: it loads and runs in edge_ssd."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support.command import edge_ssd
from edge_ssd.inference.runtime import load_interpreter
from edge_ssd.models.loading import load
from edge_ssd.postprocess import anchors

pytestmark = pytest.mark.tensorflow
ROOT = Path(__file__).parents[2]


def export(name: str, folder: Path) -> Path:
    """Run the command as docs/export.md gives it; return the model's path."""
    finished = subprocess.run(
        [sys.executable, "-m", "deploy.export", name, "--output", folder],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr[-2000:]
    return folder / f"{name}.tflite"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    return tmp_path_factory.mktemp("untrained")


@pytest.mark.parametrize(
    ("name", "boxes"), [("ssd_mobilenet_v1", 1917), ("ssd_mobilenet_v1_38", 8732)]
)
def test_an_exported_ssd_detects(name: str, boxes: int, exported: Path, demo: Path) -> None:
    model = export(name, exported)
    spec = load(str(model))
    assert spec.heads == ("boxes", "scores")
    interpreter = load_interpreter(spec)
    (taken,) = interpreter.get_input_details()
    given = {entry["name"]: entry for entry in interpreter.get_output_details()}
    assert {entry["dtype"] for entry in (taken, *given.values())} == {np.int8}
    assert tuple(given["boxes"]["shape"]) == (1, boxes, 4)
    assert tuple(given["scores"]["shape"]) == (1, boxes, 91)
    assert len(anchors.for_model(spec, boxes, 300, 300)) == boxes
    found = edge_ssd(
        "detect", "--model", model, "--json", "--score-threshold", 0.3, demo / "images/coffee.jpg"
    )
    assert found.returncode == 0, found.stderr
    # What random weights find is nothing, but that they find it shows that the heads are read.
    assert len(json.loads(found.stdout)["detections"]) > 0


def test_an_exported_classifier_runs_and_is_no_detector(exported: Path, demo: Path) -> None:
    model = export("mobilenet_v1", exported)
    interpreter = load_interpreter(load(str(model)))
    (taken,) = interpreter.get_input_details()
    (given,) = interpreter.get_output_details()
    assert taken["dtype"] == given["dtype"] == np.int8
    noise = np.random.default_rng(1).integers(-128, 128, taken["shape"], np.int8)
    interpreter.set_tensor(taken["index"], noise)
    interpreter.invoke()
    scale, zero_point = given["quantization"]
    scores = (interpreter.get_tensor(given["index"]).astype(float) - zero_point) * scale
    assert scores.shape == (1, 1000)
    assert 0.01 < scores.max() < 0.99
    assert 0.5 < scores.sum() < 1.5  # a thousand quanta of .004 do not make exactly 1
    refused = edge_ssd("detect", "--model", model, demo / "images/coffee.jpg")
    assert refused.returncode == 1
    assert "no SSD heads: the outputs are scores [1, 1000]" in refused.stderr
