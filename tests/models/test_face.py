"""The bundled face detector finds the faces in free photos, on every runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_ssd.boxes import iou_yxyx
from edge_ssd.detector import Detector
from edge_ssd.models.loading import load
from edge_ssd.postprocess import anchors

NAME = "ssd_mobilenet_v1_face"

# Score, and ymin, xmin, ymax, xmax. Runtimes and processors differ by a quantum here and there; one
# of the logits, 1/16, is .01 of a score of .8.
ASTRONAUT = (0.992, (0.1252, 0.3497, 0.3405, 0.5179))
CAMERA = (0.941, (0.2030, 0.3715, 0.3892, 0.5010))
HOPPER = (0.809, (0.1886, 0.3561, 0.5497, 0.6882))


def found_in(picture: Path, runtime: str) -> list[tuple[float, np.ndarray]]:
    """The (score, box) of each face, as `edge-ssd detect` finds them."""
    detector = Detector(NAME, runtime=runtime, threads=1)
    assert detector.labels == ("face",)
    found = detector.detect(picture)
    assert set(found.class_ids.tolist()) <= {0}
    return list(zip(found.scores.tolist(), found.boxes_yxyx, strict=True))


@pytest.mark.parametrize(
    ("picture", "expected"), [("astronaut.jpg", ASTRONAUT), ("camera.jpg", CAMERA)]
)
def test_a_face_is_found_where_it_is(
    picture: str, expected: tuple[float, tuple[float, ...]], runtime_name: str, demo: Path
) -> None:
    check(found_in(demo / "images" / picture, runtime_name), expected)


def test_the_face_of_grace_hopper_is_found(runtime_name: str, shared: Path) -> None:
    check(found_in(shared / "images" / "grace_hopper.bmp", runtime_name), HOPPER)


def check(found: list[tuple[float, np.ndarray]], expected: tuple[float, tuple[float, ...]]) -> None:
    assert len(found) == 1
    score, box = found[0]
    assert score == pytest.approx(expected[0], abs=0.03)
    known = np.array([expected[1]], np.float32)
    assert iou_yxyx(box[None], known)[0, 0] > 0.95


@pytest.mark.parametrize("picture", ["chelsea.jpg", "coffee.jpg"])
def test_no_face_is_found_where_none_is(picture: str, runtime_name: str, demo: Path) -> None:
    assert found_in(demo / "images" / picture, runtime_name) == []


def test_its_anchors_keep_the_size_in_pixels_that_they_had_in_training() -> None:
    own = load(NAME).anchors
    assert isinstance(own, np.ndarray)
    usual = anchors.generate(anchors.mobilenet_layout(512, 512), 512, 512)
    # The smallest is 51.2 pixels wide at 512, and at 300 too.
    np.testing.assert_allclose(own[:3, 2:] * 300, usual[:3, 2:] * 512, rtol=1e-5)
    # Cells are 16 pixels apart, and the first sees 4 pixels less to its left than at 512.
    np.testing.assert_allclose(own[[0, 3], 1] * 300, [4, 20], atol=1e-3)
