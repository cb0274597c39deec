"""Builds small .tflite files in memory, so that tests need neither TensorFlow nor model files.

``Model`` writes any graph; ``tflite_models`` has those that the tests share.
Only the ``flatbuffers`` package is used: the field names and their order are those of
TensorFlow's schema.fbs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flatbuffers
import numpy as np
from flatbuffers import flexbuffers
from numpy.typing import NDArray

_CUSTOM = 32
_BUILTIN_CODES = {
    "ADD": 0,
    "AVERAGE_POOL_2D": 1,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 4,
    "DEQUANTIZE": 6,
    "LOGISTIC": 14,
    "MAX_POOL_2D": 17,
    "RESHAPE": 22,
    "SOFTMAX": 25,
    "SQUEEZE": 43,
    "SLICE": 65,
    "QUANTIZE": 114,
}
# The numbers of the options' tables in the union BuiltinOptions.
_OPTIONS = {
    "Conv2DOptions": 1,
    "DepthwiseConv2DOptions": 2,
    "Pool2DOptions": 5,
    "SoftmaxOptions": 9,
    "ConcatenationOptions": 10,
}
_TENSOR_TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int16": 7, "int8": 9}
# Every table's fields in the order of their slots: ``name:stored type``, or only the name where
# an offset is stored.
_FIELDS = {
    "Model": "version:Uint32 operator_codes subgraphs description buffers metadata_buffer metadata"
    " signature_defs",
    "OperatorCode": "deprecated_builtin_code:Int8 custom_code version:Int32 builtin_code:Int32",
    "SubGraph": "tensors inputs outputs operators name",
    "Tensor": "shape type:Int8 buffer:Uint32 name quantization is_variable:Bool sparsity"
    " shape_signature",
    "QuantizationParameters": "min max scale zero_point",
    "Operator": "opcode_index:Uint32 inputs outputs builtin_options_type:Uint8 builtin_options"
    " custom_options",
    "Buffer": "data",
    "Metadata": "name buffer:Uint32",
    "SignatureDef": "inputs outputs signature_key",
    "TensorMap": "name tensor_index:Uint32",
    "Conv2DOptions": "padding:Int8 stride_w:Int32 stride_h:Int32 activation:Int8",
    "DepthwiseConv2DOptions": "padding:Int8 stride_w:Int32 stride_h:Int32 depth_multiplier:Int32"
    " activation:Int8",
    "Pool2DOptions": "padding:Int8 stride_w:Int32 stride_h:Int32 filter_width:Int32"
    " filter_height:Int32",
    "SoftmaxOptions": "beta:Float32",
    "ConcatenationOptions": "axis:Int32",
}


class Kind(NamedTuple):
    """A tensor's type: ``real = (values - zero_point) * scale``; scale 0 is not quantised."""

    dtype: str
    scale: float = 0.0
    zero_point: int = 0


FLOAT = Kind("float32")


