"""``Detector``, as a script uses it: arrays, paths and frames in, objects out."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.pipelines import small_spec

import edge_ssd
from edge_ssd import Detection, Detections, Detector, Frame
from edge_ssd.boxes import iou_yxyx
from edge_ssd.errors import ConfigError, InputError, LabelsError, ModelError
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.postprocess import PostprocessOptions
from edge_ssd.types import PixelFormat


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(threads=1)


def test_an_array_a_path_and_a_frame_give_the_same_objects(detector: Detector, demo: Path) -> None:
    path = demo / "images" / "astronaut.jpg"
    image = cv2.imread(str(path))
    when = datetime(2026, 11, 22, tzinfo=timezone.utc)
    rgb = Frame(image[..., ::-1], PixelFormat.RGB, "camera", 0, 0, when)
    found = [list(detector.detect(each)) for each in (image, path, str(path), rgb)]
    assert found[0] == found[1] == found[2] == found[3]
    person = max(found[0], key=lambda each: each.score)
    assert (person.label, person.class_id) == ("person", 0)
    assert 0.5 < person.score < 0.8
    xmin, ymin, xmax, ymax = person.box
    assert 0 <= xmin < xmax <= image.shape[1]
    assert 0 <= ymin < ymax <= image.shape[0]


def test_boxes_are_pixels_of_the_image_whatever_its_size(detector: Detector, demo: Path) -> None:
    image = cv2.imread(str(demo / "images" / "astronaut.jpg"))
    whole, half = (
        max(detector.detect(each), key=lambda found: found.score).box
        for each in (image, cv2.resize(image, (256, 128)))
    )
    assert iou_yxyx(np.array([half]) * [2, 4, 2, 4], np.array([whole])) > 0.75


def test_only_wanted_classes_above_the_threshold_are_reported(demo: Path) -> None:
    path = demo / "images" / "coffee.jpg"
    cups = Detector(score_threshold=0.3, classes=["cup"], threads=1).detect(path)
    assert {found.label for found in cups} == {"cup"}
    assert len(Detector(score_threshold=0.99, threads=1).detect(path)) == 0


def test_annotate_draws_on_a_copy(detector: Detector, demo: Path) -> None:
    image = cv2.imread(str(demo / "images" / "astronaut.jpg"))
    before = image.copy()
    found = detector.detect(image)
    drawn = detector.annotate(image, found)
    assert np.array_equal(image, before)
    assert drawn.shape == image.shape
    assert (drawn != image).any()
    assert np.array_equal(detector.annotate(image), drawn)
    assert np.array_equal(detector.annotate(demo / "images" / "astronaut.jpg"), drawn)
    assert np.array_equal(detector.annotate(image, detector.detect(np.zeros_like(image))), image)


def test_it_may_be_closed_and_used_again(demo: Path) -> None:
    with Detector(threads=1) as detector:
        first = list(detector.detect(demo / "images" / "chelsea.jpg"))
    assert list(detector.detect(demo / "images" / "chelsea.jpg")) == first
    detector.close()
    detector.close()


def test_a_backend_that_is_loaded_already(tmp_path: Path) -> None:
    backend = CpuBackend(small_spec(tmp_path))
    detector = Detector.from_backend(backend, PostprocessOptions(score_threshold=0))
    assert detector.labels == ("a", "b", "c")
    found = detector.detect(np.full((16, 16, 3), 128, np.uint8))
    assert all(isinstance(each, Detection) for each in found)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"model": "none.tflite"}, ModelError, "no model 'none.tflite'"),
        ({"classes": ["persn"]}, ConfigError, "no label 'persn'; did you mean person?"),
        ({"labels": "none.txt"}, LabelsError, "labels none.txt: cannot be read"),
        ({"score_threshold": 2.0}, ValueError, "less than or equal to 1"),
        ({"runtime": "onnx"}, ValueError, "'auto', 'litert' or 'tflite-runtime'"),
    ],
)
def test_what_cannot_be_is_refused(
    options: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        Detector(**options)  # type: ignore[arg-type]


def test_bad_images_are_refused(detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        detector.detect(tmp_path / "none.jpg")
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            detector.detect(wrong)  # type: ignore[arg-type]
    for use in (detector.detect, detector.annotate):
        with pytest.raises(ValueError, match=r"cv2\.imread gives None"):
            use(cv2.imread(str(tmp_path / "none.jpg")))


def test_the_public_names_come_without_anything_heavy() -> None:
    code = (
        "import sys, edge_ssd; heavy = {'numpy', 'cv2', 'pydantic'} & set(sys.modules); "
        "print(heavy, sorted(edge_ssd.__all__))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("set() ['Detection', 'Detections', 'Detector', 'Frame'")
    assert edge_ssd.Detections is Detections
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        edge_ssd.Nothing  # noqa: B018
