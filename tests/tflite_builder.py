"""Builds small .tflite files in memory, so that tests need neither TensorFlow nor model files.

``Model`` writes any graph; the functions below it make the models the tests have in common.
Only the ``flatbuffers`` package is used: the field names and their order are those of
TensorFlow's schema.fbs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import flatbuffers
import numpy as np
from flatbuffers import flexbuffers
from numpy.typing import NDArray

POSTPROCESS_OP = "TFLite_Detection_PostProcess"
# In the op's own order: boxes, classes, scores, number of detections.
POSTPROCESS_OUTPUTS = tuple(POSTPROCESS_OP + suffix for suffix in ("", ":1", ":2", ":3"))

_CUSTOM = 32
_BUILTIN_CODES = {"DEQUANTIZE": 6, "RESHAPE": 22, "SLICE": 65, "QUANTIZE": 114}
_TENSOR_TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int8": 9}
# Every table's fields in the order of their slots: ``name:stored type``, or only the name where
# an offset is stored.
_FIELDS = {
    "Model": "version:Uint32 operator_codes subgraphs description buffers metadata_buffer metadata"
    " signature_defs",
    "OperatorCode": "deprecated_builtin_code:Int8 custom_code version:Int32 builtin_code:Int32",
    "SubGraph": "tensors inputs outputs operators name",
    "Tensor": "shape type:Int8 buffer:Uint32 name quantization",
    "QuantizationParameters": "min max scale zero_point",
    "Operator": "opcode_index:Uint32 inputs outputs builtin_options_type:Uint8 builtin_options"
    " custom_options",
    "Buffer": "data",
    "Metadata": "name buffer:Uint32",
    "SignatureDef": "inputs outputs signature_key",
    "TensorMap": "name tensor_index:Uint32",
}


class Kind(NamedTuple):
    """A tensor's type: ``real = (values - zero_point) * scale``; scale 0 is not quantised."""

    dtype: str
    scale: float = 0.0
    zero_point: int = 0


FLOAT = Kind("float32")


class Kinds(NamedTuple):
    """The kinds of a detector's tensors; as in the published uint8 SSD MobileNet V1."""

    image: Kind = Kind("uint8", 1 / 128, 128)
    boxes: Kind = Kind("uint8", 0.07902788, 191)
    scores: Kind = Kind("uint8", 1 / 256, 0)
    anchors: Kind = Kind("uint8", 0.00645306, 0)


STOCK = Kinds()
# The op takes no int8: these are for raw heads only.
INT8 = Kinds(
    Kind("int8", 1 / 128, 0),
    Kind("int8", 0.07902788, 63),
    Kind("int8", 1 / 256, -128),
    Kind("int8", 0.00645306, -128),
)
FLOATS = Kinds(FLOAT, FLOAT, FLOAT, FLOAT)


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

    def tensor(self, name: str, shape: Sequence[int], kind: Kind = FLOAT, buffer: int = 0) -> Model:
        """Adds a tensor that is fed or computed."""
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

    def _table(self, table: str, **values: int) -> int:
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


@dataclass(frozen=True)
class PostprocessOptions:
    """The op's options under its own names; None leaves an option out."""

    max_detections: int = 10
    max_classes_per_detection: int = 1
    nms_score_threshold: float = 1e-8
    nms_iou_threshold: float = 0.6
    num_classes: int = 90
    y_scale: float = 10.0
    x_scale: float = 10.0
    h_scale: float = 5.0
    w_scale: float = 5.0
    use_regular_nms: bool | None = None
    detections_per_class: int | None = None


def postprocess_op_model(
    anchors: NDArray[Any], columns: int, options: PostprocessOptions, kinds: Kinds = FLOATS
) -> bytes:
    """Only the op: inputs ``boxes`` [1, N, 4] and ``scores`` [1, N, columns].

    anchors: (N, 4) ycenter, xcenter, height, width, real numbers.
    """
    model = Model().tensor("boxes", (1, len(anchors), 4), kinds.boxes)
    model.tensor("scores", (1, len(anchors), columns), kinds.scores)
    _add_postprocess_op(model, ("boxes", "scores"), anchors, options, kinds)
    return model.build(("boxes", "scores"), POSTPROCESS_OUTPUTS)


def raw_heads_model(
    num_anchors: int = 12,
    columns: int = 4,
    kinds: Kinds = STOCK,
    *,
    input_shape: tuple[int, ...] = (1, 16, 16, 3),
    names: tuple[str, str] = ("boxes", "scores"),
    scores_first: bool = False,
    signature: bool = False,
) -> bytes:
    """image -> box encodings [1, N, 4] and class scores [1, N, columns].

    The heads hold the real values of the picture's first numbers, boxes before scores, so a
    test paints the heads it wants (requantising may round them by one quantum).
    scores_first: turns the order of the outputs round.
    signature: adds serving_default, which uses the tensors' names.
    """
    model = _image_to_heads("image", input_shape, names, (num_anchors, columns), kinds)
    if signature:
        model.signature("serving_default", {"image": "image"}, {name: name for name in names})
    return model.build(("image",), names[::-1] if scores_first else names)


