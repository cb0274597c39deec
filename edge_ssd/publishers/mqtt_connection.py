"""One connection to an MQTT broker: paho's client, driven by the thread that made it."""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from typing import Any

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from edge_ssd.errors import PublishError
from edge_ssd.publishers.mqtt import MqttOptions

ANSWER_S = 5.0  # that a broker may take to accept the connection, and again for the login

_BAD_LOGIN = ("Bad user name or password", "Not authorized")


class Connection:
    """A connection from its making to its end; all calls from one thread.

    Nothing outlives it: each attempt takes a new client, so paho never holds a message that
    the publisher does not know of. The client id stays the same, so the broker ends a half
    dead predecessor, and sends its last will, before it accepts this one.

    options: with the topics and the client id as they are sent. tls: None for plain TCP.
    wake: an eventfd that ends a ``step`` when written to.
    """

    def __init__(
        self, options: MqttOptions, tls: ssl.SSLContext | None, password: str | None, wake: int
    ) -> None:
        self._options = options
        self._tls = tls
        self._wake = wake
        self._answer: Any = None  # paho's ReasonCode, which compares with its name
        self._client = Client(CallbackAPIVersion.VERSION2, options.client_id)
        self._client.connect_timeout = ANSWER_S
        self._client.max_inflight_messages = 0  # no limit: the publisher has its own
        self._client.username = options.username
        self._client.password = password
        self._client.will_set(options.availability_topic, "offline", qos=1, retain=True)
        self._client.on_connect = self._on_connect
        if tls:
            self._client.tls_set_context(tls)

    def open(self) -> None:
        """Connect and log in. Raises PublishError with the reason when that fails."""
        options = self._options
        try:
            self._client.connect(options.host, options.broker_port, options.keepalive_s)
        except (OSError, UnicodeError) as error:
            raise self._explain(error) from error
        deadline = time.monotonic() + ANSWER_S
        while self._answer is None:
            remaining = deadline - time.monotonic()
            if remaining < 0:
                raise self._error("gives no answer", "check that an MQTT broker listens there")
            self.step(remaining)
        if self._answer.is_failure:
            raise self._refused()

    def send(self, topic: str, payload: bytes | str, qos: int, retain: bool) -> MQTTMessageInfo:
        """Send; ``is_published`` is true once delivered. Raises PublishError when disconnected."""
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._lost()
        return info

    def announce(self, status: str) -> MQTTMessageInfo:
        """Set the retained status. Raises PublishError when the connection is lost."""
        return self.send(self._options.availability_topic, status, 1, True)

    def step(self, timeout_s: float) -> None:
        """Send and receive; wait ``timeout_s`` at most, or until woken. Raises PublishError."""
        sock: Any = self._client.socket()
        if sock is None:
            raise self._lost()
        # What TLS has decrypted already makes no socket readable.
        undelivered = self._tls is not None and sock.pending() > 0
        wanted = select.POLLIN | (select.POLLOUT if self._client.want_write() else 0)
        poll = select.poll()
        poll.register(sock, wanted)
        poll.register(self._wake, select.POLLIN)
        happened = dict(poll.poll(0 if undelivered else 1000 * timeout_s))
        events = happened.get(sock.fileno(), 0)
        if self._wake in happened:
            os.eventfd_read(self._wake)
        if undelivered or events & ~select.POLLOUT:
            self._client.loop_read()
        if events & select.POLLOUT:
            self._client.loop_write()
        self._client.loop_misc()
        refused = self._answer is not None and self._answer.is_failure
        if self._client.socket() is None and not refused:
            raise self._lost()

    def close(self, deadline: float) -> None:
        """Say ``offline`` and disconnect by ``deadline`` (monotonic, s). Raises PublishError."""
        said = self.announce("offline")
        while not said.is_published() and time.monotonic() < deadline:
            self.step(max(0.0, deadline - time.monotonic()))
        self._client.disconnect()

    def abandon(self) -> None:
        """Close the socket at once, silently; harmless after ``close``."""
        if sock := self._client.socket():
            sock.close()

    def _on_connect(self, *event: Any) -> None:
        _client, _data, _flags, self._answer, _properties = event

    def _error(self, problem: str, remedy: str) -> PublishError:
        return PublishError(f"{self._options.title}: {problem}", remedy)

    def _lost(self) -> PublishError:
        problem = "the connection is lost"
        remedy = "if that goes on, see whether another client uses the same client_id"
        if self._answer is None:
            problem = "closed the connection without an answer"
            remedy = f"check whether it wants {'a client certificate' if self._tls else 'TLS'}"
        return self._error(problem, remedy)

    def _refused(self) -> PublishError:
        reason, user = str(self._answer), self._options.username
        if reason in _BAD_LOGIN:
            remedy = f"check the password of {user!r}" if user else "give username and password"
        else:
            remedy = "look into the broker's log"
        return self._error(f"the broker refuses the connection: {reason.lower()}", remedy)

    def _explain(self, error: OSError | UnicodeError) -> PublishError:
        match error:
            case ssl.SSLCertVerificationError():
                return self._error(
                    f"the broker's certificate is not trusted: {error.verify_message}",
                    "name its authority as tls.ca_file, and the broker as its certificate does",
                )
            case ssl.SSLError() | ConnectionResetError() if self._tls:
                return self._error("TLS failed", "check that this port speaks TLS")
            case socket.gaierror() | UnicodeError():
                return self._error("the name cannot be resolved", "correct host, or check the DNS")
            case TimeoutError():
                return self._error("does not answer", "check host, port and firewall")
            case ConnectionRefusedError():
                return self._error("nothing listens there", "start the broker, or correct port")
            case _:
                return self._error(error.strerror or str(error), "check the network")
