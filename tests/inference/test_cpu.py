"""A frame to heads through the real runtimes."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.tflite_builder import Kind, Model, quantize
from support.tflite_models import (
    FLOATS,
    INT8,
    STOCK,
    Kinds,
    PostprocessOptions,
    classifier_model,
    raw_heads_model,
    stock_like_model,
)

from edge_ssd.errors import ModelError
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.models.loading import load
from edge_ssd.models.spec import ModelSpec
from edge_ssd.types import Frame, Geometry, PixelFormat, QuantizedTensor

HEIGHT, WIDTH, ANCHORS, COLUMNS = 16, 16, 12, 7
KINDS = {"uint8": STOCK, "int8": INT8, "float": FLOATS}
kinds = pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)


def frame(pixels: NDArray[np.uint8]) -> Frame:
    return Frame(pixels, PixelFormat.RGB, "test", 0, 0, datetime.now(timezone.utc))


def picture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def detector(
    content: bytes, runtime_name: str = "auto", resize: str = "stretch", **spec: Any
) -> CpuBackend:
    return CpuBackend(ModelSpec("m", Path("m.tflite"), content, **spec), runtime_name, 1, resize)


def expected_heads(pixels: NDArray[np.uint8], kinds: Kinds) -> tuple[NDArray[Any], NDArray[Any]]:
    """What ``raw_heads_model`` gives for a picture of the input's own size."""
    stored = pixels.astype(np.float64).ravel()
    if kinds.image.dtype == "float32":
        real = (stored - 127.5) / 127.5
    else:
        real = (stored - 128) * kinds.image.scale
    cut, count = 4 * ANCHORS, COLUMNS * ANCHORS
    boxes = quantize(real[:cut].reshape(ANCHORS, 4), kinds.boxes)
    return boxes, quantize(real[cut : cut + count].reshape(ANCHORS, COLUMNS), kinds.scores)


def assert_close(found: QuantizedTensor, expected: NDArray[Any], kind: Kind) -> None:
    assert found.values.dtype == expected.dtype
    assert found.values.shape == expected.shape
    quantum = 1 if kind.scale else 1e-6
    np.testing.assert_allclose(found.values.astype(float), expected.astype(float), atol=quantum)
    assert found.scale == pytest.approx(kind.scale or 1.0)
    assert found.zero_point == kind.zero_point


@kinds
@pytest.mark.parametrize("scores_first", [False, True])
def test_the_heads_are_what_the_picture_holds(
    runtime_name: str, kinds: Kinds, scores_first: bool
) -> None:
    """Quantised as the model has them, in either order of its outputs."""
    content = raw_heads_model(ANCHORS, COLUMNS, kinds, scores_first=scores_first)
    network = detector(content, runtime_name)
    assert network.set_frame(frame(picture(1))) == Geometry()
    heads = network.invoke()
    boxes, scores = expected_heads(picture(1), kinds)
    assert_close(heads.boxes, boxes, kinds.boxes)
    assert_close(heads.scores, scores, kinds.scores)
    assert network.classes == COLUMNS - 1


def test_scores_in_four_columns_are_told_by_the_signature(runtime_name: str) -> None:
    """Three classes and the background: the shapes are equal, and the tensors' names of no use."""
    content = raw_heads_model(
        ANCHORS, 4, names=("Identity", "Identity_1"), signature=("boxes", "scores"),
        scores_first=True,
    )  # fmt: skip
    network = detector(content, runtime_name)
    assert network.heads.boxes.names == ("boxes", "Identity")
    assert network.heads.scores.names == ("scores", "Identity_1")


def test_classes_with_and_without_background() -> None:
    content = raw_heads_model(ANCHORS, COLUMNS)
    assert detector(content).classes == COLUMNS - 1
    assert detector(content, background=False).classes == COLUMNS


@kinds
def test_heads_survive_the_next_invoke(runtime_name: str, kinds: Kinds) -> None:
    """They go to another thread while the network runs on the next frame."""
    network = detector(raw_heads_model(ANCHORS, COLUMNS, kinds), runtime_name)
    network.set_frame(frame(picture(1)))
    first = network.invoke()
    kept = first.boxes.values.copy(), first.scores.values.copy()
    network.set_frame(frame(picture(2)))
    second = network.invoke()
    assert (second.boxes.values != kept[0]).any()
    np.testing.assert_array_equal(first.boxes.values, kept[0])
    np.testing.assert_array_equal(first.scores.values, kept[1])


@kinds
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_a_frame_prepared_elsewhere_gives_the_same_heads(
    runtime_name: str, kinds: Kinds, resize: str
) -> None:
    network = detector(raw_heads_model(ANCHORS, COLUMNS, kinds), runtime_name, resize)
    given = frame(picture(3, 48, 80))
    geometry = network.set_frame(given)
    direct = network.invoke()
    prepared = network.prepare(given)
    assert prepared.tensor.shape == (HEIGHT, WIDTH, 3)
    network.set_frame(frame(picture(4)))
    assert network.set_prepared(prepared) == geometry == prepared.geometry
    assert (geometry == Geometry()) == (resize == "stretch")
    again = network.invoke()
    np.testing.assert_array_equal(direct.boxes.values, again.boxes.values)
    np.testing.assert_array_equal(direct.scores.values, again.scores.values)


