"""The tensors of a model: what an interpreter tells of them, and what the file does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support import tflite_builder
from support.tflite_builder import Kind, Model
from support.tflite_models import FLOATS, INT8, STOCK, raw_heads_model

from edge_ssd.inference.runtime import load_interpreter
from edge_ssd.inference.tensors import ModelTensors, TensorInfo, of_graph, of_interpreter
from edge_ssd.models.graph import Graph
from edge_ssd.models.spec import ModelSpec

MODELS = {
    "uint8": raw_heads_model(kinds=STOCK),
    "int8": raw_heads_model(kinds=INT8),
    "float32": raw_heads_model(kinds=FLOATS),
    "with a signature": raw_heads_model(names=("a", "b"), signature=("boxes", "scores")),
}


def told(content: bytes, runtime_name: str) -> ModelTensors:
    return of_interpreter(load_interpreter(ModelSpec("m", Path("m"), content), runtime_name))


@pytest.mark.parametrize("content", MODELS.values(), ids=MODELS)
def test_the_file_tells_what_the_interpreter_does(content: bytes, runtime_name: str) -> None:
    assert of_graph(Graph(content)) == told(content, runtime_name)


def test_what_is_told_of_an_input_and_an_output(runtime_name: str) -> None:
    model = Model().tensor("image", (1, 4, 4, 3), STOCK.image, 0, (-1, 4, 4, 3))
    model.tensor("boxes", (1, 12, 4), STOCK.image).constant("new", np.array([1, 12, 4], np.int32))
    model.op("RESHAPE", ("image", "new"), ("boxes",))
    content = model.build(("image",), ("boxes",))
    for tensors in (told(content, runtime_name), of_graph(Graph(content))):
        (image,), (boxes,) = tensors.inputs, tensors.outputs
        assert (image.name, image.shape, image.shape_signature) == (
            "image", (1, 4, 4, 3), (-1, 4, 4, 3),
        )  # fmt: skip
        assert (image.dtype, image.scale, image.zero_point) == (np.uint8, 1 / 128, 128)
        assert (boxes.rows, boxes.columns, boxes.size) == (12, 4, 48)


def test_the_signature_names_the_outputs(runtime_name: str) -> None:
    signed = told(raw_heads_model(names=("a", "b"), signature=True), runtime_name)
    assert [tensor.signature_name for tensor in signed.outputs] == ["a", "b"]
    unsigned = told(raw_heads_model(), runtime_name)
    assert [tensor.signature_name for tensor in unsigned.outputs] == ["", ""]


def test_a_scale_per_channel_is_none_of_the_whole_tensor() -> None:
    per_channel = TensorInfo(0, "t", (1, 2), (1, 2), np.dtype(np.int8), (0.5, 0.25), (1, 2))
    assert (per_channel.scale, per_channel.zero_point) == (0, 0)


def test_a_type_that_numpy_lacks_is_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tflite_builder._TENSOR_TYPES, "int4", 17)
    content = Model().tensor("image", (1, 4), Kind("int4")).build(("image",), ("image",))
    assert of_graph(Graph(content)).inputs[0].dtype == object
