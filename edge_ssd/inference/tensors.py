"""The tensors of a model, as an interpreter or the file describes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from edge_ssd.inference.runtime import Interpreter
    from edge_ssd.models.graph import Graph, Tensor


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a model.

    shape_signature: the shape, with -1 for sizes that are not fixed.
    dtype: ``object`` for a type that numpy lacks, such as 4-bit integers.
    scales, zero_points: one, or one per channel; empty where the tensor is not quantised.
    signature_name: its name in the model's signature; empty where there is none.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: np.dtype[Any]
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    signature_name: str = ""

    @property
    def size(self) -> int:
        """How many values it holds."""
        return int(np.prod(self.shape))

    @property
    def columns(self) -> int:
        """The size of the last axis."""
        return self.shape[-1]

    @property
    def rows(self) -> int:
        """The product of the other axes."""
        return int(np.prod(self.shape[:-1]))

    @property
    def scale(self) -> float:
        """The scale of the whole tensor; 0 where there is none, or one per channel."""
        return self.scales[0] if len(self.scales) == len(self.zero_points) == 1 else 0.0

    @property
    def zero_point(self) -> int:
        """The zero point of the whole tensor; 0 where there is none, or one per channel."""
        return self.zero_points[0] if len(self.scales) == len(self.zero_points) == 1 else 0


@dataclass(frozen=True, slots=True)
class ModelTensors:
    """A model's inputs and outputs, in its own order."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


def of_interpreter(interpreter: Interpreter) -> ModelTensors:
    """Return the tensors of an interpreter's model."""
    runners = map(interpreter.get_signature_runner, interpreter.get_signature_list())
    signatures = (
        {name: int(item["index"]) for name, item in runner.get_output_details().items()}
        for runner in runners
    )
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    return _named(map(_described, inputs), map(_described, outputs), signatures)


def of_graph(graph: Graph) -> ModelTensors:
    """Return what ``of_interpreter`` would; nothing runs. Raises ModelError."""

    def read(tensor: Tensor) -> TensorInfo:
        return TensorInfo(
            tensor.index,
            tensor.name,
            tensor.shape,
            graph.shape_signature(tensor),
            _dtype(tensor.dtype),
            tuple(tensor.scales.tolist()),
            tuple(tensor.zero_points.tolist()),
        )

    signatures = graph.signature_outputs().values()
    return _named(map(read, graph.inputs), map(read, graph.outputs), signatures)


def _described(details: Mapping[str, Any]) -> TensorInfo:
    quantization = details["quantization_parameters"]
    return TensorInfo(
        int(details["index"]),
        details["name"],
        tuple(details["shape"].tolist()),
        tuple(details["shape_signature"].tolist()),
        np.dtype(details["dtype"]),
        tuple(quantization["scales"].tolist()),
        tuple(quantization["zero_points"].tolist()),
    )


def _named(
    inputs: Iterable[TensorInfo],
    outputs: Iterable[TensorInfo],
    signatures: Iterable[Mapping[str, int]],
) -> ModelTensors:
    """Name the outputs as the first of ``signatures`` (index by name) with exactly them does."""
    outputs = tuple(outputs)
    indices = {tensor.index for tensor in outputs}
    fitting = (signature for signature in signatures if set(signature.values()) == indices)
    names = {index: name for name, index in next(fitting, {}).items()}
    named = [replace(tensor, signature_name=names.get(tensor.index, "")) for tensor in outputs]
    return ModelTensors(tuple(inputs), tuple(named))


def _dtype(stored: str) -> np.dtype[Any]:
    try:
        return np.dtype(stored)
    except TypeError:
        return np.dtype(object)
