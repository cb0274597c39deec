"""A uint8 graph, as TensorFlow exported it until 2020, to int8 with scales per channel.

The runtimes have their fastest kernels for int8 only.
``real = (stored - zero_point) x scale`` (Jacob et al. 2018, equation 1). Taking 128 from stored
values and zero points alike changes no real number, so activations keep their values exactly.
Weights must have the zero point 0 in int8, and may have a scale per channel. Operators that
are not in the table below are refused: whether they keep their meaning was not examined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import ModelError
from edge_ssd.models import flatbuffer
from edge_ssd.models.flatbuffer import Data, damaged
from edge_ssd.models.graph import EDGETPU_OP, OMITTED, Graph, Operator, Tensor, builtin_code

LIMIT = 127
"""Weights are from -127 to 127: TensorFlow Lite's int8 kernels take no -128."""

_INT8_VERSION = {
    "ADD": 2, "AVERAGE_POOL_2D": 2, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3,
    "DEQUANTIZE": 2, "LOGISTIC": 2, "MAX_POOL_2D": 2, "RESHAPE": 1, "SOFTMAX": 2, "SQUEEZE": 1,
}  # fmt: skip
"""The operators whose int8 kernel computes what the uint8 one does, and its minimum version."""

_CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
_ANY_OUTPUT_SCALE = {"ADD", *_CHANNEL_AXIS}
_SAME_VALUES = {"RESHAPE", "SQUEEZE"}
_INT8 = 9


@dataclass(frozen=True, slots=True, eq=False)
class Quantisation:
    """A tensor's scales and zero points: one of each, or one per channel of ``dimension``."""

    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    dimension: int = 0

    def same_as(self, other: Quantisation) -> bool:
        """Whether stored values mean the same in both."""
        pairs = (self.scales, other.scales), (self.zero_points, other.zero_points)
        return all(np.array_equal(mine, theirs) for mine, theirs in pairs)


