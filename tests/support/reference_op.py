"""TFLite_Detection_PostProcess twice: as an installed runtime runs it, and as a reference.

The reference says plainly, number by number, what the op does (TensorFlow's
detection_postprocess.cc). It equals tflite-runtime 2.14 and LiteRT 2.3 to the bit:

- uint8 becomes real as ``(float32(value) - zero_point) * scale`` in float32. (Of scores with a
  zero point, LiteRT computes all but the last few as ``value * scale - zero_point * scale``.)
- Boxes are decoded in float64; the centres and half sizes are rounded to float32, and the
  corners computed of those. Nothing is clipped.
- One box inside out (a negative size), however low its score, fails the whole op. Boxes
  without area, infinite or not-a-number neither suppress nor are suppressed.
- The score has to reach its threshold, the IoU to exceed its own. Equal scores keep the order
  of the anchors; of equal classes of an anchor the first wins, but only while one is asked for:
  several are ordered by an unstable partial sort.
- Rows of the output beyond the count are not written on the fast path (on the regular one
  they are zeros).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_ssd.types import QuantizedTensor, RawHeads
from support.tflite_builder import Kind
from support.tflite_models import (
    POSTPROCESS_OUTPUTS,
    Kinds,
    PostprocessOptions,
    postprocess_op_model,
)

_RUNTIMES = ("tflite_runtime", "ai_edge_litert")
_DEFAULT_DETECTIONS_PER_CLASS = 100

Box = NDArray[np.float32]
Scores = Sequence[np.float32]


class OpResult(NamedTuple):
    """What the op found, in its order; only the rows it has written.

    boxes_yxyx: (D, 4) float32. classes: (D,) int, background not counted. scores: (D,) float32.
    """

    boxes_yxyx: NDArray[np.float32]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]


def installed_runtimes() -> list[Any]:
    """The ``interpreter`` module of each TensorFlow Lite runtime installed here."""
    found = [runtime for runtime in _RUNTIMES if importlib.util.find_spec(runtime)]
    return [importlib.import_module(f"{runtime}.interpreter") for runtime in found]


def run_op(
    runtime: Any, heads: RawHeads, anchors: QuantizedTensor, options: PostprocessOptions
) -> OpResult:
    """Run the op itself; RuntimeError where it refuses its input."""
    kinds = Kinds(boxes=_kind(heads.boxes), scores=_kind(heads.scores), anchors=_kind(anchors))
    columns = heads.scores.values.shape[1]
    content = postprocess_op_model(real(anchors), columns, options, kinds)
    # One thread: with more, the regular path leaves the order of equal scores to chance.
    interpreter = runtime.Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for detail, head in zip(
        interpreter.get_input_details(), (heads.boxes, heads.scores), strict=True
    ):
        interpreter.set_tensor(detail["index"], head.values[None])
    interpreter.invoke()
    index = {detail["name"]: detail["index"] for detail in interpreter.get_output_details()}
    outputs = [interpreter.get_tensor(index[name]) for name in POSTPROCESS_OUTPUTS]
    return _written_rows(outputs, options)


def reference(
    heads: RawHeads,
    anchors: QuantizedTensor,
    options: PostprocessOptions,
    last_class_first: bool = False,
) -> OpResult:
    """Compute what the op does; RuntimeError where it refuses its input.

    last_class_first: the order of equal scores of different classes on the regular path, in
    which tflite-runtime differs from LiteRT (and both from themselves, with several threads).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        boxes = _decode(real(heads.boxes), real(anchors), options)
        if ((boxes[:, 0] > boxes[:, 2]) | (boxes[:, 1] > boxes[:, 3])).any():
            raise RuntimeError("a box is inside out")
        background = heads.scores.values.shape[1] - options.num_classes
        scores = real(heads.scores)[:, background:]
        if options.use_regular_nms:
            found = _regular(boxes, scores, options, last_class_first)
        else:
            found = _fast(boxes, scores, options)
        pairs = np.array(found, np.int64).reshape(-1, 2)
    return OpResult(boxes[pairs[:, 0]], pairs[:, 1], scores[pairs[:, 0], pairs[:, 1]])


def real(tensor: QuantizedTensor) -> NDArray[np.float32]:
    """The numbers a tensor stands for."""
    if not tensor.quantized:
        return tensor.values.astype(np.float32)
    shifted = tensor.values.astype(np.float32) - np.float32(tensor.zero_point)
    return shifted * np.float32(tensor.scale)


def _kind(tensor: QuantizedTensor) -> Kind:
    scale = tensor.scale if tensor.quantized else 0.0
    return Kind(str(tensor.values.dtype), scale, tensor.zero_point)


def _written_rows(outputs: Sequence[NDArray[Any]], options: PostprocessOptions) -> OpResult:
    """Leave out what the op did not write: memory as it was found."""
    boxes, classes, scores, count = outputs
    if options.use_regular_nms:
        stride = written = 1
    else:
        stride = options.max_classes_per_detection
        written = min(stride, options.num_classes)
    found = int(count[0])
    rows = (np.arange(found)[:, None] * stride + np.arange(written)).ravel()
    return OpResult(boxes[0, rows], classes[0, rows].astype(np.int64), scores[0, rows])


