"""A real broker, who watches it, publishers to it, and what they warn of."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.mosquitto import (
    PASSWORD,
    WAIT_S,
    Mosquitto,
    Watcher,
    make_certificates,
    running,
    watching,
)
from support.publishing import Publishers

from edge_ssd.publishers import mqtt_publisher


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A publisher waits for a broker that works as long as a busy machine takes."""
    monkeypatch.setattr(mqtt_publisher, "_FLUSH_S", WAIT_S)
    monkeypatch.setattr(mqtt_publisher, "_ROOM_S", WAIT_S)


@pytest.fixture
def impatience(patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As little as it takes to notice that the broker does nothing."""
    monkeypatch.setattr(mqtt_publisher, "_FLUSH_S", 0.2)
    monkeypatch.setattr(mqtt_publisher, "_ROOM_S", 0.05)


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