def stock_like_model(
    anchors: NDArray[Any],
    columns: int,
    options: PostprocessOptions,
    kinds: Kinds = STOCK,
    input_shape: tuple[int, ...] = (1, 16, 16, 3),
) -> bytes:
    """``raw_heads_model`` with the op behind it; tensors named as in the published model."""
    image, heads = "normalized_input_image_tensor", ("Squeeze", "convert_scores")
    model = _image_to_heads(image, input_shape, heads, (len(anchors), columns), kinds)
    _add_postprocess_op(model, heads, anchors, options, kinds)
    return model.build((image,), POSTPROCESS_OUTPUTS)


def classifier_model() -> bytes:
    """image -> one output [1, 1001]: a valid model that detects nothing."""
    model = _image_to_row("image", (1, 24, 24, 3), STOCK.image)
    _add_slice(model, "scores", 0, (1, 1001), (STOCK.image, STOCK.scores))
    return model.build(("image",), ("scores",))


def edgetpu_model() -> bytes:
    """Raw heads compiled for the Edge TPU: no interpreter runs it without the delegate."""
    model = Model().tensor("image", (1, 16, 16, 3), STOCK.image)
    model.tensor("boxes", (1, 12, 4), STOCK.boxes).tensor("scores", (1, 12, 4), STOCK.scores)
    model.custom_op("edgetpu-custom-op", ("image",), ("boxes", "scores"), {})
    return model.build(("image",), ("boxes", "scores"))


def quantize(values: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """Real values as a tensor of this kind stores them."""
    if not kind.scale:
        return values.astype(kind.dtype)
    limits = np.iinfo(kind.dtype)
    stored = np.rint(values / kind.scale) + kind.zero_point
    clipped: NDArray[Any] = np.clip(stored, limits.min, limits.max).astype(kind.dtype)
    return clipped


def _image_to_heads(
    image: str,
    input_shape: tuple[int, ...],
    names: tuple[str, str],
    size: tuple[int, int],
    kinds: Kinds,
) -> Model:
    num_anchors, columns = size
    model = _image_to_row(image, input_shape, kinds.image)
    _add_slice(model, names[0], 0, (1, num_anchors, 4), (kinds.image, kinds.boxes))
    shape = (1, num_anchors, columns)
    _add_slice(model, names[1], 4 * num_anchors, shape, (kinds.image, kinds.scores))
    return model


def _image_to_row(image: str, input_shape: tuple[int, ...], kind: Kind) -> Model:
    count = int(np.prod(input_shape))
    model = Model().tensor(image, input_shape, kind).tensor("row", (count,), kind)
    model.constant("row/shape", np.array([count], np.int32))
    return model.op("RESHAPE", (image, "row/shape"), ("row",))


def _add_slice(
    model: Model, name: str, start: int, shape: tuple[int, ...], kinds: tuple[Kind, Kind]
) -> None:
    """Adds ``name``: the row's numbers from ``start`` on, of the first kind, as the second."""
    source, kind = kinds
    cut, shaped, count = f"{name}/cut", f"{name}/shaped", int(np.prod(shape))
    for part, numbers in (("begin", [start]), ("size", [count]), ("shape", shape)):
        model.constant(f"{name}/{part}", np.array(numbers, np.int32))
    model.tensor(cut, (count,), source).tensor(shaped, shape, source).tensor(name, shape, kind)
    model.op("SLICE", ("row", f"{name}/begin", f"{name}/size"), (cut,))
    model.op("RESHAPE", (cut, f"{name}/shape"), (shaped,))
    if kind.scale:
        model.op("QUANTIZE", (shaped,), (name,))
    elif source.scale:
        model.op("DEQUANTIZE", (shaped,), (name,))
    else:
        model.op("RESHAPE", (shaped, f"{name}/shape"), (name,))


def _add_postprocess_op(
    model: Model,
    heads: tuple[str, str],
    anchors: NDArray[Any],
    options: PostprocessOptions,
    kinds: Kinds,
) -> None:
    rows = options.max_detections * options.max_classes_per_detection
    model.constant("anchors", quantize(anchors, kinds.anchors), kinds.anchors)
    shapes = ((1, rows, 4), (1, rows), (1, rows), (1,))
    for name, shape in zip(POSTPROCESS_OUTPUTS, shapes, strict=True):
        model.tensor(name, shape)
    given = {name: value for name, value in asdict(options).items() if value is not None}
    model.custom_op(POSTPROCESS_OP, (*heads, "anchors"), POSTPROCESS_OUTPUTS, given)
