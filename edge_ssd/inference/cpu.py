"""The CPU backend: one model, one interpreter, in this process."""

from __future__ import annotations

from edge_ssd.inference.backend import Backend, Prepared, quantized
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.runtime import load_interpreter
from edge_ssd.inference.tensors import of_interpreter
from edge_ssd.models.spec import ModelSpec
from edge_ssd.types import Frame, Geometry, RawHeads


class CpuBackend(Backend):
    """A model loaded in this process, without a delegate.

    allocate: without it the model is described only, for a class that loads it another way.
    Raises ModelError when the file cannot be run or is not an SSD, RuntimeMissingError when
    no runtime can run it.
    """

    def __init__(
        self,
        spec: ModelSpec,
        options: ModelOptions | None = None,
        resize: str = "stretch",
        allocate: bool = True,
    ) -> None:
        options = options or ModelOptions()
        self.interpreter = load_interpreter(spec, options.runtime, options.threads, allocate)
        self.invoke_deadline_s = options.invoke_deadline_s
        super().__init__(spec, of_interpreter(self.interpreter), resize)

    def set_frame(self, frame: Frame) -> Geometry:
        # A view of a tensor held during invoke() makes it raise: none outlives its line.
        return self.preprocess(frame, self.interpreter.tensor(self.tensors[0].index)()[0])

    def set_prepared(self, prepared: Prepared) -> Geometry:
        self.interpreter.tensor(self.tensors[0].index)()[0] = prepared.tensor
        return prepared.geometry

    def invoke(self) -> RawHeads:
        self.interpreter.invoke()
        boxes, scores = self.heads.boxes, self.heads.scores
        return RawHeads(
            quantized(boxes, self.interpreter.get_tensor(boxes.index)),
            quantized(scores, self.interpreter.get_tensor(scores.index)),
        )
