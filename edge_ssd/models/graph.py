"""A .tflite file as a graph: its tensors, its operators, and the changes made to them.

Slots are the field numbers of TensorFlow Lite's schema.fbs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from flatbuffers import flexbuffers
from numpy.typing import NDArray

from edge_ssd.errors import ModelError
from edge_ssd.models import flatbuffer
from edge_ssd.models.flatbuffer import Data, Table, Vector, damaged

POSTPROCESS_OP = "TFLite_Detection_PostProcess"
EDGETPU_OP = "edgetpu-custom-op"
OMITTED = -1
"""Stands for an optional input that an operator does not have."""

_CUSTOM = 32
_DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 4: "<i8", 6: "?", 7: "<i2", 9: "i1", 10: "<f8"}
_QUANTISED = {"u1", "i1", "<i2"}
_BUILTINS = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE
EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D
LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6
RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM
EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND
TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN
EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX
MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV
SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT
REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV
REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU
SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU
REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE
NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL
PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS
HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE
READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM
MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX
UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT
"""
_NAMES = _BUILTINS.split()
"""The operators of TensorFlow Lite by their number in schema.fbs (``BuiltinOperator``)."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor's description. scales and zero_points have one entry, or one per channel."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    buffer: int


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator; ``code`` is the custom name, or ``builtin N``.

    name: the custom name, or the schema's, such as ``CONV_2D``; of a newer one, its code.
    code_index: its place among the model's operator codes.
    """

    index: int
    code: str
    name: str
    code_index: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    custom_options: bytes


class Graph:
    """The first subgraph of a .tflite file, read without running anything.

    Raises ModelError when the bytes are not a TensorFlow Lite model.
    """

    def __init__(self, data: Data) -> None:
        check_mark(data)
        self.data = data
        self.model = flatbuffer.root(data)
        self.subgraph = self.model.vector(2).table(0)

    @cached_property
    def tensors(self) -> list[Tensor]:
        """Every tensor, by its index (the index the interpreter uses too)."""
        tables = self.subgraph.vector(0).tables()
        return [_tensor(index, table) for index, table in enumerate(tables)]

    @cached_property
    def operators(self) -> list[Operator]:
        """Every operator, in the order of execution."""
        codes = [_code_and_name(table) for table in self.model.vector(1).tables()]
        found = []
        for index, table in enumerate(self.subgraph.vector(3).tables()):
            number = table.scalar(0, "I")
            if number >= len(codes):
                raise damaged(f"operator {index} has code {number}")
            code, name = codes[number]
            inputs, outputs = _indices(table.vector(1)), _indices(table.vector(2))
            options = table.vector(5).array("u1").tobytes()
            found.append(Operator(index, code, name, number, inputs, outputs, options))
        return found

    @property
    def inputs(self) -> list[Tensor]:
        """The graph's input tensors."""
        return [self.tensor(index) for index in _indices(self.subgraph.vector(1))]

    @property
    def outputs(self) -> list[Tensor]:
        """The graph's output tensors."""
        return [self.tensor(index) for index in _indices(self.subgraph.vector(2))]

    def tensor(self, index: int) -> Tensor:
        """Return the tensor with this index."""
        if not 0 <= index < len(self.tensors):
            raise damaged(f"tensor {index} of {len(self.tensors)} is asked for")
        return self.tensors[index]

    def constant(self, tensor: Tensor) -> NDArray[np.float32]:
        """Return a constant tensor as real numbers: (value - zero point) x scale."""
        values = self.stored(tensor)
        if not len(tensor.scales) == len(tensor.zero_points) <= 1:
            raise ModelError(f"constant {tensor.name!r} has more than one scale or zero point")
        with np.errstate(all="ignore"):  # a damaged scale; what is not finite is refused later
            if len(tensor.scales):
                values = (values.astype(np.float32) - tensor.zero_points) * tensor.scales
            return values.astype(np.float32)

    def stored(self, tensor: Tensor) -> NDArray[Any]:
        """Return a constant tensor's values as the file has them; a view, read-only."""
        kept = self.model.vector(4).table(tensor.buffer).vector(0)
        try:
            return np.frombuffer(kept.array("u1"), tensor.dtype).reshape(tensor.shape)
        except (TypeError, ValueError):
            raise ModelError(
                f"tensor {tensor.name!r} should be {tensor.shape} {tensor.dtype} and holds "
                f"{kept.length} bytes; it is not a constant of the model"
            ) from None

    def check(self) -> None:
        """Raise ModelError unless every tensor, operator and stored weight is in the file.

        tflite-runtime does not look: it reads beyond the end of a file that was cut short.
        """
        stored = self.model.vector(4)
        for buffer in stored.tables():
            buffer.vector(0)
        for tensor in self.tensors:
            stored.table(tensor.buffer)
            _check_zero_points(tensor)
        for operator in self.operators:
            for index in (*operator.inputs, *operator.outputs):
                if index != OMITTED:
                    self.tensor(index)
        if not self.inputs or not self.outputs:
            raise ModelError("the model has no input or no output", "give another file")

    def custom_operator(self, code: str) -> Operator | None:
        """Return the first operator with this custom name, or None."""
        return next((op for op in self.operators if op.code == code), None)

    def signature_outputs(self) -> dict[str, dict[str, int]]:
        """Return the tensor index of each named output of each signature of this subgraph."""
        return {
            table.string(2): {
                output.string(0): output.scalar(1, "I") for output in table.vector(1).tables()
            }
            for table in self.model.vector(7).tables()
            if table.scalar(4, "I") == 0
        }

    def shape_signature(self, tensor: Tensor) -> tuple[int, ...]:
        """Return a tensor's shape with -1 for the sizes that are not fixed."""
        signature = _indices(self.subgraph.vector(0).table(tensor.index).vector(7))
        return signature or tensor.shape

    def metadata(self, name: str) -> bytes | None:
        """Return a named metadata buffer of the model, or None."""
        for entry in self.model.vector(6).tables():
            if entry.string(0) == name:
                buffer = self.model.vector(4).table(entry.scalar(1, "I"))
                return buffer.vector(0).array("u1").tobytes()
        return None


