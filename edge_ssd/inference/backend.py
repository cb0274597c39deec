"""Frame to RawHeads: what all backends share."""

from __future__ import annotations

import logging
import statistics
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import ModelError
from edge_ssd.inference.heads import READABLE, describe, resolve
from edge_ssd.inference.preprocess import InputTensor, Preprocessor
from edge_ssd.inference.tensors import ModelTensors, TensorInfo
from edge_ssd.models.spec import ModelSpec
from edge_ssd.types import Frame, Geometry, QuantizedTensor, RawHeads

log = logging.getLogger(__name__)

WINDOW = 50
FACTOR = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A frame as the model takes it: (height, width, 3) of the input's dtype, owned."""

    tensor: NDArray[Any]
    geometry: Geometry


class InvokeLost(Exception):
    """The inference failed and its frame is lost, as was logged; the next one may be tried."""


class ModelFit:
    """What a model takes and gives, and that the engine can use it; nothing runs yet.

    tensors: its input, box encodings and class scores. Raises ModelError for another model.
    """

    def __init__(self, spec: ModelSpec, model: ModelTensors, resize: str = "stretch") -> None:
        self.spec = spec
        self.preprocess = Preprocessor(_input(model.inputs, spec), spec.normalization, resize)
        try:
            self.heads = resolve(model.outputs, spec.heads)
        except ModelError as error:
            raise error.of(spec.path) from None
        if self.classes < 1:
            problem = "it has one column of scores, which is taken for the background"
            remedy = 'if it is its only class, write "background": false into a manifest beside it'
            raise ModelError(problem, remedy, spec.path)
        self.tensors = model.inputs[0], self.heads.boxes, self.heads.scores

    @property
    def classes(self) -> int:
        """How many classes the scores have, the background not counted."""
        return self.heads.scores.columns - self.spec.background


class Backend(ModelFit, ABC):
    """A model and how it is run, wherever that is.

    ``prepare`` may run in any thread; the rest belongs to one, which calls ``open`` before
    all else and ``close`` at the end. Raises ModelError when the model is not an SSD.

    trouble: what differs from the configuration, in words; any thread may read it.
    invoke_deadline_s: the caller treats a longer ``invoke`` as hung; None where the backend does so
        itself.
    """

    trouble: str | None = None
    invoke_deadline_s: float | None = None

    def prepare(self, frame: Frame) -> Prepared:
        """Resize and quantise a frame into an array of its own."""
        tensor = self.preprocess.tensor
        out = np.empty((tensor.height, tensor.width, 3), tensor.dtype)
        return Prepared(out, self.preprocess(frame, out))

    def open(self) -> None:
        """Take the device that runs the model. Raises DeviceError."""

    def close(self) -> None:
        """Give the device back."""

    def wait_ready(self, timeout_s: float) -> bool:
        """Return whether ``invoke`` is possible in this time. Raises DeviceError if never."""
        return True

    def set_frame(self, frame: Frame) -> Geometry:
        """Resize and quantise a frame straight into the model's input, without a copy."""
        return self.preprocess(frame, self.input_view())

    def set_prepared(self, prepared: Prepared) -> Geometry:
        """Copy a prepared frame into the model's input."""
        self.input_view()[...] = prepared.tensor
        return prepared.geometry

    def raw_heads(self, boxes: NDArray[Any], scores: NDArray[Any]) -> RawHeads:
        """Return owned outputs, as the interpreter shapes them, as heads."""
        return RawHeads(_quantized(self.heads.boxes, boxes), _quantized(self.heads.scores, scores))

    @abstractmethod
    def input_view(self) -> NDArray[Any]:
        """Return the model's input, (height, width, 3); no view of it may outlive an ``invoke``."""

    @abstractmethod
    def invoke(self) -> RawHeads:
        """Run the model on its input; the heads are owned copies. Raises InvokeLost."""


class DriftWatch:
    """Notices that inference became slow: the USB Edge TPU has no temperature sensor.

    Compares the median of the last 50 inferences with that of the first 50, and warns once. The
    first ``warm_up`` do not count: they load caches and, on a stick, the model.
    """

    def __init__(self, warm_up: int = 10) -> None:
        self._skip = warm_up
        self._usual: float | None = None
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._warned = False

    def note(self, milliseconds: float) -> None:
        """Note how long one inference took."""
        if self._skip:
            self._skip -= 1
            return
        self._recent.append(milliseconds)
        if self._warned or len(self._recent) < WINDOW:
            return
        median = statistics.median(self._recent)
        self._recent.clear()
        if self._usual is None:
            self._usual = median
        elif median > FACTOR * self._usual:
            self._warned = True
            causes = "an Edge TPU that is hot, short of power or on a USB 2 link slows down"
            text = "inference takes %.1f ms and took %.1f ms at first; %s"
            log.warning(text, median, self._usual, causes)


def _quantized(head: TensorInfo, values: NDArray[Any]) -> QuantizedTensor:
    """Return a head's values, as the interpreter shapes them, as (N, columns)."""
    shaped = values.reshape(head.rows, head.columns)
    return QuantizedTensor(shaped, head.scale or 1.0, head.zero_point)


def _input(inputs: Sequence[TensorInfo], spec: ModelSpec) -> InputTensor:
    shape = inputs[0].shape if len(inputs) == 1 else ()
    fits = len(shape) == 4 and shape[0] == 1 and shape[3] == 3 and min(shape) > 0
    if not fits or inputs[0].dtype not in READABLE:
        problem = (
            f"it takes {describe(inputs)}; "
            f"expected one image [1, height, width, 3] of uint8, int8 or float32"
        )
        raise ModelError(problem, "give an SSD detection model", spec.path)
    # TFLite shows a size that is not fixed as 1, and as -1 in the signature of the shape.
    (tensor,) = inputs
    if min(tensor.shape_signature[1:]) < 0:
        remedy = "convert it again with a fixed input size, such as 300x300"
        raise ModelError("it takes images of any size", remedy, spec.path)
    return InputTensor(shape[1], shape[2], tensor.dtype, tensor.scale, tensor.zero_point)