def per_channel(
    stored: NDArray[np.uint8], zero_point: int, axis: int
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return weights with the zero point 0, and each channel's step (1 or more) in old steps.

    A channel whose levels (stored - zero_point) all are within 127 of 0 keeps them exactly.
    Levels can reach 255; a channel with such ones gets longer steps.
    """
    levels = np.moveaxis(stored.astype(np.int64) - zero_point, axis, 0)
    flat = levels.reshape(len(levels), -1)
    # Cleverer steps and rounding (least squares, errors that cancel out) were measured:
    # no difference to what is detected.
    steps = np.maximum(1.0, np.abs(flat).max(axis=1) / LIMIT)
    values = np.rint(flat / steps[:, None]).reshape(levels.shape)
    return np.moveaxis(values, 0, axis).astype(np.int8), steps


def rescaled_bias(stored: NDArray[Any], steps: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return int32 biases in steps of this many old ones each."""
    return np.rint(stored / steps).astype(np.int32)


def requantise(data: Data) -> bytes:
    """Return the model with int8 in place of uint8.

    Raises ModelError when the graph is of another kind, or has an operator that is not known.
    """
    graph = Graph(data)
    graph.check()
    _check(graph)
    return _Requantiser(graph).write()


def _check(graph: Graph) -> None:
    """Raise ModelError unless every operator is known, and has what it needs."""
    names = {operator.name for operator in graph.operators}
    if EDGETPU_OP in names:
        raise ModelError(
            "it is compiled for the Edge TPU: its weights are in the device's own form and "
            "cannot be requantised",
            "requantise the file it was compiled from (without _edgetpu in its name)",
        )
    convolutions = [op for op in graph.operators if op.name in _CHANNEL_AXIS]
    dtypes = {graph.tensor(index).dtype for op in convolutions for index in op.inputs[1:2]}
    if dtypes == {"i1"}:
        raise _refused("it is int8 already")
    if "<f4" in dtypes:
        problem = "its weights are float32, and there are no scales to requantise by"
        raise ModelError(problem, "export it quantised (full integer), or leave out --int8")
    unknown = sorted(names - _INT8_VERSION.keys())
    if unknown:
        raise _refused(f"its operators {', '.join(unknown)} are not known to requantisation")
    if dtypes != {"u1"}:
        raise _refused("it has no convolutions with weights of uint8")
    whole = all(_whole(graph, operator) for operator in convolutions)
    if not whole or not all(op.inputs and op.outputs for op in graph.operators):
        raise damaged("an operator lacks an input, or its weights or biases have another shape")


def _whole(graph: Graph, operator: Operator) -> bool:
    """Whether a convolution has weights, not empty, and an int32 bias for each channel."""
    tensors = [graph.tensor(index) for index in operator.inputs[1:]]
    if len(tensors) != 2 or len(tensors[0].shape) != 4 or not all(tensors[0].shape):
        return False
    channels = tensors[0].shape[_CHANNEL_AXIS[operator.name]]
    return (tensors[1].dtype, tensors[1].shape) == ("<i4", (channels,))


class _Requantiser:
    """Works out every change first, then writes them all."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.kinds: dict[int, Quantisation] = {}  # by tensor
        self.stored: dict[int, bytes] = {}  # by buffer
        for operator in graph.operators:
            if operator.name in _CHANNEL_AXIS:
                self._weigh(operator)
        used = {index for op in graph.operators for index in (*op.inputs, *op.outputs)}
        for index in sorted(used - self.kinds.keys() - {OMITTED}):
            if graph.tensor(index).dtype == "u1":
                self._shift(graph.tensor(index))
        for operator in graph.operators:
            if operator.name == "CONCATENATION" and operator.outputs[0] in self.kinds:
                # What an int8 concatenation joins must have equal scales.
                for index in operator.inputs:
                    self._give(index, self.kinds[operator.outputs[0]])

    def _weigh(self, operator: Operator) -> None:
        """Plan the weights and biases of a convolution."""
        source, weights, bias = (self.graph.tensor(index) for index in operator.inputs)
        axis = _CHANNEL_AXIS[operator.name]
        scale, zero_point = _only(weights)
        values, steps = per_channel(self.graph.stored(weights), zero_point, axis)
        scales = (scale * steps).astype(np.float32)
        zeros = np.zeros(len(scales), np.int64)
        self._plan(weights, Quantisation(scales, zeros, axis), values.tobytes())
        biases = rescaled_bias(self.graph.stored(bias), steps)
        self._plan(bias, Quantisation(_only(source)[0] * scales, zeros), biases.tobytes())

    def _shift(self, tensor: Tensor) -> None:
        """Plan the move by 128 of a tensor that is no weight."""
        scale, zero_point = _only(tensor)
        kind = Quantisation(np.array([scale]), np.array([zero_point - 128], np.int64))
        constant = self.graph.model.vector(4).table(tensor.buffer).vector(0).length
        content = (self.graph.stored(tensor) ^ np.uint8(0x80)).tobytes() if constant else None
        self._plan(tensor, kind, content)

    def _give(self, index: int, kind: Quantisation) -> None:
        """Let the operator that computes a tensor give it with this scale at once."""
        own = self.kinds.get(index)
        if own and own.same_as(kind):
            return
        makers = [op for op in self.graph.operators if index in op.outputs]
        readers = [op for op in self.graph.operators if index in op.inputs]
        shared = len(readers) != 1 or index in (tensor.index for tensor in self.graph.outputs)
        maker = makers[0].name if makers else "the input"
        if not own or shared or maker not in _ANY_OUTPUT_SCALE | _SAME_VALUES:
            name = self.graph.tensor(index).name
            raise _refused(
                f"its CONCATENATION joins {name!r} with others of another scale, and {maker} "
                f"cannot give it with theirs"
            )
        self.kinds[index] = kind
        if maker in _SAME_VALUES:
            self._give(makers[0].inputs[0], kind)

    def _plan(self, tensor: Tensor, kind: Quantisation, content: bytes | None) -> None:
        planned = self.kinds.get(tensor.index, kind)
        if content is not None:
            same = self.stored.setdefault(tensor.buffer, content) == content
            if not (same and planned.same_as(kind)):
                raise _refused(
                    f"tensor {tensor.name!r} shares its values with another whose scale differs"
                )
        self.kinds[tensor.index] = kind

    def write(self) -> bytes:
        """Return the changed file: values in their old place, descriptions at the end."""
        data = bytearray(self.graph.data)
        edited = Graph(data)
        for buffer, content in self.stored.items():
            old = edited.model.vector(4).table(buffer).vector(0)
            data[old.position : old.position + len(content)] = content
        tables = edited.subgraph.vector(0)
        for index, kind in self.kinds.items():
            table = tables.table(index)
            if self.graph.tensor(index).dtype == "u1":
                data[table.place(1)] = _INT8
            new = flatbuffer.built({2: kind.scales, 3: kind.zero_points, 6: kind.dimension})
            added = flatbuffer.append(data, new)
            flatbuffer.point(data, table.place(4), added)
        codes = self.graph.model.vector(1)
        for index, name in {op.code_index: op.name for op in self.graph.operators}.items():
            code_table = codes.table(index)
            version = max(code_table.scalar(2, "i", 1), _INT8_VERSION[name])
            # Slot 0 is one byte in the schema, the first of the four written: all are below 127.
            code = builtin_code(code_table)
            added = flatbuffer.append(data, flatbuffer.built({0: code, 2: version, 3: code}))
            flatbuffer.point(data, codes.position + 4 * index, added)
        return bytes(data)


def _refused(problem: str) -> ModelError:
    return ModelError(problem, "leave out --int8")


def _only(tensor: Tensor) -> tuple[np.float32, int]:
    """Return the one scale and zero point that a uint8 tensor has."""
    if not len(tensor.scales) == len(tensor.zero_points) == 1:
        raise _refused(f"tensor {tensor.name!r} has {len(tensor.scales)} scales, and uint8 has one")
    return tensor.scales[0], int(tensor.zero_points[0])
