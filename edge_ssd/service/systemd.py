"""Notify systemd of the service's state and its watchdog: sd_notify(3).

The protocol is a datagram of ``KEY=value`` lines to the socket that NOTIFY_SOCKET names.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import MutableMapping

from edge_ssd.errors import one_line

log = logging.getLogger(__name__)

# A manager that does not read its socket must not stop the service.
_SEND_TIMEOUT_S = 1.0


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
        """The service is about to end; ``status`` says why."""
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
