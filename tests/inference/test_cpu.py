"""A frame to heads through the real runtimes."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.inferring import changed
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
from edge_ssd.inference.options import ModelOptions
from edge_ssd.models.loading import load
from edge_ssd.models.spec import ModelSpec
from edge_ssd.types import Frame, Geometry, PixelFormat, QuantizedTensor

HEIGHT, WIDTH, ANCHORS, COLUMNS = 16, 16, 12, 7
KINDS = {"uint8": STOCK, "int8": INT8, "float": FLOATS}
kinds = pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)


def frame(image: NDArray[np.uint8]) -> Frame:
    return Frame(image, PixelFormat.RGB, "test", 0, 0, datetime.now(timezone.utc))


def pixels(seed: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def backend(
    content: bytes, runtime_name: str = "auto", resize: str = "stretch", **spec: Any
) -> CpuBackend:
    options = changed(ModelOptions(), runtime=runtime_name, threads=1)
    return CpuBackend(ModelSpec("m", Path("m.tflite"), content, **spec), options, resize)


def expected_heads(image: NDArray[np.uint8], kinds: Kinds) -> tuple[NDArray[Any], NDArray[Any]]:
    """What ``raw_heads_model`` gives for an image of the input's own size."""
    stored = image.astype(np.float64).ravel()
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
def test_the_heads_are_what_the_image_holds(
    runtime_name: str, kinds: Kinds, scores_first: bool
) -> None:
    """Quantised as the model has them, in either order of its outputs."""
    content = raw_heads_model(ANCHORS, COLUMNS, kinds, scores_first=scores_first)
    model = backend(content, runtime_name)
    assert model.set_frame(frame(pixels(1))) == Geometry(size=(WIDTH, HEIGHT))
    heads = model.invoke()
    boxes, scores = expected_heads(pixels(1), kinds)
    assert_close(heads.boxes, boxes, kinds.boxes)
    assert_close(heads.scores, scores, kinds.scores)
    assert model.classes == COLUMNS - 1


def test_scores_in_four_columns_are_told_by_the_signature(runtime_name: str) -> None:
    """Three classes and the background: the shapes are equal, and the tensors' names of no use."""
    content = raw_heads_model(
        ANCHORS, 4, names=("Identity", "Identity_1"), signature=("boxes", "scores"),
        scores_first=True,
    )  # fmt: skip
    model = backend(content, runtime_name)
    assert (model.heads.boxes.signature_name, model.heads.boxes.name) == ("boxes", "Identity")
    assert (model.heads.scores.signature_name, model.heads.scores.name) == ("scores", "Identity_1")


def test_classes_with_and_without_background() -> None:
    content = raw_heads_model(ANCHORS, COLUMNS)
    assert backend(content).classes == COLUMNS - 1
    assert backend(content, background=False).classes == COLUMNS


@kinds
def test_heads_survive_the_next_invoke(runtime_name: str, kinds: Kinds) -> None:
    """They go to another thread while the model runs on the next frame."""
    model = backend(raw_heads_model(ANCHORS, COLUMNS, kinds), runtime_name)
    model.set_frame(frame(pixels(1)))
    first = model.invoke()
    kept = first.boxes.values.copy(), first.scores.values.copy()
    model.set_frame(frame(pixels(2)))
    second = model.invoke()
    assert (second.boxes.values != kept[0]).any()
    np.testing.assert_array_equal(first.boxes.values, kept[0])
    np.testing.assert_array_equal(first.scores.values, kept[1])


@kinds
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_a_frame_prepared_elsewhere_gives_the_same_heads(
    runtime_name: str, kinds: Kinds, resize: str
) -> None:
    model = backend(raw_heads_model(ANCHORS, COLUMNS, kinds), runtime_name, resize)
    given = frame(pixels(3, 48, 80))
    geometry = model.set_frame(given)
    direct = model.invoke()
    prepared = model.prepare(given)
    assert prepared.tensor.shape == (HEIGHT, WIDTH, 3)
    model.set_frame(frame(pixels(4)))
    assert model.set_prepared(prepared) == geometry == prepared.geometry
    assert (geometry == Geometry(size=(80, 48))) == (resize == "stretch")
    again = model.invoke()
    np.testing.assert_array_equal(direct.boxes.values, again.boxes.values)
    np.testing.assert_array_equal(direct.scores.values, again.scores.values)


