"""MQTT: one message per frame or per change, through a bounded queue that outlives outages."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from paho.mqtt.client import MQTTMessageInfo

from edge_ssd.errors import PublishError
from edge_ssd.publishers.base import Publisher
from edge_ssd.publishers.message import encode, message
from edge_ssd.publishers.mqtt_connection import Broker, Connection
from edge_ssd.secrets import Password, TlsFiles, read_password, tls_context
from edge_ssd.types import FrameResult

log = logging.getLogger(__name__)

FLUSH_S = 1.0
"""How long ``close`` tries to deliver what waits, in seconds."""

ROOM_S = 0.2
"""How long ``publish`` waits for a connected broker to take something from a full queue."""

STEP_S = 1.0
"""How often the connection looks at its keepalive, in seconds."""

_IN_FLIGHT = 20


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is sent, and how.

    on_change: only when the number of detections of some class differs from the last
        message's, and after heartbeat_s without a message (None: never for that).
    queue_size: messages not yet delivered, at most; 2 or more.
    reconnect_min_s, reconnect_max_s: between attempts, see ``backoff``.
    """

    topic: str
    qos: int
    retain: bool
    on_change: bool
    heartbeat_s: float | None
    queue_size: int
    reconnect_min_s: float
    reconnect_max_s: float


def backoff(min_s: float, max_s: float) -> Iterator[float]:
    """Yield the seconds to wait before each attempt: twice as long each time, up to max_s.

    Each is shortened by up to half at random, so that a house full of cameras does not return
    at one moment.
    """
    while True:
        yield min(min_s, max_s) * random.uniform(0.5, 1)
        min_s = min(2 * min_s, max_s)


