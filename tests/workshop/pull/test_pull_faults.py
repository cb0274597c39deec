"""Whatever a server does, only the right file gets the model's name, or one line says why not."""

from __future__ import annotations

import itertools
import re
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import misbehaving_server as serve
from support.misbehaving_server import Answer, MisbehavingServer
from workshop.pull.pulling import FAILED, MODEL, STALL_S, UNAVAILABLE, named, pull_from

from edge_ssd.errors import EdgeSsdError
from edge_ssd.workshop.pull import MAX_BYTES, DownloadError, pull

NEVER: dict[str, tuple[Answer, str, int, str]] = {
    "truncates": (serve.truncates, "sized", UNAVAILABLE, "cannot be downloaded: .*100 bytes read"),
    "truncates chunks": (serve.truncates_chunked, "sized", UNAVAILABLE, "cannot be downloaded"),
    "truncates unsaid": (serve.truncates_unsaid, "sized", FAILED, "not the published file"),
    "truncates unsaid, no hash": (serve.truncates_unsaid, "unknown", FAILED, "damaged|not a"),
    "length too long": (serve.length_too_long, "sized", UNAVAILABLE, "100 more expected"),
    "length too short": (serve.length_too_short, "sized", FAILED, "not the published file"),
    "length too short, no hash": (serve.length_too_short, "unknown", FAILED, "damaged|not a"),
    "length is nonsense": (serve.length_is_nonsense, "sized", FAILED, "is -1e9 bytes, at most"),
    "length is huge": (serve.length_is_huge, "sized", FAILED, f"bytes, at most {MAX_BYTES} are"),
    "nothing": (serve.empty, "sized", FAILED, "not the published file"),
    "nothing, no hash": (serve.empty, "unknown", FAILED, "not a TensorFlow Lite file"),
    "endless": (serve.endless, "sized", FAILED, f"is more than {MAX_BYTES} bytes, at most"),
    "wrong bytes": (serve.wrong_bytes, "sized", FAILED, r"not the published file: sha256 \w{12}…"),
    "login page": (serve.login_page, "sized", FAILED, "not the published file"),
    "login page, no hash": (serve.login_page, "unknown", FAILED, "not a TensorFlow Lite file"),
    "gzip": (serve.gzipped, "sized", FAILED, "not the published file"),
    "gzip, no hash": (serve.gzipped, "unknown", FAILED, "not a TensorFlow Lite file"),
    "circle": (serve.redirects_in_a_circle, "sized", UNAVAILABLE, "Exceeded 30 redirects"),
    "redirect nowhere": (serve.redirects_nowhere, "sized", FAILED, "not the published file"),
    "endless redirect": (serve.redirects_endlessly, "sized", UNAVAILABLE, "Exceeded 30 redirects"),
    "redirect to a file": (
        serve.redirects_to("file:///etc/passwd"), "sized", UNAVAILABLE, "a redirect's .* is invalid"
    ),
    "redirect to ftp": (
        serve.redirects_to("ftp://127.0.0.1/x"), "sized", UNAVAILABLE, "a redirect's .* is invalid"
    ),
    "redirect to nonsense": (
        serve.redirects_to("http://[::1/x y"), "sized", UNAVAILABLE, "a redirect's .* is invalid"
    ),
    "hangs up": (serve.hangs_up, "sized", UNAVAILABLE, "be downloaded: .*closed connection"),
    "silent": (serve.silent, "sized", UNAVAILABLE, r"be downloaded: no answer for 0\.5 s"),
    "stalls in headers": (serve.stalls_in_headers, "sized", UNAVAILABLE, r"no answer for 0\.5 s"),
    "stalls midway": (serve.stalls_midway, "sized", UNAVAILABLE, r"no answer for 0\.5 s"),
    "404": (serve.status(404), "sized", UNAVAILABLE, "the server answers 404 Trouble;"),
    "403": (serve.status(403), "sized", UNAVAILABLE, "the server answers 403"),
    "500": (serve.status(500), "sized", UNAVAILABLE, "the server answers 500"),
    "503": (serve.status(503), "sized", UNAVAILABLE, "the server answers 503"),
    "416": (serve.status(416), "sized", UNAVAILABLE, "the server answers 416"),
    "204": (serve.status(204), "sized", FAILED, "not the published file"),
    "not HTTP": (serve.no_http, "sized", UNAVAILABLE, "cannot be downloaded"),
    "endless headers": (serve.endless_headers, "sized", UNAVAILABLE, "cannot be downloaded"),
    "a part unasked": (serve.other_part, "sized", FAILED, "not the published file"),
    "a part unasked, no hash": (serve.other_part, "unknown", FAILED, "not a TensorFlow Lite file"),
}  # fmt: skip


@pytest.mark.parametrize("case", NEVER)
def test_nothing_is_left_but_one_line(
    case: str, folder: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, name, code, message = NEVER[case]
    with (
        monkeypatch.context() as patch,
        MisbehavingServer(MODEL, answer) as server,
        pytest.raises(EdgeSsdError) as caught,
    ):
        if "no answer" in message:
            patch.setattr(STALL_S, 0.5)
        pull_from(server, name, folder, trust=True)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)  # what to do about it
    assert caught.value.exit_code == code
    assert named(folder) == named(temporary) == []
    with MisbehavingServer(MODEL, serve.good) as server:  # and it does not spoil the next try
        assert pull_from(server, name, folder, trust=True).path.read_bytes() == MODEL


def test_a_drip_ends_when_the_time_is_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte every 10 seconds never stalls, and never ends."""
    seconds = itertools.count(step=10)
    due = threading.Semaphore()
    arrived = []

    def drips(exchange: serve.Exchange) -> None:
        exchange.head("200 OK", Content_Length=len(MODEL))
        for byte in MODEL:
            assert due.acquire(timeout=60)
            exchange.send(bytes([byte]))

    def progress(done: int, _total: int | None) -> None:
        arrived.append(done)
        due.release()

    clock = SimpleNamespace(monotonic=lambda: next(seconds))
    monkeypatch.setattr("edge_ssd.workshop.pull.time", clock)
    with (
        MisbehavingServer(MODEL, drips) as server,
        pytest.raises(DownloadError, match="is not complete after 3600 s; check the network"),
    ):
        pull("sized", folder, server.url, progress=progress)
    assert len(server.requests) == 1
    assert arrived == list(range(1, 362))
    assert named(folder) == []


def test_nobody_there(folder: Path) -> None:
    with MisbehavingServer(MODEL, serve.good) as server:
        pass
    with pytest.raises(DownloadError, match="Connection refused; check the network, the proxy"):
        pull_from(server, "sized", folder)
    assert named(folder) == []


def test_a_wrong_file_is_asked_for_once(folder: Path) -> None:
    for answer in (serve.wrong_bytes, serve.length_is_huge):
        with MisbehavingServer(MODEL, answer) as server, pytest.raises(EdgeSsdError):
            pull_from(server, "sized", folder)
        assert len(server.requests) == 1
