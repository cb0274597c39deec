"""A real RTSP camera, GStreamer's, stopped, frozen and started again under the whole pipeline.

Its pictures show when they were painted, by a clock that both processes share.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support import rtsp_server
from support.command import command, environment
from support.pipelines import Recorder, make_pipeline, small_spec
from support.rtsp_server import RtspServer, latency_ms
from support.waiting import wait_for

from edge_ssd import config
from edge_ssd.errors import DeviceError
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.pipeline.pipeline import Pipeline
from edge_ssd.types import FrameResult

MISSING = rtsp_server.missing()
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(MISSING is not None, reason=f"no GStreamer RTSP server: {MISSING}"),
]

USER, PASSWORD = "admin", "p@ss/w:rd#%"
FRESH_MS = 1500
"""An image is 35 ms old here; the rest is for a busy machine. In a queue it would be 2 s old."""


class LatencyRecorder(Recorder):
    """Notes how old each picture is when it is published."""

    def __init__(self) -> None:
        super().__init__()
        self.latencies_ms: list[int] = []

    def publish(self, result: FrameResult) -> None:
        super().publish(result)
        self.latencies_ms.append(latency_ms(result.frame.image))


@pytest.fixture(params=["h264", "jpeg"])
def server(request: pytest.FixtureRequest) -> Iterator[RtspServer]:
    server = RtspServer(request.param, "both", USER, PASSWORD)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def recorder() -> LatencyRecorder:
    return LatencyRecorder()


@pytest.fixture
def pipeline(server: RtspServer, recorder: LatencyRecorder, tmp_path: Path) -> Iterator[Pipeline]:
    source = options_for(server, tmp_path).make_source()
    pipeline = make_pipeline(source, CpuBackend(small_spec(tmp_path)), [recorder])
    pipeline.start()
    yield pipeline
    server.stop()
    pipeline.stop()


def options_for(server: RtspServer, folder: Path, **more: Any) -> config.Config:
    (folder / "password").write_text(PASSWORD)
    section = {
        "type": "rtsp", "url": f"rtsp://127.0.0.1:{server.port}/camera", "username": USER,
        "password_file": str(folder / "password"), "read_timeout_s": 1.0, **more,
    }  # fmt: skip
    return config.parse({"name": "yard", "source": section})


def wait_for_fresh(recorder: LatencyRecorder, count: int = 30) -> None:
    """Wait for so many more pictures that are fresh."""
    seen = len(recorder.latencies_ms)

    def fresh() -> int:
        return sum(latency < FRESH_MS for latency in recorder.latencies_ms[seen:])

    wait_for(lambda: fresh() >= count)
    assert max(recorder.latencies_ms[-count // 2 :]) < FRESH_MS


def assert_no_secret(*texts: str) -> None:
    for text in texts:
        assert PASSWORD not in text
        assert quote(PASSWORD, safe="") not in text


def test_it_survives_a_stop_and_a_freeze(
    server: RtspServer,
    recorder: LatencyRecorder,
    pipeline: Pipeline,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    wait_for_fresh(recorder)

    server.stop()
    wait_for(lambda: "; retrying" in caplog.text)
    server.start()
    wait_for_fresh(recorder)
    assert caplog.text.count("works again after") == 1

    server.freeze()
    wait_for(lambda: "gave no image for 1" in caplog.text)
    server.thaw()
    wait_for_fresh(recorder)
    assert caplog.text.count("works again after") == 2

    assert len(set(recorder.numbers)) == len(recorder.numbers)
    assert recorder.numbers == sorted(recorder.numbers)
    assert len(caplog.messages) == 4
    assert_no_secret(caplog.text, *capfd.readouterr())


def test_latency_does_not_build_up_while_nobody_reads(server: RtspServer, tmp_path: Path) -> None:
    source = options_for(server, tmp_path).make_source()
    source.open()
    try:
        for _ in range(3):
            wait_for(lambda: source.read(1) is not None)
            threading.Event().wait(2)  # sixty pictures arrive
            frame = source.read(1)
            assert frame is not None
            assert latency_ms(frame.image) < FRESH_MS
    finally:
        source.close()


@pytest.mark.parametrize(("transport", "udp_used"), [("tcp", 0), ("udp", 2), ("both", 0)])
def test_tcp_comes_first_and_udp_where_it_is_refused(
    tmp_path: Path, transport: str, udp_used: int
) -> None:
    server = RtspServer("jpeg", transport, USER, PASSWORD)
    server.start()
    source = options_for(server, tmp_path).make_source()
    try:
        source.open()
        wait_for(lambda: source.read(1) is not None)
        assert udp_sockets() == udp_used
    finally:
        source.close()
        server.stop()


def udp_sockets() -> int:
    """Return how many UDP sockets this process has open."""
    rows = Path("/proc/self/net/udp").read_text().splitlines()[1:]
    mine = {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
    return sum(f"socket:[{row.split()[9]}]" in mine for row in rows)


def test_a_wrong_password_and_a_wrong_path_are_told_without_secrets(
    server: RtspServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong_path = options_for(server, tmp_path, url=f"rtsp://127.0.0.1:{server.port}/none")
    wrong_user = options_for(server, tmp_path, username="guest")
    for options in (wrong_path, wrong_user):
        source = options.make_source()
        with pytest.raises(DeviceError, match="answers, but gives no stream") as told:
            source.open()
        assert_no_secret(str(told.value), *capfd.readouterr())


def test_the_command_ends_in_time_though_the_camera_is_frozen(
    server: RtspServer, tmp_path: Path, demo: Path
) -> None:
    login = f"{USER}:{quote(PASSWORD, safe='')}"
    path = tmp_path / "c.yaml"
    url = f"rtsp://{login}@127.0.0.1:{server.port}/camera"
    path.write_text(f"name: yard\nsource: {{type: rtsp, url: '{url}', read_timeout_s: 60}}\n")
    process = subprocess.Popen(
        command(["--verbose", "run", "--config", path]), env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith('{"schema":1,"source":"yard"')
    server.freeze()
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert_no_secret(stdout, stderr)
