"""The small models that the tests share, made with ``tflite_builder``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from support.tflite_builder import FLOAT, Kind, Model, quantize

POSTPROCESS_OP = "TFLite_Detection_PostProcess"
# In the op's own order: boxes, classes, scores, number of detections.
POSTPROCESS_OUTPUTS = tuple(POSTPROCESS_OP + suffix for suffix in ("", ":1", ":2", ":3"))


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
    add_postprocess_op(model, ("boxes", "scores"), anchors, options, kinds)
    return model.build(("boxes", "scores"), POSTPROCESS_OUTPUTS)


def raw_heads_model(
    num_anchors: int = 12,
    columns: int = 4,
    kinds: Kinds = STOCK,
    *,
    input_shape: tuple[int, ...] = (1, 16, 16, 3),
    names: tuple[str, str] = ("boxes", "scores"),
    scores_first: bool = False,
    signature: tuple[str, str] | bool = False,
) -> bytes:
    """image -> box encodings [1, N, 4] and class scores [1, N, columns].

    The heads hold the real values of the picture's first numbers, boxes before scores, so a
    test paints the heads it wants (requantising may round them by one quantum).
    scores_first: turns the order of the outputs round.
    signature: adds serving_default, which has these names for the outputs (True: the tensors').
    """
    model = _image_to_heads("image", input_shape, names, (num_anchors, columns), kinds)
    if signature:
        called = names if signature is True else signature
        model.signature(
            "serving_default", {"image": "image"}, dict(zip(called, names, strict=True))
        )
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
    add_postprocess_op(model, heads, anchors, options, kinds)
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


def add_postprocess_op(
    model: Model,
    heads: tuple[str, str],
    anchors: NDArray[Any],
    options: PostprocessOptions,
    kinds: Kinds,
) -> None:
    """Adds the op behind the two heads; the graph's outputs are then POSTPROCESS_OUTPUTS."""
    rows = options.max_detections * options.max_classes_per_detection
    model.constant("anchors", quantize(anchors, kinds.anchors), kinds.anchors)
    shapes = ((1, rows, 4), (1, rows), (1, rows), (1,))
    for name, shape in zip(POSTPROCESS_OUTPUTS, shapes, strict=True):
        model.tensor(name, shape)
    given = {name: value for name, value in asdict(options).items() if value is not None}
    model.custom_op(POSTPROCESS_OP, (*heads, "anchors"), POSTPROCESS_OUTPUTS, given)


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
