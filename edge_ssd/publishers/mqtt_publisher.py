"""Publishes to MQTT, through a bounded queue that outlives outages."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING

from paho.mqtt.client import MQTTMessageInfo

from edge_ssd.backoff import Backoff
from edge_ssd.errors import PublishError
from edge_ssd.publishers.base import Publisher
from edge_ssd.publishers.message import encode, message
from edge_ssd.publishers.mqtt_connection import Connection
from edge_ssd.types import FrameResult

if TYPE_CHECKING:
    from edge_ssd.publishers.mqtt import MqttOptions

log = logging.getLogger(__name__)

FLUSH_S = 1.0
"""How long ``close`` tries to deliver what waits, in seconds."""

ROOM_S = 0.2
"""How long ``publish`` waits for a connected broker to take something from a full queue."""

STEP_S = 1.0
"""How often the connection looks at its keepalive, in seconds."""

_IN_FLIGHT = 20


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

    options: the topics and the client id as they are sent, without {name}.
    published, dropped: messages so far; together with ``waiting`` all that were offered.
    """

    def __init__(self, options: MqttOptions) -> None:
        self.name = options.title
        self.published = 0
        self.dropped = 0
        self._options = options
        self._messages: deque[bytes] = deque()
        self._sent = 0  # so many of the first ones are in flight
        # One less than the queue's size: the newest is never dropped.
        self._most_sent = min(_IN_FLIGHT, options.offline_queue_size - 1)
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
        options = self._options
        self._password = options.read_password()
        self._tls = options.tls.context() if options.tls else None
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
        size = self._options.offline_queue_size
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
        # A thread that is blocked, in a name look-up for instance, is left behind with its event.
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
        if self._options.publish == "every-frame":
            return True
        found = Counter(result.detections.class_ids.tolist())
        heartbeat_s = self._options.heartbeat_s
        silent_s = (result.finished_ns - self._last_ns) / 1e9
        with self._changed:
            if found == self._last_found and (heartbeat_s is None or silent_s < heartbeat_s):
                return False
            self._last_found, self._last_ns = found, result.finished_ns
            return True

    def _run(self) -> None:
        """Keep a connection until ``close``; the thread's whole life."""
        options, wait_s = self._options, 0.0
        backoff = Backoff(options.reconnect_min_s, options.reconnect_max_s, jitter=(0.5, 1))
        try:
            while not self._attempt():
                # One that ended at once, as when two clients share an id, is no success.
                if self._online_at and time.monotonic() - self._online_at > wait_s:
                    backoff.reset()
                self._disconnected()
                wait_s = backoff.next_s()
                if self._stopping.wait(wait_s):
                    return
        except BaseException as error:  # whatever it is, ``publish`` must pass it on
            self._crash = error
            self._disconnected()

    def _attempt(self) -> bool:
        """Connect and deliver until the connection ends; return whether that was by ``close``."""
        connection = Connection(self._options, self._tls, self._password, self._wake)
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
        while not self._late:
            self._send_waiting(connection)
            if self._stopping.is_set() and not self._messages:
                return
            remaining_s = self._stop_at - time.monotonic() if self._stopping.is_set() else STEP_S
            connection.step(max(0.0, remaining_s))
            self._settle()

    def _send_waiting(self, connection: Connection) -> None:
        options = self._options
        while (payload := self._next_to_send()) is not None:
            sent = connection.send(options.topic, payload, options.qos, options.retain)
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
        """Say why there is no connection: each reason once per outage."""
        with self._changed:
            self._problem = (error.problem, error.remedy)
        if error.problem not in self._said:
            size = self._options.offline_queue_size
            log.warning("%s; buffering up to %d messages", error, size)
        self._said.add(error.problem)

    @property
    def _late(self) -> bool:
        return self._stopping.is_set() and time.monotonic() >= self._stop_at
