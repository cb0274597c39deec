"""What the service has to reach over the network."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_ssd import secrets as credentials
from edge_ssd.commands.doctor.check import Finding, Situation, ok, skipped, warn

if TYPE_CHECKING:
    from edge_ssd.config import MqttPublisher

TIMEOUT_S = 5.0
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


class _Attempt(threading.Thread):
    """A connection over TCP; a thread, since nothing else ends a resolver that blocks.

    problem: why nothing answers, as far as is known until now; empty where something does.
    """

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self.problem = f"{address}: the name could not be resolved in time"
        self.start()

    def run(self) -> None:
        parts = urlsplit(self._address)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self.problem = f"{self._address} does not answer in time"
            with socket.create_connection((host, port), TIMEOUT_S):
                self.problem = ""
        except OSError as error:
            self.problem = f"{self._address} does not answer: {error.strerror or error}"


def unreachable(addresses: Sequence[str]) -> list[str]:
    """Return why nothing answers at each ``scheme://host:port`` that does not, in 5 s for all."""
    attempts, until = [_Attempt(address) for address in addresses], time.monotonic() + TIMEOUT_S
    for attempt in attempts:
        attempt.join(max(until - time.monotonic(), 0))
    return [problem for problem in [attempt.problem for attempt in attempts] if problem]


def brokers(situation: Situation) -> Finding:
    """The MQTT brokers accept connections, and passwords and certificates can be read."""
    sections = [section for section in situation.publishers if section.type == "mqtt"]
    if not sections:
        return skipped("no publisher needs a broker, and no option opens a port")
    for section in sections:
        _read_secrets(section)
    addresses = [
        f"mqtt://{section.host}:{section.port or (8883 if section.tls else 1883)}"
        for section in sections
    ]
    problems = unreachable(addresses)
    if problems:
        return warn(
            "; ".join(problems),
            "start the broker, or correct host and port; until then messages wait, and the "
            "oldest are dropped",
        )
    return ok(f"{', '.join(addresses)}: answers")


def _read_secrets(section: MqttPublisher) -> None:
    """Raise PublishError for a file that cannot be read; credentials only the service can."""
    credentials.read_password(credentials.Password(section.password_file))
    if section.tls:
        tls = section.tls
        credentials.tls_context(
            credentials.TlsFiles(tls.ca_file, tls.certificate_file, tls.key_file)
        )
