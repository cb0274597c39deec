"""The bundled model and the demo frames are what their manifests say, and find what they should."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from edge_ssd.boxes import iou_yxyx
from edge_ssd.detector import Detector
from edge_ssd.models import catalogue
from edge_ssd.models.loading import load


@pytest.mark.parametrize("name", catalogue.bundled())
def test_the_file_is_the_one_its_manifest_describes(name: str) -> None:
    content = catalogue.bundled()[name].read_bytes()
    described = catalogue.describe(name).entry("file")
    assert hashlib.sha256(content).hexdigest() == described.get("sha256", str)
    assert len(content) == described.get("size", int) < 8 * 2**20


def test_the_coco_model_has_cocos_labels() -> None:
    labels = load("ssdlite_mobilenet_v2_coco").labels
    assert len(labels) == 90
    assert sum(label is not None for label in labels) == 80
    assert (labels[0], labels[16], labels[17], labels[46]) == ("person", "cat", "dog", "cup")
    assert (labels[11], labels[89]) == (None, "toothbrush")


@pytest.mark.parametrize("name", catalogue.bundled())
def test_golden_detections(name: str, runtime_name: str, demo: Path) -> None:
    golden = catalogue.describe(name).entry("golden").values
    threshold = golden["score_threshold"]
    detector = Detector(name, runtime=runtime_name, score_threshold=threshold)
    found = detector.detect(demo / "images" / golden["image"])
    expected = golden["detections"]
    assert len(expected) > 0
    assert found.class_ids.tolist() == [item["class_id"] for item in expected]
    assert [each.label for each in found] == [item["label"] for item in expected]
    # The runtimes differ by a quantum here and there.
    np.testing.assert_allclose(found.scores, [item["score"] for item in expected], atol=0.03)
    boxes = np.array([item["box_yxyx"] for item in expected], np.float32)
    assert np.diag(iou_yxyx(found.boxes_yxyx, boxes)).min() > 0.9


def test_the_demo_frames_are_free_and_unchanged(demo: Path) -> None:
    listed = json.loads((demo / "manifest.json").read_text())["files"]
    pictures = {str(path.relative_to(demo)) for path in demo.rglob("*.*") if path.suffix != ".py"}
    assert pictures - {"manifest.json"} == set(listed)
    for name, entry in listed.items():
        content = (demo / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"], name
        assert len(content) == entry["size"], name
        assert entry["licence"] in ("CC0-1.0", "public domain"), name
