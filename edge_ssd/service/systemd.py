"""Notify systemd of the service's state and its watchdog: sd_notify(3).

The protocol is a datagram of ``KEY=value`` lines to the socket that NOTIFY_SOCKET names.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from collections.abc import Callable, MutableMapping, Sequence

from edge_ssd.errors import one_line
from edge_ssd.pipeline.worker import Worker

log = logging.getLogger(__name__)

_SEND_TIMEOUT_S = 1.0  # a manager that does not read its socket must not stop the service


class Manager:
    """The service manager; without an address there is none, and notifications go nowhere.

    Notifying never raises: the service must not end because its manager is being restarted.
    address: a path, or ``@name`` in the abstract namespace.
    watchdog_s: the longest time between two pings, in seconds; None for no watchdog.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(_SEND_TIMEOUT_S)

    def ready(self, status: str) -> None:
        """The service has started, or has reloaded; ``status`` is one line for people."""
        self._send(f"READY=1\nSTATUS={one_line(status)}")

    def status(self, status: str) -> None:
        """What the service is doing, in one line for people."""
        self._send(f"STATUS={one_line(status)}")

    def reloading(self) -> None:
        """The configuration is being read again; ``ready`` follows."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """The service is about to end; ``status`` is the reason."""
        self._send(f"STOPPING=1\nSTATUS={one_line(status)}")

    def ping(self) -> None:
        """The service is alive."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            self._socket.sendto(message.encode(errors="replace"), self._address)
        except OSError as error:
            log.debug("systemd cannot be notified of %s: %s", message.partition("\n")[0], error)


def from_environment(environ: MutableMapping[str, str] = os.environ) -> Manager:
    """Return the manager that started this process.

    Its variables are taken out of ``environ``: a child process must not speak for the service.
    """
    address = environ.pop("NOTIFY_SOCKET", "")
    microseconds = environ.pop("WATCHDOG_USEC", "")
    meant_for = environ.pop("WATCHDOG_PID", "")
    if address and address[0] not in "@/":
        log.warning(
            "NOTIFY_SOCKET=%s is neither a path nor @name; sending no notifications", address
        )
        address = ""
    ours = not meant_for or meant_for == str(os.getpid())
    wanted = address and ours and microseconds.isdecimal() and int(microseconds) > 0
    return Manager(address, int(microseconds) / 1e6 if wanted else None)


class Watchdog:
    """Pings the manager four times per interval, unless a worker is blocked.

    A worker is blocked when one step, or opening or closing what it owns, takes more than half
    the interval. A worker that waits for room in a queue is blocked too, so the last one in the
    flow is reported: of a recorded source and a publisher that delivers nothing, the publisher.
    """

    def __init__(self, manager: Manager, clock: Callable[[], float] = time.monotonic) -> None:
        self._manager = manager
        self._clock = clock
        self._pinged_at = -math.inf
        self._reported: str | None = None

    def check(self, workers: Sequence[Worker]) -> None:
        """Ping if it is time and no worker is blocked; log a blocked worker once."""
        interval_s = self._manager.watchdog_s
        if interval_s is None:
            return
        silent = [(worker.silent_s, worker) for worker in workers]
        blocked = [pair for pair in silent if pair[0] > interval_s / 2 and not pair[1].join(0)]
        self._report(*blocked[-1] if blocked else (0.0, None))
        if not blocked and self._clock() - self._pinged_at >= interval_s / 4:
            self._manager.ping()
            self._pinged_at = self._clock()

    def _report(self, silent_s: float, blocked: Worker | None) -> None:
        if blocked is not None and blocked.name != self._reported:
            log.error("%s: blocked for %.0f s; watchdog ping withheld", blocked.name, silent_s)
            self._manager.status(f"{blocked.name} is blocked")
        elif blocked is None and self._reported is not None:
            log.warning("%s: no longer blocked", self._reported)
        self._reported = blocked.name if blocked is not None else None
