"""Try a model and its delegate in a process of their own, which may crash or hang."""

from __future__ import annotations

from edge_ssd.inference.child import Child, overdue, pack
from edge_ssd.inference.child_main import Job
from edge_ssd.inference.shared import room_for

TIMEOUT_S = 30.0
"""The first use of a stick takes some seconds, a USB 2 link and a large model more."""


def probe(job: Job, timeout_s: float = TIMEOUT_S) -> None:
    """Load the model and infer once, on zeros.

    Raises DeviceError for a delegate that refuses, crashes (the signal is named) or hangs;
    ModelError when the file cannot be run.
    """
    child = Child(pack(job), room_for(job.tensors))
    try:
        _answer(child, "loading the model", timeout_s)
        child.go()
        _answer(child, "the first inference", timeout_s)
    finally:
        child.end()


def _answer(child: Child, doing: str, timeout_s: float) -> None:
    if not child.answered(timeout_s):
        child.end(0)
        raise overdue(doing, timeout_s)