def test_a_prepared_frame_is_not_touched_by_later_ones(runtime_name: str) -> None:
    """The capture thread prepares the next frame while this one waits."""
    network = detector(raw_heads_model(ANCHORS, COLUMNS), runtime_name)
    first = network.prepare(frame(picture(1)))
    kept = first.tensor.copy()
    network.prepare(frame(picture(2)))
    network.set_frame(frame(picture(3)))
    network.invoke()
    np.testing.assert_array_equal(first.tensor, kept)


def test_a_file_with_the_op_runs_without_it(runtime_name: str, tmp_path: Path) -> None:
    anchors = np.full((ANCHORS, 4), 0.5, np.float32)
    options = PostprocessOptions(num_classes=COLUMNS - 1)
    path = tmp_path / "op.tflite"
    path.write_bytes(stock_like_model(anchors, COLUMNS, options))
    network = CpuBackend(load(str(path)), runtime_name)
    network.set_frame(frame(picture(5)))
    heads = network.invoke()
    boxes, scores = expected_heads(picture(5), STOCK)
    assert_close(heads.boxes, boxes, STOCK.boxes)
    assert_close(heads.scores, scores, STOCK.scores)


def test_the_published_model(runtime_name: str, stock_model: Path) -> None:
    network = CpuBackend(load(str(stock_model)), runtime_name, threads=None)
    network.set_frame(frame(picture(6, 480, 640)))
    heads = network.invoke()
    assert (heads.boxes.values.shape, heads.scores.values.shape) == ((1917, 4), (1917, 91))
    assert (heads.boxes.zero_point, heads.scores.scale) == (191, 1 / 256)
    assert network.classes == 90


# --- What is refused ---


def flat(shape: tuple[int, ...], kind: Kind = STOCK.image, inputs: int = 1, **more: Any) -> bytes:
    """Return a model that takes pictures of ``shape`` and gives boxes alone."""
    count = int(np.prod(shape))
    model = Model().tensor("image", shape, kind, **more).tensor("boxes", (1, count // 4, 4), kind)
    model.constant("new", np.array([1, count // 4, 4], np.int32))
    model.op("RESHAPE", ("image", "new"), ("boxes",))
    names = ["image"]
    if inputs > 1:
        model.tensor("second", shape, kind)
        names.append("second")
    return model.build(names, ("boxes",))


REFUSED = {
    "classifier": (
        classifier_model(),
        r"m\.tflite has no SSD heads: the outputs are scores \[1, 1001\]; expected box encodings",
    ),
    "one output": (
        flat((1, 4, 4, 3)),
        r"m\.tflite has no SSD heads: the outputs are boxes \[1, 12, 4\]; expected",
    ),
    "two inputs": (
        flat((1, 4, 4, 3), inputs=2),
        r"takes image \[1, 4, 4, 3\], second \[1, 4, 4, 3\]; expected one picture",
    ),
    "grey": (flat((1, 4, 4, 1)), r"takes image \[1, 4, 4, 1\]; expected one picture \[1, height,"),
    "channels first": (flat((1, 3, 4, 4)), r"takes image \[1, 3, 4, 4\]; expected one picture"),
    "two pictures": (flat((2, 4, 4, 3)), r"takes image \[2, 4, 4, 3\]; expected one picture"),
    "a vector": (flat((1, 48)), r"takes image \[1, 48\]; expected one picture"),
    "int16": (
        flat((1, 4, 4, 3), Kind("int16", 1 / 32768)),
        r"takes image \[1, 4, 4, 3\] int16; expected one picture .* uint8, int8 or float32",
    ),
    "any size": (
        flat((1, 1, 4, 3), shape_signature=(1, -1, -1, 3)),
        r"takes pictures of any size; convert it again with a fixed input size",
    ),
}


@pytest.mark.parametrize(("content", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_model_that_does_not_fit_is_refused_with_what_it_has(
    runtime_name: str, content: bytes, expected: str
) -> None:
    with pytest.raises(ModelError, match=expected) as caught:
        detector(content, runtime_name)
    assert caught.value.remedy


def test_a_number_of_pictures_that_is_not_fixed_is_one(runtime_name: str) -> None:
    """Most converted models leave the batch open."""
    model = Model().tensor("image", (1, 4, 4, 3), STOCK.image, 0, (-1, 4, 4, 3))
    model.tensor("boxes", (1, 12, 4), STOCK.image).tensor("scores", (1, 12, 4), STOCK.image)
    model.constant("new", np.array([1, 12, 4], np.int32))
    model.op("RESHAPE", ("image", "new"), ("boxes",)).op("RESHAPE", ("image", "new"), ("scores",))
    network = detector(model.build(("image",), ("boxes", "scores")), runtime_name)
    network.set_frame(frame(picture(1)))
    assert network.invoke().boxes.values.shape == (12, 4)
