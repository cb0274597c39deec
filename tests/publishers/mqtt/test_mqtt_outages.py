"""A real broker is killed, frozen, cut off or not there yet: what is kept, dropped and told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support.mosquitto import Line, Mosquitto, Watcher, freeze, running, watching
from support.publishing import STATUS, TOPIC, Publishers, frame_numbers, result

from edge_ssd.errors import PublishError
from edge_ssd.publishers.mqtt_publisher import MqttPublisher


def test_a_cut_line_means_offline_until_it_is_restored(
    publisher: Publishers, broker: Mosquitto, watcher: Watcher
) -> None:
    line = Line(broker.port)
    publisher(line.port)
    seen = [watcher.next(STATUS).payload]
    for _ in range(3):
        line.cut()
        seen.append(watcher.next(STATUS).payload)
        line.restore()
        seen.append(watcher.next(STATUS).payload)
    assert seen == [b"online", *[b"offline", b"online"] * 3]
    line.cut()


def test_a_half_dead_connection_does_not_say_offline_later(
    publisher: Publishers, broker: Mosquitto, watcher: Watcher
) -> None:
    line = Line(broker.port)
    sink = publisher(line.port)
    assert watcher.next(STATUS).payload == b"online"
    line.cut(far_end=False)
    line.restore()
    assert watcher.next(STATUS).payload == b"offline"  # of the old one, ended by the new
    assert watcher.next(STATUS).payload == b"online"
    sink.publish(result(1))
    assert frame_numbers(watcher, 1) == [1]
    with watching(broker) as late:
        assert late.next(STATUS).payload == b"online"
    sink.close()
    line.cut()


class Offered:
    """Publishes frame after frame, counts what was refused, and watches the queue's bound."""

    def __init__(self, sink: MqttPublisher, bound: int) -> None:
        self.sink, self.bound = sink, bound
        self.count = self.refused = 0

    def more(self, count: int) -> None:
        for _ in range(count):
            try:
                self.sink.publish(result(self.count))
            except PublishError:
                self.refused += 1
            self.count += 1
            assert self.sink.waiting <= self.bound


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_was_not_dropped_arrives_over_a_line_that_is_cut_at_full_rate(
    publisher: Publishers, broker: Mosquitto, watcher: Watcher, qos: int
) -> None:
    line = Line(broker.port)
    sink = publisher(line.port, qos=qos, offline_queue_size=50)
    offered = Offered(sink, 50)
    for _ in range(4):
        assert watcher.next(STATUS).payload == b"online"
        offered.more(200)
        line.cut()
        offered.more(100)
        assert watcher.next(STATUS).payload == b"offline"
        line.restore()
    assert watcher.next(STATUS).payload == b"online"
    offered.more(10)
    sink.close()
    assert watcher.next(STATUS).payload == b"offline"

    assert (sink.dropped, sink.waiting) == (offered.refused, 0)
    assert sink.dropped > 0
    assert sink.published + sink.dropped == offered.count == 1210
    numbers = frame_numbers(watcher, 1209)
    first_times = list(dict.fromkeys(numbers))
    assert first_times == sorted(first_times)
    assert first_times[-10:] == list(range(1200, 1210))
    if qos > 0:
        # The broker may have what was in flight at a cut; it can be dropped all the same.
        assert sink.published <= len(first_times) <= sink.published + 4 * 20


def test_a_broker_that_is_away_at_first_gets_everything_later(
    publisher: Publishers,
    certificates: Path,
    caplog: pytest.LogCaptureFixture,
    warned: Callable[[str], str],
) -> None:
    broker = Mosquitto(certificates)
    sink = publisher(broker.port)
    for number in range(30):
        sink.publish(result(number))
    assert "nothing listens there; start the broker" in warned("buffering up to 1000 messages")
    try:
        broker.start()
        warned("is connected again")
        with watching(broker) as watcher:
            sink.publish(result(30))
            assert frame_numbers(watcher, 30)[-1] == 30
            sink.close()
    finally:
        broker.kill()
    assert (sink.published, sink.dropped) == (31, 0)
    assert len(caplog.messages) == 2, "an outage is said once"


