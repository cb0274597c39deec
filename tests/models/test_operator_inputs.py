"""Operators that lack an input, on which a runtime would crash; and those that lack none."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.tflite_builder import Model
from support.tflite_models import (
    PostprocessOptions,
    edgetpu_model,
    raw_heads_model,
    stock_like_model,
)

from edge_ssd.errors import ModelError
from edge_ssd.models import catalogue, operator_inputs
from edge_ssd.models.graph import OMITTED, Graph

ANCHORS = np.array([[0.25, 0.25, 0.5, 0.5]] * 4, np.float32)


def graph(code: str, inputs: tuple[int, ...], outputs: tuple[str, ...] = ("out",)) -> Graph:
    """Return a graph of one operator; its inputs are tensors 0 to 2, or -1 for none."""
    model = Model().tensor("a", (4,)).tensor("b", (4,)).tensor("c", (4,)).tensor("out", (4,))
    data = bytearray(model.op(code, ["abc"[index] for index in inputs], outputs).build("a", "a"))
    read = Graph(bytes(data)).subgraph.vector(3).table(0).vector(1)
    stored = np.array(inputs, "<i4").tobytes()
    data[read.position : read.position + len(stored)] = stored
    return Graph(bytes(data))


@pytest.mark.parametrize(
    ("code", "inputs", "lack"),
    [
        ("SLICE", (0, 1), "has 2 of the 3 inputs it needs"),
        ("SLICE", (), "has 0 of the 3 inputs it needs"),
        ("LOGISTIC", (OMITTED,), "has 0 of the 1 input it needs"),
        ("CONCATENATION", (0, OMITTED, 1), "has 2 of the 3 inputs it needs"),
        ("CONCATENATION", (), "has 0 of the 1 input it needs"),
        ("CONV_2D", (0, OMITTED, 1), "has 1 of the 2 inputs it needs"),
    ],
)
def test_an_operator_without_an_input_that_it_needs(
    code: str, inputs: tuple[int, ...], lack: str
) -> None:
    with pytest.raises(ModelError, match=re.escape(f"damaged: operator 0, {code}, {lack}")):
        operator_inputs.check(graph(code, inputs))


def test_an_operator_without_outputs() -> None:
    with pytest.raises(ModelError, match="operator 0, SLICE, has no output"):
        operator_inputs.check(graph("SLICE", (0, 1, 2), ()))


@pytest.mark.parametrize(
    ("code", "inputs"),
    [("CONV_2D", (0, 1, OMITTED)), ("CONV_2D", (0, 1)), ("RESHAPE", (0,)), ("MyOperator", ())],
)
def test_what_may_be_left_out(code: str, inputs: tuple[int, ...]) -> None:
    """The bias, the shape that the options have too, and anything of a custom operator."""
    operator_inputs.check(graph(code, inputs))


@pytest.mark.parametrize(
    "data",
    [
        raw_heads_model(),
        stock_like_model(ANCHORS, 4, PostprocessOptions(num_classes=3)),
        edgetpu_model(),
        *(path.read_bytes() for path in catalogue.bundled().values()),
    ],
)
def test_whole_files_lack_nothing(data: bytes) -> None:
    operator_inputs.check(Graph(data))


def test_the_published_file_lacks_nothing(stock_model: Path) -> None:
    operator_inputs.check(Graph(stock_model.read_bytes()))
