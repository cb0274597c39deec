"""Whatever a server does, only the right file gets the model's name, or one line says why not."""

from __future__ import annotations

import itertools
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from models.pull.pulling import FAILED, HURRIED, MODEL, STALLED, UNAVAILABLE, named, pull_from
from support import misbehaving_server as serve
from support.misbehaving_server import Answer, MisbehavingServer

from edge_ssd.errors import EdgeSsdError
from edge_ssd.models.download import DownloadError
from edge_ssd.models.pull import MAX_BYTES, pull

NEVER: dict[str, tuple[Answer, str, int, str]] = {
    "truncates": (serve.truncates, "sized", UNAVAILABLE, r"ended after 100 of \d+ bytes"),
    "truncates, size unknown": (serve.truncates, "unsized", UNAVAILABLE, r"ended after 100 of"),
    "truncates chunks": (serve.truncates_chunked, "unsized", UNAVAILABLE, "cannot be reached"),
    "truncates unsaid": (serve.truncates_unsaid, "sized", UNAVAILABLE, r"ended after \d+ of"),
    "truncates unsaid, no hash": (serve.truncates_unsaid, "unknown", FAILED, "damaged|not a"),
    "truncates unsaid, size unknown": (serve.truncates_unsaid, "unsized", FAILED, "not the publ"),
    "length too long": (serve.length_too_long, "sized", FAILED, r"is \d+ bytes, and should be"),
    "length too long, size unknown": (serve.length_too_long, "unsized", UNAVAILABLE, "ended after"),
    "length too short": (serve.length_too_short, "sized", FAILED, r"is \d+ bytes, and should be"),
    "length too short, size unknown": (serve.length_too_short, "unsized", FAILED, "not the publi"),
    "length is nonsense": (serve.length_is_nonsense, "unsized", FAILED, "not the published file"),
    "length is huge": (serve.length_is_huge, "unsized", FAILED, f"should be at most {MAX_BYTES}"),
    "nothing": (serve.empty, "unsized", FAILED, "not the published file"),
    "nothing, no hash": (serve.empty, "unknown", FAILED, "not a TensorFlow Lite file"),
    "endless": (serve.endless, "sized", FAILED, "is more than"),
    "endless, size unknown": (serve.endless, "unsized", FAILED, f"is more than {MAX_BYTES}"),
    "wrong bytes": (serve.wrong_bytes, "sized", FAILED, r"not the published file: sha256 \w{12}…"),
    "login page": (serve.login_page, "unsized", FAILED, "not the published file"),
    "login page, no hash": (serve.login_page, "unknown", FAILED, "not a TensorFlow Lite file"),
    "gzip": (serve.gzipped, "unsized", FAILED, "arrives as gzip, and not as it was published"),
    "circle": (serve.redirects_in_a_circle, "sized", UNAVAILABLE, "redirected more than 5 times"),
    "redirect nowhere": (serve.redirects_nowhere, "sized", UNAVAILABLE, "redirected more than 5"),
    "endless redirect": (serve.redirects_endlessly, "sized", UNAVAILABLE, "redirected more than"),
    "redirect to a file": (
        serve.redirects_to("file:///etc/passwd"), "sized", UNAVAILABLE,
        "only http or https is followed",
    ),
    "redirect to ftp": (
        serve.redirects_to("ftp://127.0.0.1/x"), "sized", UNAVAILABLE,
        "only http or https is followed",
    ),
    "redirect to nonsense": (
        serve.redirects_to("http://[::1/x y"), "sized", UNAVAILABLE, "cannot be reached",
    ),
    "hangs up": (serve.hangs_up, "sized", UNAVAILABLE, "cannot be reached: .*closed connection"),
    "silent": (serve.silent, "sized", UNAVAILABLE, r"cannot be reached: no answer for 0\.5 s"),
    "stalls in headers": (serve.stalls_in_headers, "sized", UNAVAILABLE, r"no answer for 0\.5 s"),
    "stalls midway": (serve.stalls_midway, "sized", UNAVAILABLE, r"no answer for 0\.5 s"),
    "404": (serve.status(404), "sized", UNAVAILABLE, "the server says 404"),
    "403": (serve.status(403), "sized", UNAVAILABLE, "the server says 403"),
    "500": (serve.status(500), "sized", UNAVAILABLE, "the server says 500"),
    "503": (serve.status(503), "sized", UNAVAILABLE, "the server says 503"),
    "416": (serve.status(416), "sized", UNAVAILABLE, "the server says 416"),
    "204": (serve.status(204), "sized", FAILED, "is 0 bytes, and should be"),
    "not HTTP": (serve.no_http, "sized", UNAVAILABLE, "cannot be reached"),
    "endless headers": (serve.endless_headers, "sized", UNAVAILABLE, "cannot be reached"),
    "a part unasked": (serve.other_part, "sized", UNAVAILABLE, "sends another part than was"),
}  # fmt: skip


@pytest.mark.parametrize("case", NEVER)
def test_nothing_is_left_but_one_line(case: str, folder: Path) -> None:
    answer, name, code, message = NEVER[case]
    patience = STALLED if "no answer" in message else HURRIED
    with MisbehavingServer(MODEL, answer) as server, pytest.raises(EdgeSsdError) as caught:
        pull_from(server, name, folder, trust=True, patience=patience)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)  # what to do about it
    assert caught.value.exit_code == code
    assert named(folder) == []
    assert code != FAILED or not (folder / f".{name}.part").exists()  # no start to go on from
    with MisbehavingServer(MODEL, serve.good) as server:  # and it does not spoil the next try
        assert pull_from(server, name, folder, trust=True).path.read_bytes() == MODEL


def test_a_drip_ends_when_the_time_is_up(folder: Path) -> None:
    """A byte every 10 seconds never stalls, and never ends."""
    seconds = itertools.count(step=10)
    due = threading.Semaphore()

    def drips(exchange: serve.Exchange) -> None:
        exchange.head("200 OK", Content_Length=len(MODEL))
        for byte in MODEL:
            assert due.acquire(timeout=10)
            exchange.send(bytes([byte]))

    patience = replace(HURRIED, total_s=600, clock=lambda: next(seconds))
    with (
        MisbehavingServer(MODEL, drips) as server,
        pytest.raises(DownloadError, match="is not here after 600 s; run the command again: it"),
    ):
        pull("sized", folder, server.url, progress=lambda *_: due.release(), patience=patience)
    assert len(server.requests) == 1
    assert (folder / ".sized.part").read_bytes() == MODEL[:61]
    assert named(folder) == []


def test_nobody_there(folder: Path) -> None:
    with MisbehavingServer(MODEL, serve.good) as server:
        pass
    with pytest.raises(DownloadError, match="Connection refused; check the network and the proxy"):
        pull_from(server, "sized", folder)
    assert named(folder) == []


def test_attempts_are_few_and_further_apart(folder: Path) -> None:
    waits: list[float] = []
    patience = replace(HURRIED, attempts=4, wait=waits.append)
    with MisbehavingServer(MODEL, serve.status(503)) as server, pytest.raises(DownloadError):
        pull_from(server, "sized", folder, patience=patience)
    assert len(server.requests) == 4
    assert waits == [1, 2, 4]


def test_what_will_not_change_is_asked_once(folder: Path) -> None:
    answers = {serve.status(404): 1, serve.wrong_bytes: 1, serve.redirects_in_a_circle: 6}
    for answer, requests in answers.items():
        with MisbehavingServer(MODEL, answer) as server, pytest.raises(EdgeSsdError):
            pull_from(server, "sized", folder)
        assert len(server.requests) == requests
