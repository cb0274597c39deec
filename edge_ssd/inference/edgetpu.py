"""The Edge TPU backend, in this process."""

from __future__ import annotations

import time

from edge_ssd.errors import DeviceError, EdgeSsdError
from edge_ssd.inference.backend import DriftWatch
from edge_ssd.inference.child import probe
from edge_ssd.inference.child_main import Job
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.owner_lock import OwnerLock
from edge_ssd.models.spec import ModelSpec
from edge_ssd.types import RawHeads


class EdgeTpuBackend(CpuBackend):
    """A model on an Edge TPU, in this process: the fastest way, and a crash ends the service.

    Until ``open`` the model is described and no device is touched. What crashes or hangs from
    the start does so in the probe, and is an error.
    """

    def __init__(self, spec: ModelSpec, options: ModelOptions, resize: str = "stretch") -> None:
        super().__init__(spec, options, resize, allocate=False)
        self._described = self.interpreter
        self._job = Job.of(spec, self.tensors, options)
        self._lock = OwnerLock(options.delegate_device)
        self._drift = DriftWatch()

    def open(self) -> None:
        self._lock.acquire()
        try:
            probe(self._job)
            self.interpreter = self._job.load()
        except EdgeSsdError:
            self.close()
            raise

    def close(self) -> None:
        self.interpreter = self._described  # what had the delegate gives the device back
        self._lock.release()

    def invoke(self) -> RawHeads:
        begun = time.monotonic()
        try:
            heads = super().invoke()
        except RuntimeError as error:
            remedy = "check its cable and power; model.isolation: process recovers by itself"
            raise DeviceError(f"the Edge TPU failed: {error}", remedy) from None
        self._drift.note((time.monotonic() - begun) * 1e3)
        return heads