class MqttPublisher(Publisher):
    """Sends each result to a broker; a thread of its own keeps the connection.

    Messages wait in one bounded queue until they are delivered: acknowledged by the broker or,
    for qos 0, given to the kernel. The first few are in flight; after a lost connection they
    are sent again, so the order stays, and one whose acknowledgement was lost comes twice.

    While the broker is away a full queue discards its oldest message; ``publish`` then raises
    PublishError, once for each message discarded, which is how drops are counted. Connected,
    ``publish`` first waits a moment for room, so a recording is not faster than the broker.

    After a lost connection the next result is sent whether it changed or not: a broker that
    was started again knows nothing.

    published, dropped: messages so far; together with ``waiting`` all that were offered.
    """

    def __init__(
        self, broker: Broker, password: Password, tls: TlsFiles | None, delivery: Delivery
    ) -> None:
        self.name = f"mqtt {broker.host}:{broker.port}"
        self.published = 0
        self.dropped = 0
        self._broker, self._delivery = broker, delivery
        self._password_at, self._tls_files = password, tls
        self._messages: deque[bytes] = deque()
        self._sent = 0  # so many of the first ones are in flight
        self._most_sent = min(_IN_FLIGHT, delivery.queue_size - 1)  # the newest is never dropped
        self._infos: deque[MQTTMessageInfo] = deque()  # of these; the thread's alone
        self._changed = threading.Condition()
        self._online_at: float | None = None  # since when, by the monotonic clock
        self._problem: tuple[str, str] | None = None
        self._said: set[str] = set()
        self._last_found: Counter[int] | None = None
        self._last_ns = 0
        self._crash: BaseException | None = None
        self._stopping = threading.Event()
        self._stop_at = 0.0
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Messages that are not delivered yet."""
        return len(self._messages)

    def open(self) -> None:
        """Begin to connect; a broker that is away is no error.

        Raises PublishError when a password or certificate file cannot be read.
        """
        self._password = read_password(self._password_at)
        self._tls = tls_context(self._tls_files) if self._tls_files else None
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name=f"{self.name} net", daemon=True)
        self._thread.start()

    def publish(self, result: FrameResult) -> None:
        """Queue the message of a result; see the class for when it raises PublishError."""
        if self._crash is not None:
            raise self._crash
        if not self._worth_telling(result):
            return
        payload = encode(message(result))
        size = self._delivery.queue_size
        with self._changed:
            self._changed.wait_for(
                lambda: len(self._messages) < size or self._online_at is None, ROOM_S
            )
            self._messages.append(payload)
            full = len(self._messages) > size
            if full:
                # What is in flight cannot be called back.
                del self._messages[self._sent]
                self.dropped += 1
            problem, remedy = self._problem or (
                f"{self.name}: the broker is too slow",
                "send less, with `publish: on-change`",
            )
        os.eventfd_write(self._wake, 1)
        if full:
            raise PublishError(problem, remedy)

    def close(self) -> None:
        """Deliver what waits within a second, say ``offline``; what is left counts as dropped."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stop_at = time.monotonic() + FLUSH_S
        self._stopping.set()
        os.eventfd_write(self._wake, 1)
        # A thread that hangs, in a name look-up for instance, is left behind with its event.
        thread.join(FLUSH_S + 0.1)
        if not thread.is_alive():
            os.close(self._wake)
        with self._changed:
            left = len(self._messages)
            self._messages.clear()
            self._sent = 0
            self.dropped += left
        if left:
            log.warning("%s: %d results could not be delivered before the end", self.name, left)

    def _worth_telling(self, result: FrameResult) -> bool:
        if not self._delivery.on_change:
            return True
        found = Counter(result.detections.class_ids.tolist())
        heartbeat_s = self._delivery.heartbeat_s
        silent_s = (result.finished_ns - self._last_ns) / 1e9
        with self._changed:
            if found == self._last_found and (heartbeat_s is None or silent_s < heartbeat_s):
                return False
            self._last_found, self._last_ns = found, result.finished_ns
            return True

    def _run(self) -> None:
        """Keep a connection until ``close``; the thread's whole life."""
        limits = self._delivery.reconnect_min_s, self._delivery.reconnect_max_s
        waits, wait_s = backoff(*limits), 0.0
        try:
            while not self._attempt():
                # One that ended at once, as when two clients share an id, is no success.
                if self._online_at and time.monotonic() - self._online_at > wait_s:
                    waits = backoff(*limits)
                self._disconnected()
                wait_s = next(waits)
                if self._stopping.wait(wait_s):
                    return
        except BaseException as error:  # whatever it is, ``publish`` must pass it on
            self._crash = error
            self._disconnected()

    def _attempt(self) -> bool:
        """Connect and deliver until the connection ends; return whether that was by ``close``."""
        connection = Connection(self._broker, self._tls, self._password, self._wake)
        try:
            connection.open()
            if not self._late:
                connection.announce("online")
                self._greet()
                self._deliver(connection)
                connection.close(self._stop_at)
            return True
        except PublishError as error:
            self._explain(error)
            return False
        finally:
            self._settle()
            connection.abandon()

    def _deliver(self, connection: Connection) -> None:
        while not (self._late or (self._stopping.is_set() and not self._messages)):
            self._send_waiting(connection)
            remaining_s = self._stop_at - time.monotonic() if self._stopping.is_set() else STEP_S
            connection.step(max(0.0, remaining_s))
            self._settle()

    def _send_waiting(self, connection: Connection) -> None:
        delivery = self._delivery
        while (payload := self._next_to_send()) is not None:
            sent = connection.send(delivery.topic, payload, delivery.qos, delivery.retain)
            self._infos.append(sent)
            self._settle()  # qos 0 is delivered at once

    def _next_to_send(self) -> bytes | None:
        with self._changed:
            if self._sent == min(len(self._messages), self._most_sent):
                return None
            self._sent += 1
            return self._messages[self._sent - 1]

    def _settle(self) -> None:
        """Take what was delivered off the queue."""
        with self._changed:
            while self._sent and self._infos and self._infos[0].is_published():
                self._infos.popleft()
                self._messages.popleft()
                self._sent -= 1
                self.published += 1
            self._changed.notify()

    def _greet(self) -> None:
        with self._changed:
            self._online_at, self._problem = time.monotonic(), None
        if self._said:
            log.warning("%s is connected again", self.name)
        self._said.clear()

    def _disconnected(self) -> None:
        self._infos.clear()
        with self._changed:
            self._online_at = None
            self._sent = 0
            self._last_found = None
            self._changed.notify()

    def _explain(self, error: PublishError) -> None:
        """Say why there is no connection: each reason once an outage."""
        with self._changed:
            self._problem = (error.problem, error.remedy)
        if error.problem not in self._said:
            log.warning("%s; meanwhile %d results may wait", error, self._delivery.queue_size)
        self._said.add(error.problem)

    @property
    def _late(self) -> bool:
        return self._stopping.is_set() and time.monotonic() >= self._stop_at
