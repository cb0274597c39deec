"""The inference process, as its parent sees it: a crash or hang becomes an error message."""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from logging import getLogger
from pathlib import Path
from typing import IO

import edge_ssd
from edge_ssd.errors import DeviceError
from edge_ssd.inference.child_main import FAILED, GO, Job, Memory, room_for
from edge_ssd.processes import ending

log = getLogger(__name__)

CHECK = (
    "with an Edge TPU, check its cable and power, and that libedgetpu fits the runtime "
    "(docs/coral.md)"
)
TIMEOUT_S = 30.0  # the first use of a stick takes some seconds, USB 2 and a large model more
_END_S = 1.0
_CHATTER = ("INFO:", "I ")  # TensorFlow Lite's and libedgetpu's


class Child:
    """One child process, from start to end, of a pickled Job. Belongs to one thread."""

    def __init__(self, job: Memory, shared: Memory) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._poll = select.poll()
        self._poll.register(self._control, select.POLLIN)
        files = (theirs.fileno(), job.file, shared.file)
        root = str(Path(edge_ssd.__file__).parents[1])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edge_ssd.inference.child_main", *map(str, files)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=files,
                env=os.environ | {"PYTHONPATH": path},
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._said: deque[str] = deque(maxlen=1)
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), name="child-log", daemon=True
        )
        self._reader.start()

    def infer(self, doing: str, timeout_s: float) -> None:
        """Do one inference. Raises as ``expect``."""
        with suppress(OSError):
            self._control.send(GO)
        self.expect(doing, timeout_s)

    def expect(self, doing: str, timeout_s: float) -> None:
        """Wait until it is ready or done. Raises as ``answered``, and where ``doing`` hangs."""
        if not self.answered(timeout_s):
            self.end(0)
            raise overdue(doing, timeout_s)

    def answered(self, timeout_s: float) -> bool:
        """Return whether it is ready or done in time. Raises its error, or one with its ending."""
        if not self._poll.poll(max(timeout_s, 0) * 1000):
            return False
        try:
            message = self._control.recv(200_000)
        except ConnectionError:
            message = b""
        if message[:1] == FAILED:
            raise pickle.loads(message[1:])
        if message:
            return True
        self.end()
        code = self._process.poll()
        remedy = "see dmesg: out of memory?" if code == -signal.SIGKILL else CHECK
        raise DeviceError(f"the inference process {ending(code, *self._said)}", remedy)

    def end(self, timeout_s: float = _END_S) -> None:
        """Let it end by itself within the time given, else kill it. Does nothing twice."""
        self._control.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            # A process inside a driver dies only when that returns: it is not waited for.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        self._reader.join(_END_S)

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                text = line.decode("utf-8", "replace").strip()
                if text and not text.startswith(_CHATTER):
                    self._said.append(text)
                if text:
                    log.debug("child %d: %s", self.pid, text)


def probe(job: Job, timeout_s: float = TIMEOUT_S) -> None:
    """Load the model and infer once, on zeros.

    Raises ModelError, and DeviceError where it is refused, crashes (with the signal) or hangs.
    """
    child = Child(Memory(pickle.dumps(job)), room_for(job.tensors))
    try:
        child.expect("loading the model", timeout_s)
        child.infer("the first inference", timeout_s)
    finally:
        child.end()


def overdue(doing: str, seconds: float) -> DeviceError:
    """Return the error of a child that does not answer."""
    return DeviceError(f"{doing} did not end within {seconds:g} s", CHECK)