def test_a_prepared_frame_is_not_touched_by_later_ones(runtime_name: str) -> None:
    """The capture thread prepares the next frame while this one waits."""
    model = backend(raw_heads_model(ANCHORS, COLUMNS), runtime_name)
    first = model.prepare(frame(pixels(1)))
    kept = first.tensor.copy()
    model.prepare(frame(pixels(2)))
    model.set_frame(frame(pixels(3)))
    model.invoke()
    np.testing.assert_array_equal(first.tensor, kept)


def test_a_file_with_the_op_runs_without_it(runtime_name: str, tmp_path: Path) -> None:
    anchors = np.full((ANCHORS, 4), 0.5, np.float32)
    options = PostprocessOptions(num_classes=COLUMNS - 1)
    path = tmp_path / "op.tflite"
    path.write_bytes(stock_like_model(anchors, COLUMNS, options))
    model = CpuBackend(load(str(path)), changed(ModelOptions(), runtime=runtime_name))
    model.set_frame(frame(pixels(5)))
    heads = model.invoke()
    boxes, scores = expected_heads(pixels(5), STOCK)
    assert_close(heads.boxes, boxes, STOCK.boxes)
    assert_close(heads.scores, scores, STOCK.scores)


def test_the_published_model(runtime_name: str, stock_model: Path) -> None:
    model = CpuBackend(load(str(stock_model)), changed(ModelOptions(), runtime=runtime_name))
    model.set_frame(frame(pixels(6, 480, 640)))
    heads = model.invoke()
    assert (heads.boxes.values.shape, heads.scores.values.shape) == ((1917, 4), (1917, 91))
    assert (heads.boxes.zero_point, heads.scores.scale) == (191, 1 / 256)
    assert model.classes == 90


# --- What is refused ---


def flat(shape: tuple[int, ...], kind: Kind = STOCK.image, inputs: int = 1, **more: Any) -> bytes:
    """Return a model that takes images of ``shape`` and gives boxes alone."""
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
        r"m\.tflite: no SSD heads: the outputs are scores \[1, 1001\]; expected box encodings",
    ),
    "one output": (
        flat((1, 4, 4, 3)),
        r"m\.tflite: no SSD heads: the outputs are boxes \[1, 12, 4\]; expected",
    ),
    "two inputs": (
        flat((1, 4, 4, 3), inputs=2),
        r"takes image \[1, 4, 4, 3\], second \[1, 4, 4, 3\]; expected one image",
    ),
    "grey": (flat((1, 4, 4, 1)), r"takes image \[1, 4, 4, 1\]; expected one image \[1, height,"),
    "channels first": (flat((1, 3, 4, 4)), r"takes image \[1, 3, 4, 4\]; expected one image"),
    "two images": (flat((2, 4, 4, 3)), r"takes image \[2, 4, 4, 3\]; expected one image"),
    "a vector": (flat((1, 48)), r"takes image \[1, 48\]; expected one image"),
    "int16": (
        flat((1, 4, 4, 3), Kind("int16", 1 / 32768)),
        r"takes image \[1, 4, 4, 3\] int16; expected one image .* uint8, int8 or float32",
    ),
    "any size": (
        flat((1, 1, 4, 3), shape_signature=(1, -1, -1, 3)),
        r"takes images of any size; convert it again with a fixed input size",
    ),
}


@pytest.mark.parametrize(("content", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_model_that_does_not_fit_is_refused_with_what_it_has(
    runtime_name: str, content: bytes, expected: str
) -> None:
    with pytest.raises(ModelError, match=expected) as caught:
        backend(content, runtime_name)
    assert caught.value.remedy


def test_a_number_of_images_that_is_not_fixed_is_one(runtime_name: str) -> None:
    """Most converted models leave the batch open."""
    model = Model().tensor("image", (1, 4, 4, 3), STOCK.image, 0, (-1, 4, 4, 3))
    model.tensor("boxes", (1, 12, 4), STOCK.image).tensor("scores", (1, 12, 4), STOCK.image)
    model.constant("new", np.array([1, 12, 4], np.int32))
    model.op("RESHAPE", ("image", "new"), ("boxes",)).op("RESHAPE", ("image", "new"), ("scores",))
    model = backend(model.build(("image",), ("boxes", "scores")), runtime_name)
    model.set_frame(frame(pixels(1)))
    assert model.invoke().boxes.values.shape == (12, 4)
