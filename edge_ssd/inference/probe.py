"""Try a network and its delegate in a process of their own, which may crash or hang."""

from __future__ import annotations

from edge_ssd.inference.child import Child, hung, pack
from edge_ssd.inference.child_main import Job
from edge_ssd.inference.shared import room_for

TIMEOUT_S = 30.0
"""The first use of a stick takes some seconds, a USB 2 link and a large model more."""


def probe(job: Job, timeout_s: float = TIMEOUT_S) -> None:
    """Load what the job names and infer once, on zeros.

    Raises DeviceError for a delegate that refuses, crashes (the signal is named) or hangs;
    ModelError when the file cannot be run.
    """
    child = Child(pack(job), room_for(job.tensors))
    try:
        _answer(child, "loading", timeout_s)
        child.go()
        _answer(child, "its first inference", timeout_s)
    finally:
        child.end()


def _answer(child: Child, doing: str, timeout_s: float) -> None:
    if not child.answered(timeout_s):
        child.end(0)
        raise hung(doing, timeout_s)
