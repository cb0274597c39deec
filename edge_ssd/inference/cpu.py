"""The CPU backend: one model, one interpreter, in this process."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from edge_ssd.inference.backend import Backend
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.runtime import load_interpreter
from edge_ssd.inference.tensors import of_interpreter
from edge_ssd.models.spec import ModelSpec
from edge_ssd.types import RawHeads


class CpuBackend(Backend):
    """A model loaded in this process, without a delegate.

    allocate: without it the model is only described. Raises ModelError when the file cannot be
    run or is not an SSD, RuntimeMissingError when no runtime can run it.
    """

    def __init__(
        self,
        spec: ModelSpec,
        options: ModelOptions | None = None,
        resize: str = "stretch",
        allocate: bool = True,
    ) -> None:
        run = options or ModelOptions()
        self.interpreter = load_interpreter(spec, run.runtime, run.threads, allocate=allocate)
        self.invoke_deadline_s = run.invoke_deadline_s
        super().__init__(spec, of_interpreter(self.interpreter), resize)

    def input_view(self) -> NDArray[Any]:
        # A view of a tensor held during invoke() makes it raise.
        return self.interpreter.tensor(self.tensors[0].index)()[0, ...]

    def invoke(self) -> RawHeads:
        self.interpreter.invoke()
        _, boxes, scores = (tensor.index for tensor in self.tensors)
        get = self.interpreter.get_tensor
        return self.raw_heads(get(boxes), get(scores))