def check_mark(data: Data) -> None:
    """Raise ModelError unless the file that begins so is a TensorFlow Lite file."""
    if bytes(data[4:8]) != b"TFL3":
        problem = "not a TensorFlow Lite file (it does not carry the mark TFL3)"
        raise ModelError(problem, "give a .tflite file")


def custom_options(operator: Operator) -> dict[str, Any]:
    """Return the options of a custom operator that keeps them as a flexbuffer map.

    Options that are no numbers are None: bytes that only look like nested vectors could take
    for ever to read.
    """
    try:
        options = flexbuffers.GetRoot(operator.custom_options).AsMap
        if len(options.Keys) > 100:
            raise ValueError(f"{len(options.Keys)} of them")
        return {
            key.AsKey: value.Value if value.IsNumeric or value.IsBool else None
            for key, value in zip(options.Keys, options.Values, strict=True)
        }
    except Exception as error:  # the library raises whatever the bytes lead it to
        raise ModelError(f"the options of {operator.code} cannot be read: {error}") from None


def promote_inputs(graph: Graph, operator: Operator, count: int) -> bytes:
    """Remove ``operator``; its first ``count`` inputs become the graph's only outputs.

    Signatures are dropped, since they name the old outputs. Everything else keeps its bytes.
    Raises ModelError when another operator needs what this one computes.
    """
    used = [op.code for op in graph.operators if set(op.inputs) & set(operator.outputs)]
    if used:
        raise ModelError(f"{operator.code} cannot be removed: {used[0]} reads its outputs")
    data = bytearray(graph.data)
    edited = Graph(data)
    flatbuffer.remove_element(data, edited.subgraph.vector(3), operator.index)
    heads = np.array(operator.inputs[:count], "<i4")
    flatbuffer.append_vector(data, edited.subgraph, 2, heads)
    signatures = edited.model.vector(7)
    if signatures.length:
        flatbuffer.truncate(data, signatures, 0)
    return bytes(data)


def _check_zero_points(tensor: Tensor) -> None:
    # The runtimes crash on one that the type cannot hold.
    if tensor.dtype in _QUANTISED and len(tensor.zero_points):
        limits = np.iinfo(tensor.dtype)
        low, high = tensor.zero_points.min(), tensor.zero_points.max()
        if not limits.min <= low <= high <= limits.max:
            point = low if low < limits.min else high
            raise damaged(f"tensor {tensor.name!r} of {limits.dtype} has the zero point {point}")


def _indices(vector: Vector) -> tuple[int, ...]:
    return tuple(int(index) for index in vector.array("<i4"))


def builtin_code(table: Table) -> int:
    """Return the number of an OperatorCode's operator."""
    # Files from before 2020 keep it in the first, one-byte field.
    return int(max(table.scalar(0, "b"), table.scalar(3, "i")))


def _code_and_name(table: Table) -> tuple[str, str]:
    builtin = builtin_code(table)
    if builtin == _CUSTOM:
        return table.string(1), table.string(1)
    code = f"builtin {builtin}"
    return code, _NAMES[builtin] if 0 <= builtin < len(_NAMES) else code


def _tensor(index: int, table: Table) -> Tensor:
    kind = table.scalar(1, "b")
    quantization = table.table(4)
    scales, zero_points = (
        quantization.vector(slot) if quantization else Vector(table.data, 0, 0) for slot in (2, 3)
    )
    return Tensor(
        index=index,
        name=table.string(3),
        shape=_indices(table.vector(0)),
        dtype=_DTYPES.get(kind, f"type {kind}"),
        scales=scales.array("<f4"),
        zero_points=zero_points.array("<i8"),
        buffer=table.scalar(2, "I"),
    )
