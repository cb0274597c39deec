"""Publishes to MQTT, through a bounded queue that outlives outages."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import Counter, deque

from paho.mqtt.client import MQTTMessageInfo

from edge_ssd.backoff import Backoff
from edge_ssd.errors import PublishError
from edge_ssd.publishers.base import Publisher
from edge_ssd.publishers.message import encode, message
from edge_ssd.publishers.mqtt import MqttOptions
from edge_ssd.publishers.mqtt_connection import Connection
from edge_ssd.types import FrameResult

log = logging.getLogger(__name__)

# In seconds: how long ``close`` delivers, how long ``publish`` waits for room in a full queue
# while connected, and how often the connection checks its keepalive.
_FLUSH_S, _ROOM_S, _STEP_S = 1.0, 0.2, 1.0
_IN_FLIGHT = 20


class MqttPublisher(Publisher):
    """Sends each result to a broker; a thread of its own keeps the connection.

    Messages wait in one bounded queue until they are delivered: acknowledged by the broker or,
    for qos 0, given to the kernel. The first few are in flight; after a lost connection they
    are sent again, in order, and one whose acknowledgement was lost arrives twice.

    While the broker is away a full queue discards its oldest message; ``publish`` then raises
    PublishError, once for each message discarded, which is how drops are counted. Connected,
    ``publish`` first waits a moment for room, so a recording is not faster than the broker.

    After a lost connection the next result is sent whether it changed or not: a restarted broker
    has no retained message.

    options: the topics and the client id as they are sent, without {name}.
    published, dropped: messages so far; together with ``waiting`` all that were offered.
    """

    def __init__(self, options: MqttOptions) -> None:
        self.name = options.title
        self.published = self.dropped = 0
        self._options = options
        self._messages: deque[bytes] = deque()
        self._sent = 0  # how many of them, from the first, are in flight
        # One less than the queue's size: the newest is never dropped.
        self._most_sent = min(_IN_FLIGHT, options.offline_queue_size - 1)
        self._infos: deque[MQTTMessageInfo] = deque()  # of these; used by the thread alone
        self._changed = threading.Condition()
        self._online_at: float | None = None  # since when, by the monotonic clock
        self._problem: tuple[str, str] | None = None
        self._said: set[str] = set()
        self._last_found: Counter[int] | None = None
        self._last_ns = 0
        self._crash: BaseException | None = None
        self._stopping = threading.Event()
        self._stop_at = math.inf  # by the monotonic clock, in seconds
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Messages that are not delivered yet."""
        return len(self._messages)

    def open(self) -> None:
        """Begin to connect, in the thread. Raises PublishError for a secret that cannot be read."""
        self._password = self._options.read_password()
        tls = self._options.tls
        self._tls = tls.context() if tls else None
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name=f"{self.name} net", daemon=True)
        self._thread.start()

    def publish(self, result: FrameResult) -> None:
        if self._crash:
            raise self._crash
        if not self._worth_sending(result):
            return
        payload = encode(message(result))
        size = self._options.offline_queue_size
        with self._changed:
            self._changed.wait_for(
                lambda: len(self._messages) < size or self._online_at is None, _ROOM_S
            )
            self._messages.append(payload)
            full = len(self._messages) > size
            if full:
                del self._messages[self._sent]  # the oldest that is not in flight
                self.dropped += 1
            slow = f"{self.name}: the broker is too slow", "send less, with `publish: on-change`"
            problem, remedy = self._problem or slow
        os.eventfd_write(self._wake, 1)
        if full:
            raise PublishError(problem, remedy)

    def close(self) -> None:
        """Deliver what waits within a second, say ``offline``; what is left counts as dropped."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stop_at = time.monotonic() + _FLUSH_S
        self._stopping.set()
        os.eventfd_write(self._wake, 1)
        # A thread that is blocked, in a name look-up for instance, is left behind with its event.
        thread.join(_FLUSH_S + 0.1)
        if not thread.is_alive():
            os.close(self._wake)
        with self._changed:
            left = len(self._messages)
            self._messages.clear()
            self._sent = 0
            self.dropped += left
        if left:
            log.warning("%s: %d results could not be delivered before the end", self.name, left)

    def _worth_sending(self, result: FrameResult) -> bool:
        if self._options.publish == "every-frame":
            return True
        found = Counter(result.detections.class_ids.tolist())
        heartbeat_s = self._options.heartbeat_s or math.inf
        with self._changed:
            silent_s = (result.finished_ns - self._last_ns) / 1e9
            if found == self._last_found and silent_s < heartbeat_s:
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
                self._connected()
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
            connection.step(max(0.0, min(_STEP_S, self._stop_at - time.monotonic())))
            self._settle()

    def _send_waiting(self, connection: Connection) -> None:
        options = self._options
        while True:
            with self._changed:
                if self._sent == min(len(self._messages), self._most_sent):
                    return
                payload = self._messages[self._sent]
                self._sent += 1
            sent = connection.send(options.topic, payload, options.qos, options.retain)
            self._infos.append(sent)
            self._settle()  # qos 0 is delivered at once

    def _settle(self) -> None:
        """Take what was delivered off the queue."""
        with self._changed:
            while self._sent and self._infos and self._infos[0].is_published():
                self._infos.popleft()
                self._messages.popleft()
                self._sent -= 1
                self.published += 1
            self._changed.notify()

    def _connected(self) -> None:
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
        return time.monotonic() >= self._stop_at