def _decode(
    encodings: NDArray[np.float32], anchors: NDArray[np.float32], options: PostprocessOptions
) -> NDArray[np.float32]:
    """(N, 4) encodings ty, tx, th, tw and anchors y, x, h, w to corners ymin, xmin, ymax, xmax."""
    # The scales reach the op as float32.
    scales = np.array(
        [options.y_scale, options.x_scale, options.h_scale, options.w_scale], np.float32
    )
    scaled = encodings.astype(np.float64) / scales
    anchor_centers, anchor_sizes = anchors[:, :2].astype(np.float64), anchors[:, 2:]
    centers = (scaled[:, :2] * anchor_sizes + anchor_centers).astype(np.float32)
    halves = (0.5 * np.exp(scaled[:, 2:]) * anchor_sizes).astype(np.float32)
    return np.concatenate([centers - halves, centers + halves], axis=1)


def _fast(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], options: PostprocessOptions
) -> list[tuple[int, int]]:
    """Each anchor stands for its best classes, and competes with the best of them."""
    asked = min(options.max_classes_per_detection, options.num_classes)
    classes = [_best(row, asked) for row in scores]
    best_scores = [row[best[0]] for row, best in zip(scores, classes, strict=True)]
    selected = _suppress(boxes, best_scores, options, options.max_detections)
    return [(anchor, class_id) for anchor in selected for class_id in classes[anchor]]


def _regular(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    options: PostprocessOptions,
    last_class_first: bool,
) -> list[tuple[int, int]]:
    """Each class by itself, then the best of all."""
    per_class = options.detections_per_class or _DEFAULT_DETECTIONS_PER_CLASS
    classes = range(options.num_classes)
    pairs = [
        (anchor, class_id)
        for class_id in (reversed(classes) if last_class_first else classes)
        for anchor in _suppress(boxes, list(scores[:, class_id]), options, per_class)
    ]
    return sorted(pairs, key=lambda pair: -scores[pair])[: options.max_detections]


def _suppress(
    boxes: NDArray[np.float32], scores: Scores, options: PostprocessOptions, limit: int
) -> list[int]:
    """Greedy non-maximum suppression: the anchors to keep, best first."""
    score_threshold = np.float32(options.nms_score_threshold)
    iou_threshold = np.float32(options.nms_iou_threshold)
    reach = [anchor for anchor, score in enumerate(scores) if score >= score_threshold]
    kept: list[int] = []
    for anchor in sorted(reach, key=lambda anchor: -scores[anchor]):
        if len(kept) == limit:
            break
        if not any(_iou(boxes[other], boxes[anchor]) > iou_threshold for other in kept):
            kept.append(anchor)
    return kept


def _iou(a: Box, b: Box) -> np.float32:
    """Intersection over union in float32; 0 where either box has no area."""
    area_a = (a[2] - a[0]) * (a[3] - a[1])
    area_b = (b[2] - b[0]) * (b[3] - b[1])
    if area_a <= 0 or area_b <= 0:
        return np.float32(0)
    height = max(min(a[2], b[2]) - max(a[0], b[0]), np.float32(0))
    width = max(min(a[3], b[3]) - max(a[1], b[1]), np.float32(0))
    intersection = height * width
    return np.float32(intersection / (area_a + area_b - intersection))


def _best(values: Scores, count: int) -> list[int]:
    """Indices of the ``count`` largest values, largest first.

    The op takes the first of equals when one is asked for, else C++'s std::partial_sort in the
    form of libstdc++, which both runtimes carry: a heap of the first ``count`` values, the least
    on top, gives it up for every larger value that follows, and is then taken apart.
    """
    if count == 1:
        return [int(np.argmax(values))]
    heap = list(range(count))
    for root in reversed(range(count // 2)):
        _sift(heap, count, root, values)
    for index in range(count, len(values)):
        if count and values[index] > values[heap[0]]:
            heap[0] = index
            _sift(heap, count, 0, values)
    for size in range(count - 1, 0, -1):
        heap[0], heap[size] = heap[size], heap[0]
        _sift(heap, size, 0, values)
    return heap


def _sift(heap: list[int], size: int, root: int, values: Scores) -> None:
    """Carry the root's index down the lesser children to a leaf, then up to where it belongs."""
    item, hole = heap[root], root
    while (child := 2 * hole + 1) < size:
        right = child + 1
        # Of equal children the right one: it is what decides the order of equal scores.
        if right < size and values[heap[right]] <= values[heap[child]]:
            child = right
        heap[hole] = heap[child]
        hole = child
    while hole > root and values[heap[(hole - 1) // 2]] > values[item]:
        heap[hole] = heap[(hole - 1) // 2]
        hole = (hole - 1) // 2
    heap[hole] = item
