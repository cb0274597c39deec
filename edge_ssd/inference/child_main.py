"""What the network's own process runs: ``python -m edge_ssd.inference.child_main``.

Its arguments are three open files: a socket to the parent, the pickled Job, and the memory
both share, which holds the input, the box encodings and the class scores, one after another.
It says READY, and then DONE for every GO; or FAILED and the pickled error, and ends. It ends
with its parent, too.
"""

from __future__ import annotations

import mmap
import os
import pickle
import resource
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_ssd.errors import DeviceError, EdgeSsdError
from edge_ssd.inference.delegate import Delegate, load
from edge_ssd.inference.runtime import import_runtime, make_interpreter
from edge_ssd.inference.shared import TensorLayout, views
from edge_ssd.models.spec import ModelSpec

GO, READY, DONE, FAILED = b"g", b"r", b"d", b"f"
ORPHAN_S = 2.0
"""How long an orphan may take to end by itself, in seconds."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to run. spec: None only loads the delegate.

    tensors: the input, the box encodings and the class scores.
    """

    spec: ModelSpec | None
    runtime: str
    threads: int | None
    delegate: Delegate | None
    tensors: tuple[TensorLayout, ...] = ()


def serve(control: socket.socket, job: Job, shared: mmap.mmap) -> None:
    """Do the job until the parent closes its end."""
    try:
        infer = _prepare(job, shared)
        control.send(READY)
        while control.recv(1):
            infer()
            control.send(DONE)
    except EdgeSsdError as error:
        control.send(FAILED + pickle.dumps(error))


def _prepare(job: Job, shared: mmap.mmap) -> Callable[[], object]:
    """Load what the job asks for; return what one GO does."""
    if job.spec is None:
        delegate = load(job.delegate or Delegate(), import_runtime(job.runtime))
        return lambda: delegate  # held until this process ends
    interpreter = make_interpreter(job.spec, job.runtime, job.threads, job.delegate)
    picture, *heads = zip(job.tensors, views(shared, job.tensors), strict=True)

    def infer() -> None:
        # A view of a tensor held during invoke() makes it raise: none outlives its line.
        interpreter.tensor(picture[0].index)()[...] = picture[1]
        try:
            interpreter.invoke()
        except RuntimeError as error:
            raise DeviceError(f"the network failed: {error}") from None
        for head, copy in heads:
            copy[...] = interpreter.tensor(head.index)()

    return infer


def _end_with(control: socket.socket) -> None:
    """End this process once the parent has closed its end, even if a driver hangs."""
    poll = select.poll()
    poll.register(control, 0)
    poll.poll()
    time.sleep(ORPHAN_S)
    os._exit(1)


def main() -> None:
    """Run as the child of ``edge_ssd.inference.child``."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent decides when this ends
        signal.signal(number, signal.SIG_IGN)
    # A crash is expected here, and a core file would go to the SD card.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    control_file, job_file, shared_file = map(int, sys.argv[1:])
    control = socket.socket(fileno=control_file)
    threading.Thread(target=_end_with, args=(control,), daemon=True).start()
    with mmap.mmap(job_file, 0, prot=mmap.PROT_READ) as pickled:
        job = pickle.loads(pickled)
    serve(control, job, mmap.mmap(shared_file, 0))


if __name__ == "__main__":
    main()