class Model:
    """A .tflite file in the making. Every method but ``build`` returns it, so calls chain."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(1024)
        self._names: list[str] = []
        self._codes: list[str] = []
        # Offsets of the tables written so far. Buffer 0 is by convention the empty one, which
        # the tensors that are fed or computed point at.
        self._tensors: list[int] = []
        self._ops: list[int] = []
        self._buffers = [self._table("Buffer")]
        self._metadata: list[int] = []
        self._signatures: list[int] = []

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        kind: Kind = FLOAT,
        buffer: int = 0,
        shape_signature: Sequence[int] = (),
    ) -> Model:
        """Adds a tensor that is fed or computed.

        shape_signature: the shape with -1 for the sizes that are not fixed (1 in the shape).
        """
        fields = {
            "shape": self._numbers(shape, "int32"),
            "type": _TENSOR_TYPES[kind.dtype],
            "buffer": buffer,
            "name": self._builder.CreateString(name),
        }
        if kind.scale:
            scale = self._numbers([kind.scale], "float32")
            zero_point = self._numbers([kind.zero_point], "int64")
            fields["quantization"] = self._table(
                "QuantizationParameters", scale=scale, zero_point=zero_point
            )
        if shape_signature:
            fields["shape_signature"] = self._numbers(shape_signature, "int32")
        self._tensors.append(self._table("Tensor", **fields))
        self._names.append(name)
        return self

    def constant(self, name: str, values: NDArray[Any], kind: Kind | None = None) -> Model:
        """Adds a constant tensor; the kind is needed only where it is quantised."""
        kind = kind or Kind(str(values.dtype))
        buffer = self._add_buffer(values.astype(kind.dtype).tobytes())
        return self.tensor(name, values.shape, kind, buffer)

    def op(self, code: str, inputs: Sequence[str], outputs: Sequence[str], **extra: int) -> Model:
        """Adds an op by its name in the schema, with default options; other names are custom."""
        if code not in self._codes:
            self._codes.append(code)
        table = self._table(
            "Operator",
            opcode_index=self._codes.index(code),
            inputs=self._indices(inputs),
            outputs=self._indices(outputs),
            **extra,
        )
        self._ops.append(table)
        return self

    def op_with_options(
        self,
        code: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        table: str,
        **values: float,
    ) -> Model:
        """Adds an op with its table of options; what is not given is the schema's default."""
        options = self._table(table, **values)
        return self.op(
            code, inputs, outputs, builtin_options_type=_OPTIONS[table], builtin_options=options
        )

    def custom_op(
        self, name: str, inputs: Sequence[str], outputs: Sequence[str], options: Mapping[str, Any]
    ) -> Model:
        """Adds a custom op; the options are written as a flexbuffer map."""
        packed = self._bytes(bytes(flexbuffers.Dumps(dict(options))))
        return self.op(name, inputs, outputs, custom_options=packed)

    def signature(self, key: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> Model:
        """Adds a signature; both mappings go from the signature's names to tensor names."""
        table = self._table(
            "SignatureDef",
            inputs=self._tensor_maps(inputs),
            outputs=self._tensor_maps(outputs),
            signature_key=self._builder.CreateString(key),
        )
        self._signatures.append(table)
        return self

    def metadata(self, name: str, content: bytes) -> Model:
        """Adds a named piece of metadata."""
        buffer = self._add_buffer(content)
        text = self._builder.CreateString(name)
        self._metadata.append(self._table("Metadata", name=text, buffer=buffer))
        return self

    def build(self, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
        """The file's bytes, with the graph's inputs and outputs in this order; call it last."""
        subgraph = self._table(
            "SubGraph",
            tensors=self._offsets(self._tensors),
            inputs=self._indices(inputs),
            outputs=self._indices(outputs),
            operators=self._offsets(self._ops),
        )
        root = self._table(
            "Model",
            version=3,
            operator_codes=self._offsets([self._operator_code(code) for code in self._codes]),
            subgraphs=self._offsets([subgraph]),
            buffers=self._offsets(self._buffers),
            metadata=self._offsets(self._metadata),
            signature_defs=self._offsets(self._signatures),
        )
        self._builder.Finish(root, b"TFL3")
        return bytes(self._builder.Output())

    def _table(self, table: str, **values: float) -> int:
        fields = [field.partition(":") for field in _FIELDS[table].split()]
        names = [field for field, _, _ in fields]
        self._builder.StartObject(len(fields))
        for field, value in values.items():
            slot = names.index(field)
            stored = fields[slot][2] or "UOffsetTRelative"
            getattr(self._builder, f"Prepend{stored}Slot")(slot, value, 0)
        return int(self._builder.EndObject())

    def _numbers(self, values: Sequence[float], dtype: str) -> int:
        return int(self._builder.CreateNumpyVector(np.array(values, dtype)))

    def _indices(self, names: Sequence[str]) -> int:
        return self._numbers([self._names.index(name) for name in names], "int32")

    def _offsets(self, offsets: Sequence[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())

    def _bytes(self, content: bytes) -> int:
        # The schema demands 16-byte alignment, which CreateByteVector does not give.
        builder = self._builder
        builder.StartVector(1, len(content), 16)
        builder.head -= len(content)
        builder.Bytes[builder.head : builder.head + len(content)] = content
        return int(builder.EndVector())

    def _add_buffer(self, content: bytes) -> int:
        self._buffers.append(self._table("Buffer", data=self._bytes(content)))
        return len(self._buffers) - 1

    def _tensor_maps(self, mapping: Mapping[str, str]) -> int:
        maps = []
        for name, tensor in mapping.items():
            text = self._builder.CreateString(name)
            index = self._names.index(tensor)
            maps.append(self._table("TensorMap", name=text, tensor_index=index))
        return self._offsets(maps)

    def _operator_code(self, code: str) -> int:
        number = _BUILTIN_CODES.get(code, _CUSTOM)
        fields = {"deprecated_builtin_code": number, "builtin_code": number, "version": 1}
        if number == _CUSTOM:
            fields["custom_code"] = self._builder.CreateString(code)
        return self._table("OperatorCode", **fields)


def quantize(values: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """Real values as a tensor of this kind stores them."""
    if not kind.scale:
        return values.astype(kind.dtype)
    limits = np.iinfo(kind.dtype)
    stored = np.rint(values / kind.scale) + kind.zero_point
    clipped: NDArray[Any] = np.clip(stored, limits.min, limits.max).astype(kind.dtype)
    return clipped
