"""What the service has to reach over the network."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_ssd.doctor.check import Finding, Situation, ok, skipped, warn
from edge_ssd.publishers import credentials

if TYPE_CHECKING:
    from edge_ssd.config import MqttPublisher

TIMEOUT_S = 2.0
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


def unreachable(address: str) -> str:
    """Return why nothing answers at ``scheme://host:port``, over TCP; empty where it does."""
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    try:
        with socket.create_connection((host, port), TIMEOUT_S):
            return ""
    except OSError as error:
        return f"{address} does not answer: {error.strerror or error}"


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
    problems = list(filter(None, map(unreachable, addresses)))
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
