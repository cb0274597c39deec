"""The stock model, as it was published, on the picture it is published with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_ssd.boxes import iou_yxyx
from edge_ssd.detector import Detector
from edge_ssd.inference.options import ModelOptions
from edge_ssd.postprocess import PostprocessOptions

EXPECTED = [
    ("cat", 0.6445, (0.661, 0.045, 0.993, 0.373)),
    ("cat", 0.6094, (0.263, 0.505, 1.0, 0.827)),
    ("cat", 0.5625, (0.657, 0.217, 1.0, 0.367)),
    ("dog", 0.505, (0.329, 0.325, 1.0, 0.555)),
]


def test_three_cats_and_a_dog(shared: Path, stock_model: Path, runtime_name: str) -> None:
    options = ModelOptions(name=str(stock_model), runtime=runtime_name)
    detector = Detector.from_options(options, postprocess=PostprocessOptions(score_threshold=0.49))
    found = detector.detect(shared / "images" / "cats_and_dogs.jpg")
    assert [each.label for each in found] == [label for label, _, _ in EXPECTED]
    np.testing.assert_allclose(found.scores, [score for _, score, _ in EXPECTED], atol=0.02)
    boxes = np.array([box for _, _, box in EXPECTED], np.float32)
    assert np.diag(iou_yxyx(found.boxes_yxyx, boxes)).min() > 0.95
