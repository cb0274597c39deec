"""A broker that refuses, or none at all: passwords, TLS and mistakes, explained in words."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.mosquitto import PASSWORD, Mosquitto, run, running
from support.publishing import Publishers, result

from edge_ssd import config
from edge_ssd.errors import ConfigError, PublishError
from edge_ssd.publishers import mqtt_connection


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
        said = warned("buffering")
    assert re.search(expected, said), said


def test_tls_to_a_plain_port_is_said(
    publisher: Publishers, broker: Mosquitto, warned: Callable[[str], str]
) -> None:
    publisher(broker.port, tls={})
    assert warned("TLS") or warned("connection reset")


def test_a_client_certificate_is_accepted(
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
    "tls: {key_file: k}": "tls: must have certificate_file where there is key_file",
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
