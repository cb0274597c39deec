"""An Edge TPU driven by this process itself."""

from __future__ import annotations

import time

from edge_ssd.errors import DeviceError, EdgeSsdError
from edge_ssd.inference.child_main import Job
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.inference.delegate import Delegate
from edge_ssd.inference.drift import DriftWatch
from edge_ssd.inference.owner_lock import OwnerLock
from edge_ssd.inference.probe import TIMEOUT_S, probe
from edge_ssd.inference.runtime import make_interpreter
from edge_ssd.models.spec import ModelSpec
from edge_ssd.types import RawHeads


class EdgeTpuBackend(CpuBackend):
    """A model on an Edge TPU, in this process: the fastest way, and a crash ends the service.

    Until ``open`` the model is described and no device is touched. What crashes or hangs from
    the start does so in the probe, and is an error.
    """

    def __init__(
        self,
        spec: ModelSpec,
        delegate: Delegate,
        runtime: str = "auto",
        threads: int | None = 1,
        resize: str = "stretch",
        probe_timeout_s: float = TIMEOUT_S,
    ) -> None:
        super().__init__(spec, runtime, threads, resize, allocate=False)
        self._described = self.interpreter
        self._job = Job(spec, runtime, threads, delegate, self.tensors)
        self._lock = OwnerLock(delegate.device)
        self._probe_timeout_s = probe_timeout_s
        self._drift = DriftWatch()

    def open(self) -> None:
        self._lock.acquire()
        try:
            probe(self._job, self._probe_timeout_s)
            job = self._job
            self.interpreter = make_interpreter(self.spec, job.runtime, job.threads, job.delegate)
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
            raise DeviceError(
                f"the Edge TPU failed: {error}",
                "check its cable and power; model.isolation: process recovers by itself",
            ) from None
        self._drift.note((time.monotonic() - begun) * 1e3)
        return heads
