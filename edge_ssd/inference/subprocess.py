"""A network in a process of its own: its crash costs a frame, and never the camera."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from edge_ssd.errors import DeviceError, EdgeSsdError
from edge_ssd.inference.backend import Backend, InvokeLost, Prepared, quantized
from edge_ssd.inference.child import Child, hung, pack
from edge_ssd.inference.child_main import Job
from edge_ssd.inference.delegate import Delegate
from edge_ssd.inference.drift import DriftWatch
from edge_ssd.inference.owner_lock import OwnerLock
from edge_ssd.inference.probe import TIMEOUT_S
from edge_ssd.inference.runtime import load_interpreter
from edge_ssd.inference.shared import room_for, views
from edge_ssd.models.spec import ModelSpec
from edge_ssd.types import Frame, Geometry, RawHeads

log = logging.getLogger(__name__)

MAX_DEATHS = 5
WINDOW_S = 60.0
_POLL_S = 0.2


class SubprocessBackend(Backend):
    """Runs a model in a child process, over memory that both share.

    A child that ends, fails or takes longer than the deadline is replaced: the frame in its
    input is lost (InvokeLost). The first replacement starts at once, the next ones after
    0.5 s, 1 s, 2 s; the fifth death within a minute is a DeviceError.

    deadline_s: of one inference. load_deadline_s: from a child's start until it can infer.
    Raises what CpuBackend raises.
    """

    def __init__(
        self,
        spec: ModelSpec,
        delegate: Delegate | None = None,
        runtime: str = "auto",
        threads: int | None = 1,
        resize: str = "stretch",
        deadline_s: float = 10.0,
        load_deadline_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(spec, load_interpreter(spec, runtime, threads, allocate=False), resize)
        self._shared = room_for(self.tensors)
        self._picture, self._boxes, self._scores = views(self._shared.map, self.tensors)
        self._job = pack(Job(spec, runtime, threads, delegate, self.tensors))
        self._deadline_s, self._load_deadline_s = deadline_s, load_deadline_s
        self._lock = OwnerLock(delegate.device) if delegate else None
        self._clock = clock
        self._drift = DriftWatch() if delegate else None
        self._child: Child | None = None
        self._ready = False
        self._start_at = self._started_at = 0.0
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)

    @property
    def child_pid(self) -> int | None:
        """The process the network runs in, while there is one."""
        return self._child.pid if self._child else None

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
        log.warning("the network runs again, %.2f s after it failed", self._since_death_s())
        return True

    def set_frame(self, frame: Frame) -> Geometry:
        return self.preprocess(frame, self._picture[0])

    def set_prepared(self, prepared: Prepared) -> Geometry:
        self._picture[0] = prepared.tensor
        return prepared.geometry

    def invoke(self) -> RawHeads:
        while not self.wait_ready(_POLL_S):
            pass
        assert self._child
        begun = self._clock()
        self._child.go()
        try:
            if not self._child.answered(self._deadline_s):
                raise hung("an inference", self._deadline_s)
        except EdgeSsdError as error:
            self._replace(error, "; the frame in it is lost")
            raise InvokeLost from None
        if self._drift:
            self._drift.note((self._clock() - begun) * 1e3)
        return RawHeads(
            quantized(self.heads.boxes, self._boxes.copy()),
            quantized(self.heads.scores, self._scores.copy()),
        )

    def _start(self) -> None:
        self._started_at = self._clock()
        self._child = Child(self._job, self._shared)

    def _answered(self, timeout_s: float) -> bool:
        """Return whether the child that was started is ready by now."""
        assert self._child
        self._ready = self._child.answered(timeout_s)
        if not self._ready and self._clock() - self._started_at > self._load_deadline_s:
            raise hung("loading", self._load_deadline_s)
        return self._ready

    def _replace(self, error: EdgeSsdError, lost: str = "") -> None:
        """Put a new child in the place of one that failed, at once or after a while."""
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
        log.warning(
            "%s%s; it is started again%s",
            error,
            lost,
            f" in {delay_s:g} s" if delay_s else "",
        )
        if not delay_s:
            self._start()

    def _since_death_s(self) -> float:
        return self._clock() - self._deaths[-1]
