"""Frame to RawHeads: one network, one interpreter, one thread at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ssd.detector.heads import Head, resolve
from edge_ssd.detector.preprocess import InputTensor, Preprocessor
from edge_ssd.detector.runtime import load_interpreter
from edge_ssd.errors import ModelError
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


class Detector:
    """A loaded model. ``prepare`` may run in any thread; the rest belongs to one.

    Raises ModelError when the file cannot be run or is not an SSD, RuntimeMissingError when
    no runtime can run it.
    """

    def __init__(
        self,
        spec: ModelSpec,
        runtime: str = "auto",
        threads: int | None = 1,
        resize: str = "stretch",
    ) -> None:
        self.spec = spec
        self.interpreter = load_interpreter(spec, runtime, threads)
        self._input_index, tensor = _input(self.interpreter.get_input_details(), spec)
        self.preprocess = Preprocessor(tensor, spec.normalization, resize)
        try:
            self.heads = resolve(self.interpreter.get_output_details(), spec.heads)
        except ModelError as error:
            raise ModelError(f"model {spec.path} has {error.problem}", error.remedy) from None

    @property
    def classes(self) -> int:
        """How many classes the scores have, the background not counted."""
        return self.heads.scores.columns - self.spec.background

    def prepare(self, frame: Frame) -> Prepared:
        """Resize and quantise a frame into an array of its own."""
        tensor = self.preprocess.tensor
        out = np.empty((tensor.height, tensor.width, 3), tensor.dtype)
        return Prepared(out, self.preprocess(frame, out))

    def set_frame(self, frame: Frame) -> Geometry:
        """Resize and quantise a frame straight into the network's input, without a copy."""
        # A view of a tensor held during invoke() makes it raise: none outlives its line.
        return self.preprocess(frame, self.interpreter.tensor(self._input_index)()[0])

    def set_prepared(self, prepared: Prepared) -> Geometry:
        """Copy a prepared frame into the network's input."""
        self.interpreter.tensor(self._input_index)()[0] = prepared.tensor
        return prepared.geometry

    def invoke(self) -> RawHeads:
        """Run the network on its input; the heads are copies, free to go to another thread."""
        self.interpreter.invoke()
        return RawHeads(self._copy(self.heads.boxes), self._copy(self.heads.scores))

    def _copy(self, head: Head) -> QuantizedTensor:
        values = self.interpreter.get_tensor(head.index)
        return QuantizedTensor(
            values.reshape(head.anchors, head.columns), head.scale, head.zero_point
        )


def _input(inputs: list[dict[str, Any]], spec: ModelSpec) -> tuple[int, InputTensor]:
    shape = [int(size) for size in inputs[0]["shape"]] if len(inputs) == 1 else []
    dtype = np.dtype(inputs[0]["dtype"]) if inputs else np.dtype(object)
    fits = len(shape) == 4 and shape[0] == 1 and shape[3] == 3 and min(shape) > 0
    if not fits or dtype not in (np.uint8, np.int8, np.float32):
        found = ", ".join(f"{item['name']} {list(map(int, item['shape']))}" for item in inputs)
        raise ModelError(
            f"model {spec.path} takes {found or 'nothing'}; "
            f"expected one picture [1, height, width, 3] of uint8, int8 or float32",
            "give an SSD detection model",
        )
    scale, zero_point = inputs[0]["quantization"]
    tensor = InputTensor(shape[1], shape[2], dtype, scale or 1.0, zero_point)
    return int(inputs[0]["index"]), tensor
