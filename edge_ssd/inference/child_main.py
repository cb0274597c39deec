"""What the inference process runs: ``python -m edge_ssd.inference.child_main``.

Its arguments are three open files: a socket to the parent, the pickled Job, and the memory
both share, which holds the input, the box encodings and the class scores, one after another.
It sends READY, and then DONE for every GO; or FAILED and the pickled error, and ends. It ends
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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_ssd.errors import DeviceError, EdgeSsdError
from edge_ssd.inference.delegate import load
from edge_ssd.inference.runtime import Interpreter, import_runtime, load_interpreter
from edge_ssd.inference.tensors import TensorInfo
from edge_ssd.models.spec import ModelSpec

if TYPE_CHECKING:
    from edge_ssd.inference.options import ModelOptions

GO, READY, DONE, FAILED = b"g", b"r", b"d", b"f"
ORPHAN_S = 2.0  # how long an orphan may take to end by itself


@dataclass(frozen=True, slots=True)
class Job:
    """What to run: of ModelOptions what its process needs, without the import of pydantic.

    tensors: the input, the box encodings and the class scores.
    library: the delegate's; None for the CPU. arguments: what it is asked for.
    """

    spec: ModelSpec
    tensors: tuple[TensorInfo, ...]
    runtime: str = "auto"
    threads: int | None = 1
    library: str | None = None
    arguments: Mapping[str, str] | None = None

    @classmethod
    def of(cls, spec: ModelSpec, tensors: tuple[TensorInfo, ...], options: ModelOptions) -> Job:
        """Return the job of running a model with these options."""
        library = options.delegate_library if options.delegate else None
        arguments = options.delegate_arguments()
        return cls(spec, tensors, options.runtime, options.threads, library, arguments)

    def load(self) -> Interpreter:
        """Return the interpreter. Raises DeviceError, ModelError, RuntimeMissingError."""
        delegates = []
        if self.library:
            runtime = import_runtime(self.runtime)
            delegates = [load(self.library, self.arguments or {}, runtime)]
        return load_interpreter(self.spec, self.runtime, self.threads, delegates, quiet=False)


class Memory:
    """Anonymous memory that a child process gets as an open file. content: what it holds."""

    def __init__(self, content: bytes) -> None:
        self.file = os.memfd_create("edge-ssd")
        os.ftruncate(self.file, len(content))
        self.map = mmap.mmap(self.file, len(content))
        self.map[:] = content

    def __del__(self) -> None:
        with suppress(AttributeError):
            os.close(self.file)


def room_for(tensors: Sequence[TensorInfo]) -> Memory:
    """Return memory for these tensors."""
    return Memory(bytes(sum(tensor.size * tensor.dtype.itemsize for tensor in tensors) or 1))


def views(memory: mmap.mmap, tensors: Sequence[TensorInfo]) -> list[NDArray[Any]]:
    """Return the memory as one array per tensor, one after another."""
    arrays, offset = [], 0
    for tensor in tensors:
        flat = np.frombuffer(memory, tensor.dtype, tensor.size, offset)
        arrays.append(flat.reshape(tensor.shape))
        offset += flat.nbytes
    return arrays


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


def _prepare(job: Job, shared: mmap.mmap) -> Callable[[], None]:
    """Load the model; return what one GO does."""
    interpreter = job.load()
    image, *heads = zip(job.tensors, views(shared, job.tensors), strict=True)

    def infer() -> None:
        # A view of a tensor held during invoke() makes it raise: none outlives its line.
        interpreter.tensor(image[0].index)()[...] = image[1]
        try:
            interpreter.invoke()
        except RuntimeError as error:
            raise DeviceError(f"the inference failed: {error}") from None
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
