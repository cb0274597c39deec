"""The face detector, rebuilt from its published weights. Needs TensorFlow, npm and a network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from deploy.export import ExportError

from edge_ssd.boxes import iou_yxyx
from edge_ssd.models import catalogue
from edge_ssd.models.graph import Graph
from edge_ssd.postprocess import anchors

pytestmark = pytest.mark.tensorflow
ROOT = Path(__file__).parents[2]
NAME = "ssd_mobilenet_v1_face"
FACE = 1
"""Column of the scores."""

Constants = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def constants(tmp_path_factory: pytest.TempPathFactory) -> Constants:
    """The package's constants under its own names."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    from deploy.export import face_weights

    return face_weights.published(tmp_path_factory.mktemp("package"))


def picture(demo: Path, size: int) -> np.ndarray:
    """A face, as the network takes it."""
    pixels = cv2.imread(str(demo / "images" / "astronaut.jpg"))
    small = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)[..., ::-1]
    return (small.astype(np.float32) / 127.5 - 1)[None]


def evaluate(weights: Constants, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The network as the package itself evaluates it: encodings (N, 4) and scores (N, 3)."""
    import tensorflow as tf

    def convolve(maps: Any, name: str, stride: int = 1) -> Any:
        convolved = tf.nn.conv2d(maps, weights[f"{name}/weights"], stride, "SAME")
        return tf.nn.relu6(convolved + weights[f"{name}/convolution_bn_offset"])

    maps, features = convolve(image, "MobilenetV1/Conv2d_0_pointwise", 2), []
    for block in range(1, 14):
        name, stride = f"MobilenetV1/Conv2d_{block}", 2 if block in (2, 4, 6, 12) else 1
        kernel = weights[f"{name}_depthwise/depthwise_weights"]
        maps = tf.nn.depthwise_conv2d(maps, kernel, [1, stride, stride, 1], "SAME")
        gamma, beta, mean, variance = (
            weights[f"{name}_depthwise/BatchNorm/{part}"]
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        maps = tf.nn.relu6((maps - mean) / np.sqrt(variance + 0.001) * gamma + beta)
        maps = convolve(maps, f"{name}_pointwise")
        features += [maps] if block in (11, 13) else []
    for index in range(8):
        maps = convolve(maps, f"Prediction/Conv2d_{index}_pointwise", 1 + index % 2)
        features += [maps] if index % 2 else []
    heads = []
    for head, columns in (("BoxEncodingPredictor", 4), ("ClassPredictor", 3)):
        rows = []
        for index, feature in enumerate(features):
            name = f"Prediction/BoxPredictor_{index}/{head}"
            predicted = tf.nn.conv2d(feature, weights[f"{name}/weights"], 1, "SAME")
            rows.append(tf.reshape(predicted + weights[f"{name}/biases"], (-1, columns)))
        heads.append(tf.concat(rows, 0))
    return heads[0].numpy(), tf.sigmoid(heads[1]).numpy()


@pytest.mark.parametrize(("size", "boxes"), [(300, 1917), (512, 5118)])
def test_the_builder_with_the_weights_equals_the_published_network(
    size: int, boxes: int, constants: Constants, demo: Path
) -> None:
    from deploy.export import face

    image = picture(demo, size)
    found = face.float_model(size, constants)(image, training=False)
    encodings, scores = evaluate(constants, image)
    assert found["boxes"].shape == (1, boxes, 4)
    assert scores[:, FACE].max() > 0.9
    np.testing.assert_allclose(found["boxes"][0], encodings, atol=2e-3)
    np.testing.assert_allclose(found["scores"][0], scores[:, :2], atol=2e-4)


def test_the_published_anchors_are_the_formulas_with_another_order_in_a_cell(
    constants: Constants,
) -> None:
    from deploy.export import face_anchors

    low, high = np.split(constants["Output/extra_dim"][0], 2, axis=1)
    published = np.concatenate([(low + high) / 2, high - low], axis=1)
    usual = anchors.generate(anchors.mobilenet_layout(512, 512), 512, 512)
    np.testing.assert_allclose(face_anchors.anchors(512), published, atol=1e-6)
    np.testing.assert_allclose(usual[:3072], published[:3072], atol=1e-6)  # the first map
    # From there on, the interpolated scale is the second of six, not the last.
    reordered = usual[3072:].reshape(-1, 6, 4)[:, [0, 5, 1, 2, 3, 4]].reshape(-1, 4)
    np.testing.assert_allclose(reordered, published[3072:], atol=1e-6)


@pytest.mark.parametrize("size", [300, 512])
def test_the_middle_of_what_a_cell_sees(size: int) -> None:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    from deploy.export import face_anchors

    grid = face_anchors.grids(size)[0]
    image = tf.Variable(tf.zeros((1, size, size, 1)))
    with tf.GradientTape() as tape:
        maps = image
        for _ in range(4):
            maps = tf.nn.conv2d(maps, tf.ones((3, 3, 1, 1)), 2, "SAME")
        assert maps.shape[1] == grid.cells
        seen = tape.gradient(maps[0, 5, 7, 0], image)
    pixels = np.argwhere(seen.numpy()[0, :, :, 0])
    middle = (pixels.min(0) + pixels.max(0) + 1) / 2
    expected = [grid.first + grid.stride * 5, grid.first + grid.stride * 7]
    np.testing.assert_array_equal(middle, expected)


def test_the_networks_at_300_and_512_put_the_face_at_the_same_place(
    constants: Constants, demo: Path
) -> None:
    from deploy.export import face_anchors

    boxes = []
    for size in (300, 512):
        encodings, scores = evaluate(constants, picture(demo, size))
        best = scores[:, FACE].argmax()
        ty, tx, th, tw = encodings[best]
        ycenter, xcenter, h, w = face_anchors.anchors(size)[best]
        y, x = ycenter + ty / 10 * h, xcenter + tx / 10 * w
        half = np.array([np.exp(th / 5) * h, np.exp(tw / 5) * w]) / 2
        boxes.append([y - half[0], x - half[1], y + half[0], x + half[1]])
    first, second = np.array(boxes, np.float32)[:, None]
    # The usual anchors at 300 would give .33: a box of 300 / 512 the size.
    assert iou_yxyx(first, second)[0, 0] > 0.8


def test_every_weight_is_used_once_or_refused(constants: Constants) -> None:
    from deploy.export import face

    offset = "MobilenetV1/Conv2d_7_pointwise/convolution_bn_offset"
    without = {name: value for name, value in constants.items() if name != offset}
    with pytest.raises(ExportError, match=r"Conv2d_7_pointwise_BatchNorm/beta.* are missing"):
        face.float_model(300, without)
    for name, told in (
        ("MobilenetV1/Conv2d_14_pointwise/weights", "no place for .* Conv2d_14_pointwise/kernel"),
        ("MobilenetV1/Conv2d_7_pointwise/else", "constant .*/else: no layer has a variable for it"),
        ("Elsewhere/weights", "constant Elsewhere/weights: no layer is called so"),
    ):
        with pytest.raises(ExportError, match=told):
            face.float_model(300, constants | {name: np.zeros(1)})
    with pytest.raises(ExportError, match=r"Conv2d_0/kernel has the shape \(3,\), expected"):
        face.float_model(300, constants | {"MobilenetV1/Conv2d_0_pointwise/weights": np.ones(3)})
    with pytest.raises(ExportError, match="anchors are not those of the SSD formula"):
        face.float_model(300, constants | {"Output/extra_dim": constants["Output/extra_dim"] * 2})


@pytest.fixture(scope="module")
def rebuilt(constants: Constants, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The model, built twice by the command."""
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    for folder in folders:
        finished = subprocess.run(
            [sys.executable, "-m", "deploy.export", NAME, "--output", folder],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert finished.returncode == 0, finished.stderr[-2000:]
    return [folder / f"{NAME}.tflite" for folder in folders]


def test_the_command_gives_the_same_bytes_twice(rebuilt: list[Path]) -> None:
    first, second = rebuilt
    assert first.read_bytes() == second.read_bytes()
    manifests = [path.with_suffix(".json").read_bytes() for path in rebuilt]
    assert manifests[0] == manifests[1]


def test_the_command_gives_the_bundled_model(rebuilt: list[Path]) -> None:
    """Within a quantum: another processor's float arithmetic may round a range otherwise."""
    made, bundled = (Graph(path.read_bytes()) for path in (rebuilt[0], catalogue.bundled()[NAME]))
    assert len(made.tensors) == len(bundled.tensors)
    for new, old in zip(made.tensors, bundled.tensors, strict=True):
        assert (new.name, new.shape) == (old.name, old.shape)
        np.testing.assert_allclose(new.scales, old.scales, rtol=1e-3, err_msg=new.name)
    found, expected = (
        json.loads(path.with_suffix(".json").read_text())
        for path in (rebuilt[0], catalogue.bundled()[NAME])
    )
    for key in ("anchors", "origin", "licence", "labels", "calibration", "input"):
        assert found[key] == expected[key]
    (face,), (known,) = (described["golden"]["detections"] for described in (found, expected))
    assert face["score"] == pytest.approx(known["score"], abs=0.02)
    assert face["box_yxyx"] == pytest.approx(known["box_yxyx"], abs=0.01)
