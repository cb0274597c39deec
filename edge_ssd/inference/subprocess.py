"""The subprocess backend: a crash of the model costs one frame."""

from __future__ import annotations

import logging
import pickle
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from edge_ssd.errors import DeviceError, EdgeSsdError
from edge_ssd.inference.backend import Backend, DriftWatch, InvokeLost
from edge_ssd.inference.child import TIMEOUT_S, Child, overdue
from edge_ssd.inference.child_main import Job, Memory, room_for, views
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.owner_lock import OwnerLock
from edge_ssd.inference.runtime import load_interpreter
from edge_ssd.inference.tensors import of_interpreter
from edge_ssd.models.spec import ModelSpec
from edge_ssd.types import RawHeads

log = logging.getLogger(__name__)

MAX_DEATHS = 5
WINDOW_S = 60.0
_POLL_S = 0.2


class SubprocessBackend(Backend):
    """Runs a model in a child process, over memory that both share.

    A child that ends, fails or takes longer than the deadline is replaced: the frame in its
    input is lost (InvokeLost). The first replacement starts at once, the next ones after
    0.5 s, 1 s, 2 s; the fifth death within a minute is a DeviceError.
    load_deadline_s: from a child's start until it can infer. Raises what CpuBackend raises.
    """

    def __init__(
        self,
        spec: ModelSpec,
        options: ModelOptions,
        resize: str = "stretch",
        load_deadline_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        described = load_interpreter(spec, options.runtime, options.threads, allocate=False)
        super().__init__(spec, of_interpreter(described), resize)
        self._shared = room_for(self.tensors)
        image, self._boxes, self._scores = views(self._shared.map, self.tensors)
        self._image: NDArray[Any] = image[0]
        self._job = Memory(pickle.dumps(Job.of(spec, self.tensors, options)))
        self._deadline_s, self._load_deadline_s = options.invoke_deadline_s, load_deadline_s
        self._lock = OwnerLock(options.delegate_device) if options.delegate else None
        self._clock = clock
        self._drift = DriftWatch() if options.delegate else None
        self._child: Child | None = None
        self._ready = False
        self._start_at = self._started_at = 0.0
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)

    def open(self) -> None:
        if self._lock:
            self._lock.acquire()
        try:
            self._start()
            while not self._answered(_POLL_S):
                pass
        except EdgeSsdError:
            self.close()
            raise

    def close(self) -> None:
        if self._child:
            self._child.end()
        self._child, self._ready = None, False
        if self._lock:
            self._lock.release()

    def wait_ready(self, timeout_s: float) -> bool:
        if self._ready:
            return True
        if self._child is None:
            early_s = self._start_at - self._clock()
            if early_s > 0:
                time.sleep(min(early_s, timeout_s))
                return False
            self._start()
        try:
            if not self._answered(timeout_s):
                return False
        except EdgeSsdError as error:
            self._replace(error)
            return False
        failed_s = self._clock() - self._deaths[-1]
        log.warning("inference runs again, %.2f s after it failed", failed_s)
        return True

    def input_view(self) -> NDArray[Any]:
        return self._image

    def invoke(self) -> RawHeads:
        while not self.wait_ready(_POLL_S):
            pass
        assert self._child
        begun = self._clock()
        try:
            self._child.infer("an inference", self._deadline_s)
        except EdgeSsdError as error:
            self._replace(error, "; its frame is lost")
            raise InvokeLost from None
        if self._drift:
            self._drift.note((self._clock() - begun) * 1e3)
        return self.raw_heads(self._boxes.copy(), self._scores.copy())

    def _start(self) -> None:
        self._started_at = self._clock()
        self._child = Child(self._job, self._shared)

    def _answered(self, timeout_s: float) -> bool:
        """Return whether the child that was started is ready by now."""
        assert self._child
        self._ready = self._child.answered(timeout_s)
        if not self._ready and self._clock() - self._started_at > self._load_deadline_s:
            raise overdue("loading the model", self._load_deadline_s)
        return self._ready

    def _replace(self, error: EdgeSsdError, lost: str = "") -> None:
        """Replace a child that failed, at once or after a pause."""
        now = self._clock()
        self._deaths.append(now)
        recent = [death for death in self._deaths if now - death < WINDOW_S]
        if self._child:
            self._child.end(0)
        self._child, self._ready = None, False
        if len(recent) == MAX_DEATHS:
            raise DeviceError(
                f"{error.problem}; that was its failure number {MAX_DEATHS} within {WINDOW_S:g} s",
                error.remedy,
            )
        delay_s = 0.25 * 2 ** (len(recent) - 1) if len(recent) > 1 else 0.0
        self._start_at = now + delay_s
        log.warning("%s%s; restarting it%s", error, lost, f" in {delay_s:g} s" if delay_s else "")
        if not delay_s:
            self._start()
