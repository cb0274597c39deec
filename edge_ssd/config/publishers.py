"""The entries of ``publishers``: where results go."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from edge_ssd.options import Options


class JsonLinesPublisher(Options):
    """One JSON object a line, to stdout or a file."""

    type: Literal["jsonl"]
    path: Path | None = None
    """The file; null for stdout."""
    max_bytes: int = Field(default=10_000_000, ge=1000)
    """The file is rotated before it grows beyond this size, in bytes."""
    backups: int = Field(default=3, ge=0, le=1000)
    """How many rotated files are kept: path.1 is the newest."""
    queue_size: int = Field(default=64, ge=1, le=100_000)
    """Results that may wait; beyond that a live source's oldest is dropped and counted."""


def _topic(template: str) -> str:
    if re.search(r"[+#\0{}]", template.replace("{name}", "")) or template.startswith("$"):
        raise PydanticCustomError("topic", "must be a topic: {name} may stand in it, and no + # $")
    return template


Topic = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_topic)]


class MqttTls(Options):
    """Encryption. `tls: {}` turns it on with the system's certificate authorities."""

    ca_file: Path | None = None
    """The authority that signed the broker's certificate (PEM); null for the system's."""
    certificate_file: Path | None = None
    """This client's certificate (PEM), for brokers that ask for one."""
    key_file: Path | None = None
    """Its key, not encrypted; null where the certificate's file holds it."""


class MqttPublisher(Options):
    """One message a frame, or a change, to an MQTT broker (3.1.1)."""

    type: Literal["mqtt"]
    host: str = Field(min_length=1)
    """The broker's name or address."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """null for 1883, or 8883 with TLS."""
    client_id: str = Field(default="edge-ssd-{name}", min_length=1)
    """Must differ between clients of a broker; {name} is the source's name."""
    username: str | None = None
    """null to log in without."""
    password_file: Path | None = None
    """A file whose one line is the password."""
    password_credential: str | None = None
    """The name of the systemd credential (LoadCredential=) that is the password."""
    tls: MqttTls | None = None
    """Encryption; null for none."""
    topic: Topic = "edge-ssd/{name}/detections"
    """Where messages go; {name} is the source's name."""
    availability_topic: Topic = "edge-ssd/{name}/availability"
    """Holds `online` or `offline`, retained."""
    publish: Literal["every-frame", "on-change"] = "every-frame"
    """On change: only when the number of detections of some label is another."""
    heartbeat_s: float | None = Field(default=None, gt=0)
    """With on-change, send after so many seconds without a message; null for never."""
    qos: Literal[0, 1, 2] = 1
    """0: may be lost; 1: arrives, perhaps twice; 2: arrives, twice only after an outage."""
    retain: bool = False
    """The broker keeps the last message for clients that come later."""
    keepalive_s: int = Field(default=30, ge=5, le=65535)
    """A connection silent for so long is tested, and given up after as long again, in seconds."""
    offline_queue_size: int = Field(default=1000, ge=2, le=100_000)
    """Messages not yet delivered; beyond that the oldest is dropped and counted."""
    reconnect_min_s: float = Field(default=1.0, gt=0, le=3600)
    """Wait before the first new attempt to connect, in seconds; each further one waits twice."""
    reconnect_max_s: float = Field(default=60.0, gt=0, le=3600)
    """Wait between attempts at most, in seconds."""
    queue_size: int = Field(default=64, ge=1, le=100_000)
    """Results that may wait to become messages; beyond that a live source's oldest is dropped."""

    @model_validator(mode="before")
    @classmethod
    def _no_secrets(cls, values: Any) -> Any:
        if isinstance(values, dict) and "password" in values:
            raise PydanticCustomError(
                "secret",
                "must not hold a password: put it into a file that only the service can read and "
                "give `password_file`, or `password_credential` for systemd's LoadCredential=",
            )
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> MqttPublisher:
        passwords = sum(p is not None for p in (self.password_file, self.password_credential))
        faults = {
            "must have password_file or password_credential, not both": passwords == 2,
            "must have a username where there is a password": passwords and not self.username,
            "must have a topic other than availability_topic": (
                self.topic == self.availability_topic
            ),
            "must have tls.certificate_file where there is tls.key_file": (
                self.tls and self.tls.key_file and not self.tls.certificate_file
            ),
        }
        for says, wrong in faults.items():
            if wrong:
                raise PydanticCustomError("options", says)
        return self


PublisherOptions = Annotated[JsonLinesPublisher | MqttPublisher, Field(discriminator="type")]
