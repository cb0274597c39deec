"""IP cameras against a real HTTP stream: freshness, outages, messages, and no secrets.

RTSP, against GStreamer's server, is in tests/system/test_rtsp.py.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.command import edge_ssd, start
from support.mjpeg_server import MjpegCamera, number_of

from edge_ssd import config
from edge_ssd.commands.record.recording import record
from edge_ssd.errors import ConfigError, DeviceError
from edge_ssd.sources.base import Source
from edge_ssd.types import Frame

USER, PASSWORD = "admin", "p@ss/w:rd#%"
OPEN_TIMEOUT_S, READ_TIMEOUT_S = 30.0, 10.0


@pytest.fixture
def camera() -> Iterator[MjpegCamera]:
    camera = MjpegCamera()
    camera.start()
    yield camera
    camera.stop()


@pytest.fixture
def locked_camera() -> Iterator[MjpegCamera]:
    camera = MjpegCamera(login=(USER, PASSWORD))
    camera.start()
    yield camera
    camera.stop()


@pytest.fixture
def open_source() -> Iterator[Callable[..., Source]]:
    """Build a source from a configuration and open it; closed at the end."""
    sources: list[Source] = []

    def opened(url: str, **options: Any) -> Source:
        sources.append(options_for(url, **options).make_source())
        sources[-1].open()
        return sources[-1]

    yield opened
    for source in sources:
        source.close()


def options_for(url: str, **options: Any) -> config.Config:
    timeouts = {"open_timeout_s": OPEN_TIMEOUT_S, "read_timeout_s": READ_TIMEOUT_S}
    kind = url.split(":", 1)[0].rstrip("s")
    section = {"type": kind, "url": url, **timeouts, **options}
    return config.parse({"name": "yard", "source": section})


def read(source: Source) -> Frame:
    for _ in range(100):
        frame = source.read(0.2)
        if frame is not None:
            return frame
    pytest.fail("no frame came in twenty seconds")


def test_images_come_in_order_with_their_numbers(
    camera: MjpegCamera, open_source: Callable[..., Source]
) -> None:
    source = open_source(camera.url)
    frames = [read(source) for _ in range(30)]
    shown = [number_of(frame.image) for frame in frames]
    assert source.live
    assert shown == sorted(set(shown))
    assert [frame.number for frame in frames] == shown  # none was lost unnoticed
    assert {frame.source for frame in frames} == {"yard"}


@pytest.mark.slow
def test_latency_does_not_build_up_behind_a_slow_reader(
    camera: MjpegCamera, open_source: Callable[..., Source]
) -> None:
    """100 pictures are sent between two reads; the reader sees the newest, not the next."""
    source = open_source(camera.url)
    for _ in range(3):
        read(source)
        goal = camera.sent + 100
        camera.wait_sent(goal)
        assert number_of(read(source).image) >= goal - 50


def test_a_frozen_camera_blocks_nobody_and_is_reported(
    camera: MjpegCamera, open_source: Callable[..., Source]
) -> None:
    source = open_source(camera.url, read_timeout_s=1)
    last = read(source)
    camera.frozen.set()
    with pytest.raises(DeviceError, match=r"yard: http://127\.0\.0\.1:\d+ gave no image for"):
        while True:
            last = source.read(0.01) or last
    source.close()
    camera.frozen.clear()
    source.open()
    assert read(source).number > last.number


def test_a_camera_that_restarts_is_refused_first_and_then_goes_on(
    camera: MjpegCamera, open_source: Callable[..., Source]
) -> None:
    source = open_source(camera.url)
    read(source)
    camera.stop()
    with pytest.raises(DeviceError, match=r"yard: http://127\.0\.0\.1:\d+ ended the stream"):
        while True:
            source.read(0.2)
    source.close()
    with pytest.raises(DeviceError, match="Connection refused; check the address"):
        source.open()
    camera.start()
    source.open()
    assert read(source).number > 0


def test_closing_ends_the_thread_and_the_connection(
    camera: MjpegCamera, open_source: Callable[..., Source]
) -> None:
    before = set(threading.enumerate())
    source = open_source(camera.url)
    read(source)
    assert any(thread.name == "yard reader" for thread in set(threading.enumerate()) - before)
    source.close()
    source.close()
    assert not any(thread.name == "yard reader" for thread in threading.enumerate())


def test_a_host_that_does_not_answer_is_told_in_time(open_source: Callable[..., Source]) -> None:
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())  # the queue of one is full; nobody else is answered
        port = full.getsockname()[1]
        with pytest.raises(DeviceError, match=rf"yard: rtsp://127\.0\.0\.1:{port} does not answer"):
            open_source(f"rtsp://127.0.0.1:{port}/", open_timeout_s=0.2)


def test_an_unknown_host_is_told_as_such(
    open_source: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DeviceError, match="yard: rtsp://camera does not answer: Name or"):
        open_source("rtsp://camera/stream")


def login_by_file(folder: Path) -> dict[str, str]:
    (folder / "password").write_text(PASSWORD + "\n")
    return {"username": USER, "password_file": str(folder / "password")}


def test_the_password_comes_from_a_file(
    locked_camera: MjpegCamera, open_source: Callable[..., Source], tmp_path: Path
) -> None:
    assert read(open_source(locked_camera.url, **login_by_file(tmp_path)))


def test_the_password_comes_from_a_systemd_credential(
    locked_camera: MjpegCamera,
    open_source: Callable[..., Source],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    login_by_file(tmp_path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    source = open_source(locked_camera.url, username=USER, password_credential="password")
    assert read(source)


def test_a_password_that_cannot_be_read_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    options = options_for("rtsp://c/", username=USER, password_file=str(tmp_path / "gone"))
    source = options.make_source()  # whoever checks a service's file may not read its secrets
    with pytest.raises(ConfigError, match=r"source\.password_file: .*gone: No such file"):
        source.open()


def with_login(url: str, user: str = USER, password: str = PASSWORD) -> str:
    return url.replace("://", f"://{quote(user, safe='')}:{quote(password, safe='')}@")


def assert_no_secret(*texts: str) -> None:
    for text in texts:
        assert PASSWORD not in text
        assert quote(PASSWORD, safe="") not in text
        assert "hunter2" not in text


def test_a_wrong_password_is_told_without_it(
    locked_camera: MjpegCamera,
    open_source: Callable[..., Source],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    url = with_login(locked_camera.url, password="hunter2") + "?token=hunter2"
    with pytest.raises(DeviceError) as caught:
        open_source(url)
    address = f"http://127.0.0.1:{locked_camera.port}"
    assert str(caught.value).startswith(f"yard: {address} answers, but gives no stream; check")
    assert_no_secret(str(caught.value), repr(caught.value), caplog.text, *capfd.readouterr())


def test_no_command_shows_a_password(locked_camera: MjpegCamera, tmp_path: Path) -> None:
    url = with_login(locked_camera.url, password="hunter2")
    path = tmp_path / "c.yaml"
    path.write_text(f"source: {{type: http, url: '{url}'}}\n")
    assert_no_secret(edge_ssd("check-config", path).stdout)
    output = tmp_path / "out"
    recorded = edge_ssd("--verbose", "record", "--config", path, "--output", output)
    assert recorded.returncode == 69
    running = start("--verbose", "run", "--config", path)  # it waits for the camera
    assert running.stderr
    told = ""
    while "answers, but gives no stream" not in told:
        told += running.stderr.readline()
    running.terminate()
    printed, more = running.communicate(timeout=60)
    for text in (recorded.stderr, told):
        assert "http://127.0.0.1" in text
    assert_no_secret(recorded.stdout, recorded.stderr, told, printed, more)


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://admin:hunter2@camera/",
        {"type": "rtsp://admin:hunter2@camera/"},
        {"type": "rtsp", "url": "admin:hunter2@camera/stream"},
        {"type": "rtsp", "url": "rtsp://admin:12/hunter2@camera/"},
        {"type": "rtsp", "url": "rtsp://admin:hunter2#@camera/"},
        {"type": "rtsp", "url": "rtsp://admin:hunter2@camera:99999/"},
        {"type": "rtsp", "url": "http://admin:hunter2@camera/"},
        {"type": "rtsp", "url": "rtsp://admin:hunter2@camera/", "username": "admin"},
        {"type": "rtsp", "url": "rtsp://camera/", "password": "hunter2"},
        {"type": "rtsp", "url": "rtsp://camera/", "password_file": "/hunter2"},
    ],
)
def test_a_mistake_in_the_configuration_does_not_show_the_password(source: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse({"source": source})
    assert_no_secret(str(caught.value))
    assert str(caught.value).startswith("source")


def test_a_configuration_does_not_print_its_password() -> None:
    options = options_for("rtsp://admin:hunter2@camera:8554/user=a_password=hunter2_channel=1")
    assert_no_secret(repr(options), str(options), options.model_dump_json())
    assert options.model_dump()["source"]["url"] == "rtsp://camera:8554"


def test_a_recording_does_not_hold_the_password(locked_camera: MjpegCamera, tmp_path: Path) -> None:
    options = options_for(with_login(locked_camera.url))
    assert record(options, tmp_path / "out", frame_limit=3) == 3
    saved = {path.name: path.read_text() for path in (tmp_path / "out").glob("*.*[a-z]l")}
    assert len(saved) == 3
    assert_no_secret(*saved.values())
    assert config.load(tmp_path / "out" / "config.yaml").source.type == "http"
