"""A real mosquitto on a loopback port, a client that watches it, and a line that can be cut."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

USER, PASSWORD = "edge", "correct horse: battery"
WAIT_S = 60
Inbox = queue.Queue[tuple[int, paho.MQTTMessage]]
# Debian puts it where only root's PATH leads.
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
_CA = """[req]
distinguished_name = name
x509_extensions = ca
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
subjectAltName = DNS:localhost
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


def run(*arguments: object) -> None:
    if not shutil.which(str(arguments[0]), path=_PATH):
        pytest.skip(f"{arguments[0]} is not installed (apt install mosquitto openssl)")
    environment = os.environ | {"PATH": _PATH}
    subprocess.run([*map(str, arguments)], check=True, capture_output=True, env=environment)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_certificates(folder: Path) -> None:
    """Write an authority, ca.pem, and what it signed: server.pem (localhost) and client.pem.

    The keys are server.key and client.key.
    """
    (folder / "openssl.cnf").write_text(_CA)
    ca = ("-config", folder / "openssl.cnf", "-nodes", "-newkey", "ec")
    curve = ("-pkeyopt", "ec_paramgen_curve:prime256v1")
    run(
        "openssl", "req", "-x509", *ca, *curve, "-subj", "/CN=test authority", "-days", 2,
        "-keyout", folder / "ca.key", "-out", folder / "ca.pem",
    )  # fmt: skip
    for name in ("server", "client"):
        request = folder / f"{name}.csr"
        run(
            "openssl", "req", *ca, *curve, "-subj", f"/CN={name}",
            "-keyout", folder / f"{name}.key", "-out", request,
        )  # fmt: skip
        run(
            "openssl", "x509", "-req", "-in", request, "-CA", folder / "ca.pem", "-CAcreateserial",
            "-CAkey", folder / "ca.key", "-days", 2, "-extfile", folder / "openssl.cnf",
            "-extensions", "leaf", "-out", folder / f"{name}.pem",
        )  # fmt: skip


class Mosquitto:
    """A broker that keeps nothing on disk; each ``start`` is a new life on the same port.

    tls: asks for encryption with server.pem of ``folder``. client_certificate: for one signed
    by ca.pem as well.
    """

    def __init__(self, folder: Path, tls: bool = False, client_certificate: bool = False) -> None:
        self.port = free_port()
        self.folder = folder
        self.tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        run("mosquitto_passwd", "-b", "-c", folder / "passwords", USER, PASSWORD)
        lines = [
            "user root",  # of root's own files it could read nothing after changing user
            "persistence false",
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous false",
            f"password_file {folder}/passwords",
        ]
        if tls:
            lines += [f"certfile {folder}/server.pem", f"keyfile {folder}/server.key"]
        if client_certificate:
            lines += [f"cafile {folder}/ca.pem", "require_certificate true"]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        program = shutil.which("mosquitto", path=_PATH)
        if program is None:
            pytest.skip("mosquitto is not installed (apt install mosquitto)")
        self._process = subprocess.Popen(
            [program, "-c", str(self.folder / "mosquitto.conf")], stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + WAIT_S
        while True:
            with suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            assert self._process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it silently."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Mosquitto]:
    broker = Mosquitto(folder, **options)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


class Watcher:
    """A second client that notes every message of every topic; back soon after an outage."""

    def __init__(self, broker: Mosquitto) -> None:
        self._messages: dict[str, Inbox] = {}
        self._came: dict[str, threading.Event] = {}
        self._lives = 0
        self.subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(USER, PASSWORD)
        if broker.tls:
            self._client.tls_set(str(broker.folder / "ca.pem"))
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.on_disconnect = lambda *_: self.subscribed.clear()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(0.02, 0.02)  # type: ignore[arg-type]
        self._client.connect_async("localhost", broker.port)
        self._client.loop_start()
        assert self.subscribed.wait(WAIT_S)

    def next(self, topic: str) -> paho.MQTTMessage:
        """Return the next message of this topic."""
        return self._inbox(topic).get(timeout=WAIT_S)[1]

    def wait_for(self, topic: str) -> None:
        """Wait until a message of this topic came in this life of the broker."""
        assert self._came.setdefault(topic, threading.Event()).wait(WAIT_S), f"no {topic}"

    def rest(self, topic: str) -> list[tuple[int, paho.MQTTMessage]]:
        """Return what came of this topic and was not taken, with the number of its connection."""
        inbox = self._inbox(topic)
        return [inbox.get_nowait() for _ in range(inbox.qsize())]

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        self._lives += 1
        for came in list(self._came.values()):
            came.clear()
        client.subscribe("#", qos=2)

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self._inbox(message.topic).put((self._lives, message))
        self._came.setdefault(message.topic, threading.Event()).set()

    def _inbox(self, topic: str) -> Inbox:
        # Atomic, which a defaultdict's access is not: the client's thread calls this, too.
        return self._messages.setdefault(topic, queue.Queue())

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def watching(broker: Mosquitto) -> Iterator[Watcher]:
    watcher = Watcher(broker)
    try:
        yield watcher
    finally:
        watcher.close()


class Line:
    """A TCP line to a broker that can be cut, at both ends or at the near one only.

    While it is cut, connections are refused.
    """

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self._far_port = port
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener: socket.socket | None = None
        self.restore()

    def restore(self) -> None:
        """Take connections again."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self, far_end: bool = True) -> None:
        """Reset what is connected; without ``far_end`` the broker learns nothing of it."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for near, far in self._pairs:
            for end in (near, far) if far_end else (near,):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        if far_end:
            self._pairs.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._far_port))
                self._pairs.append((near, far))
                threading.Thread(target=_copy, args=(near, far), daemon=True).start()
                threading.Thread(target=_copy, args=(far, near, True), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket, pass_end_on: bool = False) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        if pass_end_on:
            target.shutdown(socket.SHUT_RDWR)


def freeze(broker: Mosquitto) -> None:
    """Let it hold its connections and do nothing."""
    broker.signal(signal.SIGSTOP)
