"""MQTT: one message per frame or per change, to a broker."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from edge_ssd.checks import Check, Finding, System, ok, warn
from edge_ssd.options import require
from edge_ssd.publishers.base import PublisherOptions
from edge_ssd.reachable import unreachable
from edge_ssd.secrets import LoginOptions, TlsOptions, readable

if TYPE_CHECKING:
    from edge_ssd.publishers.mqtt_publisher import MqttPublisher


def _topic(template: str) -> str:
    if re.search(r"[+#\0{}]", template.replace("{name}", "")) or template.startswith("$"):
        raise PydanticCustomError("topic", "must be a topic: {name} may stand in it, and no + # $")
    return template


Topic = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_topic)]


class MqttOptions(LoginOptions, PublisherOptions):
    """One message per frame, or per change, to an MQTT broker (3.1.1)."""

    type: Literal["mqtt"] = "mqtt"
    host: str = Field(min_length=1)
    """The broker's name or address."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """null for 1883, or 8883 with TLS."""
    client_id: str = Field(default="edge-ssd-{name}", min_length=1)
    """Must differ between clients of a broker; {name} is the source's name."""
    tls: TlsOptions | None = None
    """Encryption; null for none: password and messages are sent in clear text."""
    topic: Topic = "edge-ssd/{name}/detections"
    """Where messages go; {name} is the source's name."""
    availability_topic: Topic = "edge-ssd/{name}/availability"
    """Holds `online` or `offline`, retained."""
    publish: Literal["every-frame", "on-change"] = "every-frame"
    """on-change: only when the number of detections of some label has changed."""
    heartbeat_s: float | None = Field(default=None, gt=0)
    """With on-change, send after this many seconds without a message; null for never."""
    qos: Literal[0, 1, 2] = 1
    """0: at most once; 1: at least once; 2: exactly once, but for outages."""
    retain: bool = False
    """The broker keeps the last message for clients that come later."""
    keepalive_s: int = Field(default=30, ge=5, le=65535)
    """A silent connection is tested after this time, and given up after twice that, in seconds."""
    offline_queue_size: int = Field(default=1000, ge=2, le=100_000)
    """Messages buffered until they are delivered; beyond that the oldest is dropped and counted."""
    reconnect_min_s: float = Field(default=1.0, gt=0, le=3600)
    """Wait before the first new attempt to connect, in seconds; each further wait is doubled."""
    reconnect_max_s: float = Field(default=60.0, gt=0, le=3600)
    """Maximum wait between attempts, in seconds."""

    @model_validator(mode="after")
    def _two_topics(self) -> MqttOptions:
        require(self.topic != self.availability_topic, "a topic other than availability_topic")
        return self

    @property
    def broker_port(self) -> int:
        """The port that is connected to."""
        return self.port or (8883 if self.tls else 1883)

    @property
    def title(self) -> str:
        """What messages call the publisher and its broker."""
        return f"mqtt {self.host}:{self.broker_port}"

    def make(self, name: str) -> MqttPublisher:
        from edge_ssd.publishers.mqtt_publisher import MqttPublisher  # noqa: PLC0415 - slow

        templates = ("client_id", "topic", "availability_topic")
        filled = {option: getattr(self, option).replace("{name}", name) for option in templates}
        return MqttPublisher(self.model_copy(update=filled))

    def checks(self) -> tuple[Check, ...]:
        """Return whether the secrets can be read, and whether the broker answers."""
        tls = (readable("tls", self.tls.context),) if self.tls else ()
        return (*super().checks(), *tls, Check("broker", self._broker_answers, "host"))

    def _broker_answers(self, _system: System) -> Finding:
        remedy = (
            "start the broker, or correct host and port; until then messages are buffered, "
            "and the oldest are dropped"
        )
        problem = unreachable(self.host, self.broker_port, self.title)
        return warn(problem, remedy) if problem else ok(f"{self.title} answers")
