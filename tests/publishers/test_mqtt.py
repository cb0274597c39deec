"""MQTT against a real broker that is started, killed, frozen, cut off and locked."""

from __future__ import annotations

import json
import logging
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import environment
from mosquitto import (
    PASSWORD,
    USER,
    WAIT_S,
    Line,
    Mosquitto,
    Watcher,
    freeze,
    make_certificates,
    run,
    running,
    watching,
)

from edge_ssd import config
from edge_ssd.errors import ConfigError, PublishError
from edge_ssd.publishers import mqtt_connection
from edge_ssd.publishers.base import Publisher
from edge_ssd.publishers.message import encode, message
from edge_ssd.publishers.mqtt import MqttPublisher, backoff
from edge_ssd.service import build
from edge_ssd.types import Detections, Frame, FrameResult, PixelFormat, Timing

TOPIC, STATUS = "edge-ssd/cam/detections", "edge-ssd/cam/availability"


def result(number: int, classes: tuple[int, ...] = (), at_s: float = 0) -> FrameResult:
    count = len(classes)
    return FrameResult(
        Frame(
            np.zeros((4, 4, 3), np.uint8), PixelFormat.BGR, "cam", number, 0,
            datetime(2026, 11, 22, tzinfo=timezone.utc),
        ),
        Detections(
            np.zeros((count, 4), np.float32),
            np.ones(count, np.float32),
            np.array(classes, np.int32),
        ),
        model="m",
        labels=("person", "car"),
        timing=Timing(1, 2, 3),
        finished_ns=int(at_s * 1e9),
    )  # fmt: skip


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    (folder / "password").write_text(f"{PASSWORD}\n")
    return folder


@pytest.fixture
def broker(certificates: Path) -> Iterator[Mosquitto]:
    with running(certificates) as started:
        yield started


@pytest.fixture
def watcher(broker: Mosquitto) -> Iterator[Watcher]:
    with watching(broker) as client:
        yield client


