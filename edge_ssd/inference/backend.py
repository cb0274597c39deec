"""Frame to RawHeads: one network, one interpreter, one thread at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import ModelError
from edge_ssd.inference.heads import Head, describe, resolve
from edge_ssd.inference.preprocess import InputTensor, Preprocessor
from edge_ssd.inference.runtime import Description, signature_outputs
from edge_ssd.inference.shared import TensorLayout
from edge_ssd.models.spec import ModelSpec
from edge_ssd.types import Frame, Geometry, QuantizedTensor, RawHeads


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A frame in the network's own layout.

    tensor: (height, width, 3) of the input's dtype, owned.
    geometry: where the frame lies in it.
    """

    tensor: NDArray[Any]
    geometry: Geometry


class InvokeLost(Exception):
    """The network failed on the frame in its input, and may be invoked with the next one.

    That frame is lost; why has been logged.
    """


class ModelFit:
    """What a model takes and gives, and that the engine can use it; nothing runs yet.

    tensors: its input, box encodings and class scores, as the interpreter has them.
    Raises ModelError when the model is not an SSD.
    """

    def __init__(self, spec: ModelSpec, model: Description, resize: str = "stretch") -> None:
        self.spec = spec
        inputs, outputs = model.get_input_details(), model.get_output_details()
        self.preprocess = Preprocessor(_input(inputs, spec), spec.normalization, resize)
        try:
            self.heads = resolve(outputs, spec.heads, signature_outputs(model))
        except ModelError as error:
            raise error.of(spec.path) from None
        if self.classes < 1:
            raise ModelError(
                "it has one column of scores, which is taken for the background",
                'if it is its only class, write "background": false into a manifest beside it',
                spec.path,
            )
        layouts = {layout.index: layout for layout in map(_layout, outputs)}
        heads = self.heads.boxes, self.heads.scores
        self.tensors = (_layout(inputs[0]), *(layouts[head.index] for head in heads))

    @property
    def classes(self) -> int:
        """How many classes the scores have, the background not counted."""
        return self.heads.scores.columns - self.spec.background


class Backend(ModelFit, ABC):
    """A model and how it is run, wherever that is.

    ``prepare`` may run in any thread; the rest belongs to one, which calls ``open`` before
    all else and ``close`` at the end. Raises ModelError when the model is not an SSD.

    trouble: what is not as it was configured, in words; any thread may read it.
    """

    trouble: str | None = None

    def prepare(self, frame: Frame) -> Prepared:
        """Resize and quantise a frame into an array of its own."""
        tensor = self.preprocess.tensor
        out = np.empty((tensor.height, tensor.width, 3), tensor.dtype)
        return Prepared(out, self.preprocess(frame, out))

    def open(self) -> None:
        """Take the device the network runs on. Raises DeviceError."""

    def close(self) -> None:
        """Give the device back."""

    def wait_ready(self, timeout_s: float) -> bool:
        """Return whether the network can be invoked now, or could within the time given.

        Raises DeviceError when it never will.
        """
        return True

    @abstractmethod
    def set_frame(self, frame: Frame) -> Geometry:
        """Resize and quantise a frame straight into the network's input, without a copy."""

    @abstractmethod
    def set_prepared(self, prepared: Prepared) -> Geometry:
        """Copy a prepared frame into the network's input."""

    @abstractmethod
    def invoke(self) -> RawHeads:
        """Run the network on its input; the heads are copies, free to go to another thread.

        Raises InvokeLost.
        """


def quantized(head: Head, values: NDArray[Any]) -> QuantizedTensor:
    """Return a head's values, as the interpreter shapes them, as (N, columns)."""
    shaped = values.reshape(head.anchors, head.columns)
    return QuantizedTensor(shaped, head.scale, head.zero_point)


def _layout(details: dict[str, Any]) -> TensorLayout:
    shape = tuple(int(size) for size in details["shape"])
    return TensorLayout(int(details["index"]), shape, np.dtype(details["dtype"]))


def _input(inputs: list[dict[str, Any]], spec: ModelSpec) -> InputTensor:
    shape = [int(size) for size in inputs[0]["shape"]] if len(inputs) == 1 else []
    dtype = np.dtype(inputs[0]["dtype"]) if inputs else np.dtype(object)
    fits = len(shape) == 4 and shape[0] == 1 and shape[3] == 3 and min(shape) > 0
    if not fits or dtype not in (np.uint8, np.int8, np.float32):
        raise ModelError(
            f"it takes {describe(inputs)}; "
            f"expected one image [1, height, width, 3] of uint8, int8 or float32",
            "give an SSD detection model",
            spec.path,
        )
    # TFLite shows a size that is not fixed as 1, and as -1 in the signature of the shape.
    if min(inputs[0]["shape_signature"][1:]) < 0:
        raise ModelError(
            "it takes images of any size",
            "convert it again with a fixed input size, such as 300x300",
            spec.path,
        )
    scale, zero_point = inputs[0]["quantization"]
    return InputTensor(shape[1], shape[2], dtype, scale, zero_point)
