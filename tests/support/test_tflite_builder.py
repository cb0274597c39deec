"""Every model the builder makes loads and runs on every runtime installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support.reference_op import installed_runtimes
from support.tflite_builder import Model, quantize
from support.tflite_models import (
    FLOATS,
    INT8,
    POSTPROCESS_OUTPUTS,
    STOCK,
    Kinds,
    PostprocessOptions,
    classifier_model,
    edgetpu_model,
    postprocess_op_model,
    raw_heads_model,
    stock_like_model,
)

ANCHORS = np.array([[0.25, 0.25, 0.5, 0.5], [0.75, 0.75, 0.5, 0.5]], np.float32)
OPTIONS = PostprocessOptions(num_classes=3)
PICTURE = (1, 16, 16, 3)


@pytest.fixture(params=installed_runtimes(), ids=lambda module: module.__name__)
def runtime(request: pytest.FixtureRequest) -> Any:
    """Each runtime's ``interpreter`` module."""
    return request.param


def load(runtime: Any, content: bytes) -> Any:
    """An interpreter ready to be invoked."""
    interpreter = runtime.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    return interpreter


def invoke(interpreter: Any, *inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Feed the inputs and return the outputs by name."""
    for detail, values in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], values)
    interpreter.invoke()
    outputs = interpreter.get_output_details()
    return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in outputs}


@pytest.mark.parametrize("image", [STOCK, INT8, FLOATS], ids=["uint8", "int8", "float"])
@pytest.mark.parametrize("heads", [STOCK, INT8, FLOATS], ids=["uint8", "int8", "float"])
def test_raw_heads_hold_the_pictures_numbers(runtime: Any, image: Kinds, heads: Kinds) -> None:
    """Boxes first, scores behind them, to one quantum."""
    kinds = heads._replace(image=image.image)
    real = (np.arange(np.prod(PICTURE)) % 120 / 128).reshape(PICTURE)
    interpreter = load(runtime, raw_heads_model(num_anchors=12, columns=4, kinds=kinds))

    outputs = invoke(interpreter, quantize(real, kinds.image))

    boxes = quantize(real.ravel()[:48].reshape(1, 12, 4), kinds.boxes)
    scores = quantize(real.ravel()[48:96].reshape(1, 12, 4), kinds.scores)
    for found, expected in ((outputs["boxes"], boxes), (outputs["scores"], scores)):
        assert found.dtype == expected.dtype
        quantum = 1 if found.dtype != np.float32 else 0
        np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=quantum)


def test_outputs_keep_the_order_and_names_asked_for(runtime: Any) -> None:
    """Scores first, other names, and a signature that knows them."""
    content = raw_heads_model(names=("a", "b"), scores_first=True, signature=True)
    interpreter = load(runtime, content)
    assert [detail["name"] for detail in interpreter.get_output_details()] == ["b", "a"]
    signature = interpreter.get_signature_list()["serving_default"]
    assert signature == {"inputs": ["image"], "outputs": ["a", "b"]}


@pytest.mark.parametrize("kinds", [STOCK, FLOATS], ids=["uint8", "float"])
def test_the_op_finds_what_is_fed(runtime: Any, kinds: Kinds) -> None:
    """One good score: one detection, its box the anchor."""
    interpreter = load(runtime, postprocess_op_model(ANCHORS, 4, OPTIONS, kinds))
    scores = np.zeros((1, 2, 4))
    scores[0, 1, 3] = 0.75

    boxes, classes, scores, count = (
        invoke(
            interpreter, quantize(np.zeros((1, 2, 4)), kinds.boxes), quantize(scores, kinds.scores)
        )[name]
        for name in POSTPROCESS_OUTPUTS
    )

    assert (count[0], classes[0, 0], scores[0, 0]) == (1, 2, 0.75)
    np.testing.assert_allclose(boxes[0, 0], [0.5, 0.5, 1, 1], atol=0.01)


def test_stock_like_model_detects_what_is_painted(runtime: Any) -> None:
    """The picture's numbers reach the op as heads."""
    interpreter = load(runtime, stock_like_model(ANCHORS, 4, OPTIONS))
    picture = np.zeros(int(np.prod(PICTURE)))
    picture[2 * 4 + 1] = 0.5

    outputs = invoke(interpreter, quantize(picture.reshape(PICTURE), STOCK.image))

    _, classes, scores, count = (outputs[name] for name in POSTPROCESS_OUTPUTS)
    assert (count[0], classes[0, 0], scores[0, 0]) == (1, 0, 0.5)


def test_classifier_has_one_output(runtime: Any) -> None:
    """What a user may hand in by mistake."""
    interpreter = load(runtime, classifier_model())
    interpreter.invoke()
    assert [tuple(d["shape"]) for d in interpreter.get_output_details()] == [(1, 1001)]


def test_edgetpu_model_needs_its_delegate(runtime: Any) -> None:
    """The runtime's own message, which the package turns into advice."""
    with pytest.raises(RuntimeError, match="unresolved custom op: edgetpu-custom-op"):
        load(runtime, edgetpu_model())


def test_metadata_is_stored() -> None:
    """Name and content are in the file; no runtime reads them."""
    content = Model().tensor("x", (1,)).metadata("labels", b"cat dog").build(("x",), ("x",))
    assert b"labels" in content
    assert b"cat dog" in content
