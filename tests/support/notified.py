"""The manager's end of sd_notify: a real datagram socket, and a service that talks to it."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.command import command, environment

TIMEOUT_S = 60.0


class NotifySocket:
    """Bound to a path; what it receives is kept in ``messages``, a list of KEY: value."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.messages: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(TIMEOUT_S)

    def receive(self) -> dict[str, str]:
        """Wait for the next message."""
        text = self._socket.recv(65536).decode()
        message = dict(line.split("=", 1) for line in text.splitlines())
        self.messages.append(message)
        return message

    def wait_for(self, *keys: str, status: str = "") -> dict[str, str]:
        """Wait for a message with all ``keys``, whose STATUS contains ``status``."""
        while True:
            message = self.receive()
            if set(keys) <= set(message) and status in message.get("STATUS", ""):
                return message

    def waiting(self) -> list[dict[str, str]]:
        """Take what has come already."""
        self._socket.setblocking(False)
        taken = []
        try:
            while True:
                taken.append(self.receive())
        except BlockingIOError:
            return taken
        finally:
            self._socket.settimeout(TIMEOUT_S)

    def close(self) -> None:
        self._socket.close()


class Service:
    """An ``edge-ssd run`` that believes systemd started it."""

    def __init__(self, config: Path, manager: NotifySocket, terminal: int | None, **more: str):
        self.manager = manager
        at_terminal = [] if terminal is None else ["setsid", "--ctty"]
        self.process = subprocess.Popen(
            [*at_terminal, *command(("run", "--config", config))], text=True,
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment() | {"NOTIFY_SOCKET": manager.address} | more,
        )  # fmt: skip

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for its end; return exit status and stderr."""
        _, stderr = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, stderr


@contextmanager
def service(config: Path, terminal: int | None = None, **more: str) -> Iterator[Service]:
    """Start a service; kill it at the end if it still runs.

    terminal: the controlling terminal it gets. more: environment variables.
    """
    manager = NotifySocket(f"@edge-ssd-test-{os.getpid()}-{config.parent.name}")
    started = Service(config, manager, terminal, **more)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()
        manager.close()