class Publishers:
    """Makes publishers as a configuration does, and closes them after the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Publisher] = []

    def __call__(self, port: int, **options: Any) -> MqttPublisher:
        told = {
            "type": "mqtt", "host": "localhost", "port": port, "username": USER,
            "password_file": self.folder / "password",
            "reconnect_min_s": 0.05, "reconnect_max_s": 0.2,
        }  # fmt: skip
        section = config.MqttPublisher.model_validate(told | options)
        made = build.publisher(section, "cam")
        assert isinstance(made, MqttPublisher)
        self.made.append(made)
        made.open()
        return made


@pytest.fixture
def publisher(certificates: Path) -> Iterator[Publishers]:
    made = Publishers(certificates)
    yield made
    for each in made.made:
        each.close()


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[str], str]]:
    """Waits for a warning that holds a text, and returns it."""
    said = threading.Condition()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with said:
                said.notify_all()

    def wait(text: str) -> str:
        def found() -> list[str]:
            return [m for m in (record.getMessage() for record in caplog.records) if text in m]

        with said:
            assert said.wait_for(found, WAIT_S), (text, caplog.messages)
        return found()[0]

    handler = Handler()
    # After caplog's own, which notes the message.
    logging.getLogger().addHandler(handler)
    yield wait
    logging.getLogger().removeHandler(handler)


def frame_numbers(watcher: Watcher, last: int) -> list[int]:
    """The frame numbers that came, up to the last that is waited for."""
    numbers: list[int] = []
    while not numbers or numbers[-1] != last:
        numbers.append(json.loads(watcher.next(TOPIC).payload)["frame"])
    return numbers


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


def test_a_cut_line_means_offline_until_it_is_mended(
    publisher: Publishers, broker: Mosquitto, watcher: Watcher
) -> None:
    line = Line(broker.port)
    publisher(line.port)
    seen = [watcher.next(STATUS).payload]
    for _ in range(3):
        line.cut()
        seen.append(watcher.next(STATUS).payload)
        line.mend()
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
    line.mend()
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
        line.mend()
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
    assert "nothing listens there; start the broker" in warned("may wait")
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


def test_closing_without_a_broker_counts_what_is_left(
    publisher: Publishers, certificates: Path, warned: Callable[[str], str]
) -> None:
    sink = publisher(Mosquitto(certificates).port)
    for number in range(3):
        sink.publish(result(number))
    sink.close()
    assert (sink.published, sink.dropped, sink.waiting) == (0, 3, 0)
    assert "3 results could not be delivered" in warned("before the end")


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
    line.mend()
    warned("is connected again")
    sink.publish(result(2, (0,)))
    sink.publish(result(3, (0,)))
    sink.publish(result(4, (0, 1)))
    assert frame_numbers(watcher, 4) == [2, 4]


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


def test_a_wrong_password_is_said_and_results_wait(
    publisher: Publishers, broker: Mosquitto, tmp_path: Path, warned: Callable[[str], str]
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("guess")
    sink = publisher(broker.port, password_file=wrong)
    assert "not authorized; check the password of 'edge'" in warned("refuses")
    sink.publish(result(0))
    assert sink.waiting == 1


def test_a_missing_login_is_said(
    publisher: Publishers, broker: Mosquitto, warned: Callable[[str], str]
) -> None:
    publisher(broker.port, username=None, password_file=None)
    assert "give username and password" in warned("refuses")


def test_an_unknown_host_is_said(publisher: Publishers, warned: Callable[[str], str]) -> None:
    publisher(1, host="nowhere.invalid")
    assert "cannot be resolved; correct host" in warned("nowhere.invalid:1")


def test_a_port_that_answers_nothing_like_mqtt_is_said(
    publisher: Publishers, warned: Callable[[str], str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        publisher(server.getsockname()[1])
        server.accept()[0].close()
        assert "check whether it wants TLS" in warned("closed the connection without an answer")


def test_a_port_that_says_nothing_is_said(
    publisher: Publishers, warned: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_connection, "ANSWER_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        publisher(server.getsockname()[1])
        assert "check that an MQTT broker listens there" in warned("gives no answer")


def test_two_clients_with_one_id_are_told_so(
    publisher: Publishers, broker: Mosquitto, warned: Callable[[str], str]
) -> None:
    for _ in range(2):
        publisher(broker.port)
    assert "see whether another client uses the same client_id" in warned("is lost")


def test_the_waits_between_attempts_double_up_to_the_limit_and_vary() -> None:
    first, second = ([*islice(backoff(1, 10), 8)] for _ in range(2))
    for wait, longest in zip(first, [1, 2, 4, 8, 10, 10, 10, 10], strict=True):
        assert longest / 2 <= wait <= longest
    assert first != second


def test_who_does_not_publish_there_does_not_load_it() -> None:
    code = "import edge_ssd.service.build, sys; print('paho' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=environment(),
    )  # fmt: skip
    assert done.stdout == "False\n"


TLS_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown authority": ({"tls": {}}, "certificate is not trusted: .*; name its authority as tls"),
    "another name": (
        {"tls": {"ca_file": "ca.pem"}, "host": "127.0.0.1"},
        "certificate is not trusted: IP address mismatch",
    ),
    "none": ({"tls": None}, "without an answer; check whether it wants TLS"),
}


@pytest.mark.parametrize("name", TLS_FAULTS)
def test_a_tls_fault_is_said_in_words(
    publisher: Publishers, certificates: Path, warned: Callable[[str], str], name: str
) -> None:
    options, expected = TLS_FAULTS[name]
    if options["tls"]:
        options = options | {"tls": {"ca_file": certificates / options["tls"]["ca_file"]}}
    with running(certificates, tls=True) as broker:
        publisher(broker.port, **options)
        said = warned("may wait")
    assert re.search(expected, said), said


def test_tls_to_a_plain_port_is_said(
    publisher: Publishers, broker: Mosquitto, warned: Callable[[str], str]
) -> None:
    publisher(broker.port, tls={})
    assert warned("TLS") or warned("connection reset")


def test_a_client_certificate_opens_the_door(
    publisher: Publishers, certificates: Path, warned: Callable[[str], str]
) -> None:
    ca = certificates / "ca.pem"
    own = {
        "certificate_file": certificates / "client.pem",
        "key_file": certificates / "client.key",
    }
    with running(certificates, tls=True, client_certificate=True) as broker:
        publisher(broker.port, tls={"ca_file": ca})
        warned("wants a client certificate")
        sink = publisher(broker.port, tls={"ca_file": ca} | own, client_id="other")
        sink.publish(result(0))
        sink.close()
        assert sink.published == 1


def test_a_systemd_credential_is_the_password(
    publisher: Publishers, broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"password_file": None, "password_credential": "mqtt"}
    with pytest.raises(PublishError, match=r"no systemd credential 'mqtt'.*LoadCredential=mqtt:"):
        publisher(broker.port, **options)
    (tmp_path / "mqtt").write_text(PASSWORD)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    sink = publisher(broker.port, **options)
    sink.publish(result(0))
    sink.close()
    assert sink.published == 1


def test_files_that_cannot_work_are_refused_when_opened(
    publisher: Publishers, certificates: Path, tmp_path: Path
) -> None:
    def refused(**options: Any) -> str:
        with pytest.raises(PublishError) as caught:
            publisher(1, **options)
        return str(caught.value)

    own = {"certificate_file": certificates / "client.pem"}
    locked = tmp_path / "locked.key"
    run(
        "openssl", "ec", "-in", certificates / "client.key", "-aes256", "-passout", "pass:x",
        "-out", locked,
    )  # fmt: skip
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "gone: No such file" in refused(password_file=tmp_path / "gone")
    assert "binary is not text" in refused(password_file=tmp_path / "binary")
    assert "gone.pem: No such file" in refused(tls={"ca_file": tmp_path / "gone.pem"})
    assert "holds no certificate" in refused(tls={"ca_file": certificates / "password"})
    assert "and its own key" in refused(tls=own | {"key_file": certificates / "server.key"})
    assert "not encrypted" in refused(tls=own | {"key_file": locked})


CONFIG_MISTAKES = {
    "password: hunter2": "must not hold a password: put it into a file",
    "password_file: p": "must have a username where there is a password",
    "username: u, password_file: p, password_credential: c": "not both",
    "tls: {key_file: k}": "must have tls.certificate_file",
    "topic: a/+/b": "must be a topic",
    "topic: 'a/{camera}'": "must be a topic",
    "topic: a, availability_topic: a": "other than availability_topic",
}


@pytest.mark.parametrize("options", CONFIG_MISTAKES)
def test_a_mistake_in_the_configuration_is_explained(tmp_path: Path, options: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        f"source: {{type: synthetic}}\npublishers: [{{type: mqtt, host: h, {options}}}]\n"
    )
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert CONFIG_MISTAKES[options] in str(caught.value)
    assert "hunter2" not in str(caught.value)
