"""A uint8 graph, as TensorFlow exported it until 2020, to int8 with scales per channel.

The runtimes have their fastest kernels for int8 only. Activations keep their values exactly,
moved by 128; weights are in ``quantisation``. Operators that are not in the table below are
refused: whether such a change keeps their meaning has not been looked at.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from flatbuffers import Builder

from edge_ssd.errors import ModelError
from edge_ssd.models import flatbuffer
from edge_ssd.models.flatbuffer import Data
from edge_ssd.models.graph import EDGETPU_OP, Graph, Operator, Tensor, builtin_code
from edge_ssd.models.quantisation import Quantisation, per_channel, rescaled_bias, shifted

_INT8_VERSION = {
    "ADD": 2,
    "AVERAGE_POOL_2D": 2,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "DEQUANTIZE": 2,
    "LOGISTIC": 2,
    "MAX_POOL_2D": 2,
    "RESHAPE": 1,
    "SOFTMAX": 2,
    "SQUEEZE": 1,
}
"""The operators whose int8 kernel computes what the uint8 one does, and its minimum version."""

_CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
_ANY_OUTPUT_SCALE = {"ADD", *_CHANNEL_AXIS}
_SAME_VALUES = {"RESHAPE", "SQUEEZE"}
_INT8 = 9


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
        raise ModelError("it is int8 already", "leave out --int8")
    if "<f4" in dtypes:
        raise ModelError(
            "its weights are float32, and there are no scales to requantise by",
            "export it quantised (full integer), or leave out --int8",
        )
    unknown = sorted(names - _INT8_VERSION.keys())
    if unknown:
        raise ModelError(
            f"its operators {', '.join(unknown)} are not known to requantisation",
            "leave out --int8",
        )
    if dtypes != {"u1"}:
        raise ModelError("it has no convolutions with weights of uint8", "leave out --int8")
    whole = all(_whole(graph, operator) for operator in convolutions)
    if not whole or not all(op.inputs and op.outputs for op in graph.operators):
        raise ModelError(
            "the model file is damaged: an operator lacks an input, or its weights or biases "
            "have another shape",
            "copy or download the file again",
        )


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
        for index in sorted(used - self.kinds.keys() - {-1}):
            if graph.tensor(index).dtype == "u1":
                self._shift(graph.tensor(index))
        for operator in graph.operators:
            if operator.name == "CONCATENATION" and operator.outputs[0] in self.kinds:
                self._join(operator)

    def _weigh(self, operator: Operator) -> None:
        """Plan the weights and biases of a convolution."""
        source, weights, bias = (self.graph.tensor(index) for index in operator.inputs)
        axis = _CHANNEL_AXIS[operator.name]
        scale, zero_point = _only(weights)
        new = per_channel(self.graph.stored(weights), zero_point, axis)
        scales = (scale * new.steps).astype(np.float32)
        zeros = np.zeros(len(scales), np.int64)
        self._plan(weights, Quantisation(scales, zeros, axis), new.values.tobytes())
        values = rescaled_bias(self.graph.stored(bias), new.steps)
        self._plan(bias, Quantisation(_only(source)[0] * scales, zeros), values.tobytes())

    def _shift(self, tensor: Tensor) -> None:
        """Plan the move by 128 of a tensor that is no weight."""
        scale, zero_point = _only(tensor)
        kind = Quantisation(np.array([scale]), np.array([zero_point - 128], np.int64))
        constant = self.graph.model.vector(4).table(tensor.buffer).vector(0).length
        content = shifted(self.graph.stored(tensor)).tobytes() if constant else None
        self._plan(tensor, kind, content)

    def _join(self, operator: Operator) -> None:
        """Plan equal scales for what an int8 concatenation joins, which takes no others."""
        for index in operator.inputs:
            self._give(index, self.kinds[operator.outputs[0]])

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
            raise ModelError(
                f"its CONCATENATION joins {name!r} with others of another scale, and {maker} "
                f"cannot give it with theirs",
                "leave out --int8",
            )
        self.kinds[index] = kind
        if maker in _SAME_VALUES:
            self._give(makers[0].inputs[0], kind)

    def _plan(self, tensor: Tensor, kind: Quantisation, content: bytes | None) -> None:
        planned = self.kinds.get(tensor.index, kind)
        if content is not None:
            same = self.stored.setdefault(tensor.buffer, content) == content
            if not (same and planned.same_as(kind)):
                raise ModelError(
                    f"tensor {tensor.name!r} shares its values with another whose scale differs",
                    "leave out --int8",
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
                data[_present(table.field(1))] = _INT8
            place = _present(table.field(4))
            flatbuffer.point(data, place, flatbuffer.append(data, _kind_table(kind)))
        self._raise_versions(data, {op.code_index: op.name for op in self.graph.operators}.items())
        return bytes(data)

    def _raise_versions(self, data: bytearray, codes: Iterable[tuple[int, str]]) -> None:
        vector = self.graph.model.vector(1)
        for index, name in codes:
            old = vector.table(index)
            version = max(old.scalar(2, "i", 1), _INT8_VERSION[name])
            added = flatbuffer.append(data, _code_table(builtin_code(old), version))
            flatbuffer.point(data, vector.position + 4 * index, added)


def _only(tensor: Tensor) -> tuple[np.float32, int]:
    """Return the one scale and zero point that a uint8 tensor has."""
    if not len(tensor.scales) == len(tensor.zero_points) == 1:
        raise ModelError(
            f"tensor {tensor.name!r} has {len(tensor.scales)} scales, and uint8 has one",
            "leave out --int8",
        )
    return tensor.scales[0], int(tensor.zero_points[0])


def _present(place: int | None) -> int:
    assert place is not None  # a type that is not 0, and a scale, were read from it
    return place


def _kind_table(kind: Quantisation) -> bytes:
    builder = Builder(128 + 12 * len(kind.scales))
    scales = builder.CreateNumpyVector(kind.scales)
    zero_points = builder.CreateNumpyVector(kind.zero_points)
    builder.StartObject(7)
    builder.PrependUOffsetTRelativeSlot(2, scales, 0)
    builder.PrependUOffsetTRelativeSlot(3, zero_points, 0)
    builder.PrependInt32Slot(6, kind.dimension, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def _code_table(builtin: int, version: int) -> bytes:
    builder = Builder(64)
    builder.StartObject(4)
    builder.PrependInt8Slot(0, min(builtin, 127), 0)
    builder.PrependInt32Slot(2, version, 1)
    builder.PrependInt32Slot(3, builtin, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())
