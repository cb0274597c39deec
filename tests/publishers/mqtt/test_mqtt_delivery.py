"""What a broker gets that is there: each result, or those that tell of a change."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from support.command import environment
from support.mosquitto import Line, Mosquitto, Watcher, watching
from support.publishing import STATUS, TOPIC, Publishers, frame_numbers, result

from edge_ssd.publishers.message import encode, message


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_each_result_arrives_once_in_order(
    publisher: Publishers, broker: Mosquitto, watcher: Watcher, qos: int
) -> None:
    sink = publisher(broker.port, qos=qos)
    assert watcher.next(STATUS).payload == b"online"
    for number in range(200):
        sink.publish(result(number))
    received = [watcher.next(TOPIC) for _ in range(200)]
    assert [m.payload for m in received] == [encode(message(result(n))) for n in range(200)]
    assert {(m.qos, m.retain) for m in received} == {(qos, False)}
    sink.close()
    assert (sink.published, sink.dropped, sink.waiting) == (200, 0, 0)


def test_a_retained_message_is_there_for_who_comes_later(
    publisher: Publishers, broker: Mosquitto
) -> None:
    sink = publisher(broker.port, retain=True, topic="home/{name}/seen")
    sink.publish(result(7))
    sink.close()
    with watching(broker) as late:
        kept = late.next("home/cam/seen")
        assert kept.retain
        assert json.loads(kept.payload)["frame"] == 7


def test_closing_says_offline_and_delivers_what_was_published_just_before(
    publisher: Publishers, broker: Mosquitto, watcher: Watcher
) -> None:
    sink = publisher(broker.port)
    for number in range(50):
        sink.publish(result(number))
    sink.close()
    sink.close()
    assert frame_numbers(watcher, 49) == list(range(50))
    assert [watcher.next(STATUS).payload for _ in range(2)] == [b"online", b"offline"]
    with watching(broker) as late:
        assert late.next(STATUS).payload == b"offline"


def test_a_recording_waits_for_a_connected_broker_and_loses_nothing(
    publisher: Publishers, broker: Mosquitto, watcher: Watcher
) -> None:
    sink = publisher(broker.port, offline_queue_size=10)
    sink.publish(result(0))
    assert frame_numbers(watcher, 0) == [0]
    for number in range(1, 500):
        sink.publish(result(number))
    assert frame_numbers(watcher, 499) == list(range(1, 500))
    assert sink.dropped == 0


def test_on_change_sends_when_the_count_of_a_label_changes(
    publisher: Publishers, broker: Mosquitto, watcher: Watcher
) -> None:
    sink = publisher(broker.port, publish="on-change")
    found = [(), (0,), (0,), (0, 0), (0, 1), (1, 0), (1,), (), ()]
    for number, classes in enumerate(found):
        sink.publish(result(number, classes))
    assert frame_numbers(watcher, 7) == [0, 1, 3, 4, 6, 7]
    sink.close()
    assert sink.published == 6


def test_on_change_with_a_heartbeat_sends_after_silence(
    publisher: Publishers, broker: Mosquitto, watcher: Watcher
) -> None:
    sink = publisher(broker.port, publish="on-change", heartbeat_s=10)
    for number, at_s in enumerate([100, 105, 109.9, 110, 111, 120, 200]):
        sink.publish(result(number, (0,), at_s))
    assert frame_numbers(watcher, 6) == [0, 3, 5, 6]


def test_on_change_tells_a_broker_that_came_back(
    publisher: Publishers, broker: Mosquitto, watcher: Watcher, warned: Callable[[str], str]
) -> None:
    line = Line(broker.port)
    sink = publisher(line.port, publish="on-change")
    sink.publish(result(0, (0,)))
    sink.publish(result(1, (0,)))
    assert frame_numbers(watcher, 0) == [0]
    line.cut()
    warned("the connection is lost")
    line.restore()
    warned("is connected again")
    sink.publish(result(2, (0,)))
    sink.publish(result(3, (0,)))
    sink.publish(result(4, (0, 1)))
    assert frame_numbers(watcher, 4) == [2, 4]


def test_who_does_not_publish_there_does_not_load_it() -> None:
    code = "import edge_ssd.service.build, sys; print({'paho', 'ssl'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=environment(),
    )  # fmt: skip
    assert done.stdout == "set()\n"
