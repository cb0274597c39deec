"""When the Edge TPU fails permanently, the same model on the CPU."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import DeviceError, ModelError
from edge_ssd.inference.backend import Backend, InvokeLost
from edge_ssd.types import RawHeads

log = logging.getLogger(__name__)


class FallbackBackend(Backend):
    """Runs ``primary`` until it raises DeviceError, and ``cpu`` from then on.

    The CPU's model stays loaded, so that the switch costs no more than the frame in flight.
    Raises ModelError when the two do not take the same input or predict the same boxes.
    """

    def __init__(self, primary: Backend, cpu: Backend) -> None:
        unlike = _differences(primary, cpu)
        if unlike:
            problem = f"it cannot replace {primary.spec.path}: they differ in {', '.join(unlike)}"
            remedy = "set model.cpu_model to the file that the Edge TPU's was compiled from"
            raise ModelError(problem, remedy, cpu.spec.path)
        self._active, self._cpu = primary, cpu
        self.spec, self.tensors = primary.spec, primary.tensors
        self.preprocess, self.heads = primary.preprocess, primary.heads
        self.invoke_deadline_s = primary.invoke_deadline_s

    def open(self) -> None:
        try:
            self._active.open()
        except DeviceError as error:
            self._switch(error)

    def close(self) -> None:
        self._active.close()

    def wait_ready(self, timeout_s: float) -> bool:
        try:
            return self._active.wait_ready(timeout_s)
        except DeviceError as error:
            self._switch(error)
            return True

    def input_view(self) -> NDArray[Any]:
        return self._active.input_view()

    def invoke(self) -> RawHeads:
        try:
            return self._active.invoke()
        except DeviceError as error:
            self._switch(error)
            raise InvokeLost from None

    def _switch(self, error: DeviceError) -> None:
        self._active.close()
        self._active, self.spec = self._cpu, self._cpu.spec
        self.invoke_deadline_s = self._cpu.invoke_deadline_s
        self.trouble = f"{self.spec.name} runs on the CPU: {error.problem}"
        log.warning("%s; until a restart, %s runs on the CPU", error, self.spec.name)


def _differences(a: Backend, b: Backend) -> list[str]:
    same = {
        "the input": a.preprocess.tensor == b.preprocess.tensor
        and np.array_equal(a.preprocess.table, b.preprocess.table),
        "the number of boxes": a.heads.anchors == b.heads.anchors,
        "the number of classes": a.heads.scores.columns == b.heads.scores.columns,
        # A table, a layout or None: numpy compares each.
        "the anchors": np.array_equal(np.asarray(a.spec.anchors), np.asarray(b.spec.anchors)),
        "the box coder": a.spec.box_coder == b.spec.box_coder,
        "the background": a.spec.background == b.spec.background,
        "the sigmoid": a.spec.sigmoid == b.spec.sigmoid,
    }
    return [what for what, alike in same.items() if not alike]