def test_a_full_queue_drops_the_oldest_and_tells_of_each(
    publisher: Publishers, certificates: Path, warned: Callable[[str], str]
) -> None:
    broker = Mosquitto(certificates)
    sink = publisher(broker.port, offline_queue_size=5, retain=True)
    warned("nothing listens")
    for number in range(5):
        sink.publish(result(number))
    for number in range(5, 12):
        with pytest.raises(PublishError, match="nothing listens there; start the broker"):
            sink.publish(result(number))
    assert (sink.waiting, sink.dropped) == (5, 7)
    try:
        broker.start()
        warned("is connected again")
        sink.close()
        assert (sink.published, sink.dropped) == (5, 7)
        with watching(broker) as watcher:
            assert frame_numbers(watcher, 11) == [11]
    finally:
        broker.kill()


@pytest.mark.usefixtures("impatience")
def test_closing_without_a_broker_counts_what_is_left(
    publisher: Publishers, certificates: Path, warned: Callable[[str], str]
) -> None:
    sink = publisher(Mosquitto(certificates).port)
    for number in range(3):
        sink.publish(result(number))
    sink.close()
    assert (sink.published, sink.dropped, sink.waiting) == (0, 3, 0)
    assert "3 results could not be delivered" in warned("before the end")


@pytest.mark.usefixtures("impatience")
def test_closing_does_not_wait_for_a_frozen_broker(
    publisher: Publishers, broker: Mosquitto, watcher: Watcher
) -> None:
    sink = publisher(broker.port)
    assert watcher.next(STATUS).payload == b"online"
    freeze(broker)
    for number in range(100):
        sink.publish(result(number))
    sink.close()
    assert (sink.published, sink.dropped, sink.waiting) == (0, 100, 0)


@pytest.mark.usefixtures("impatience")
def test_a_connected_broker_that_takes_nothing_more_leads_to_drops(
    publisher: Publishers, broker: Mosquitto, watcher: Watcher
) -> None:
    sink = publisher(broker.port, offline_queue_size=3)
    assert watcher.next(STATUS).payload == b"online"
    freeze(broker)
    for number in range(3):
        sink.publish(result(number))
    with pytest.raises(PublishError, match="the broker is too slow"):
        sink.publish(result(3))
    assert (sink.waiting, sink.dropped) == (3, 1)


@pytest.mark.slow
def test_ten_kills_at_full_rate_with_password_and_tls(
    publisher: Publishers, certificates: Path
) -> None:
    """Counts exact, order kept, queue bounded, availability right in each life of the broker."""
    with running(certificates, tls=True) as broker, watching(broker) as watcher:
        tls = {"ca_file": certificates / "ca.pem"}
        sink = publisher(broker.port, tls=tls, offline_queue_size=100)
        offered = Offered(sink, 100)
        threads = threading.active_count()
        for _ in range(10):
            assert watcher.next(STATUS).payload == b"online"
            offered.more(300)
            watcher.wait_for(TOPIC)
            broker.kill()
            offered.more(300)
            broker.start()
        assert watcher.next(STATUS).payload == b"online"
        offered.more(300)
        assert threading.active_count() == threads
        sink.close()
        assert watcher.next(STATUS).payload == b"offline"
        assert watcher.rest(STATUS) == []
        received = watcher.rest(TOPIC)

    assert (sink.dropped, sink.waiting) == (offered.refused, 0)
    assert sink.dropped > 0
    assert sink.published + sink.dropped == offered.count == 6300
    lives: list[list[int]] = [[] for _ in range(11)]
    for life, told in received:
        lives[life - 1].append(json.loads(told.payload)["frame"])
    for numbers in lives:
        assert numbers
        assert numbers == sorted(set(numbers)), "in one life: once, in order"
    first_times = list(dict.fromkeys(number for numbers in lives for number in numbers))
    assert first_times == sorted(first_times)
