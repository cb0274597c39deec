"""Whatever a server does, only the right file gets the model's name, or one line says why not."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import misbehaving_server as serve
import pytest
from click.testing import CliRunner
from command import edge_ssd, start
from misbehaving_server import Answer, MisbehavingServer
from privileges import without_root_rights
from tflite_models import raw_heads_model

from edge_ssd.cli import main
from edge_ssd.errors import EdgeSsdError, UsageError
from edge_ssd.models import catalogue
from edge_ssd.models.download import DownloadError, Patience, redirected
from edge_ssd.models.loading import load
from edge_ssd.models.pull import MAX_BYTES, Pulled, PullError, pull

FAILED, UNAVAILABLE = 1, 69
MODEL = raw_heads_model(75, 4, input_shape=(1, 48, 48, 3))
HURRIED = Patience(wait=lambda _: None)
STALLED = replace(HURRIED, stall_s=0.5)  # long enough for who does not stall


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def offer(**values: Any) -> dict[str, Any]:
    return {
        "description": "of the tests", "url": "https://models.invalid/some/where/file.tflite",
        "sha256": None, "git_blob": None, "size": None, "member": None, "licence": "MIT",
        "labels_of": catalogue.DEFAULT, "map": None, "map_source": None, "notes": "",
    } | values  # fmt: skip


def packed(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    """A zip archive of these entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


ZIP = packed(("detect.tflite", MODEL), ("labelmap.txt", b"???\nperson\n"))


def offer_of_zip(content: bytes) -> dict[str, Any]:
    inside = {"name": "detect.tflite", "sha256": sha256(MODEL), "size": len(MODEL)}
    url = "https://models.invalid/file.zip"
    return offer(url=url, sha256=sha256(content), member=inside)


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy between the tests and their server."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def offers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Replaces the catalogue; the function adds to it. Models are pulled to tmp_path/system."""
    known = {
        "sized": offer(sha256=sha256(MODEL), size=len(MODEL)),
        "unsized": offer(sha256=sha256(MODEL)),
        "unknown": offer(),
        "zipped": offer_of_zip(ZIP),
    }

    def add(**more: dict[str, Any]) -> None:
        known.update(more)
        (tmp_path / "catalogue.json").write_text(json.dumps({"schema": 1, "models": known}))
        catalogue.offers.cache_clear()

    monkeypatch.setattr(catalogue, "OFFERS", tmp_path / "catalogue.json")
    monkeypatch.setattr(catalogue, "SYSTEM", tmp_path / "system")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "own"))
    add()
    yield add
    catalogue.offers.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def pull_from(
    server: MisbehavingServer, name: str, folder: Path, trust: bool = False,
    patience: Patience = HURRIED,
) -> Pulled:  # fmt: skip
    """Pull, and look at every step whether the name is given too early."""

    def early(_done: int, _total: int | None) -> None:
        assert not (folder / f"{name}.tflite").exists()

    return pull(name, folder, server.url, trust, early, patience)


def named(folder: Path) -> list[str]:
    """The files that a user sees; hidden ones may only be the beginnings of a download."""
    names = sorted(path.name for path in folder.iterdir())
    hidden = [name for name in names if name.startswith(".")]
    assert all(re.fullmatch(r"\.\w+\.(part|part\.json|lock)", name) for name in hidden), hidden
    return [name for name in names if not name.startswith(".")]


# --- Servers that never behave ---

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


# --- Servers that behave at last ---

TRUNCATES_WEAK = partial(serve.truncates, tag='W/"first"')
AT_LAST: dict[str, tuple[list[Answer], list[str | None]]] = {
    "good": ([serve.good], [None]),
    "truncates": ([serve.truncates, serve.good], [None, "bytes=100-"]),
    "stalls midway": ([serve.stalls_midway, serve.good], [None, "bytes=100-"]),
    "hangs up": ([serve.hangs_up, serve.good], [None, None]),
    "500, 503": ([serve.status(500), serve.status(503), serve.good], [None] * 3),
    "trouble in between": (
        [serve.truncates, serve.status(503), serve.good], [None, "bytes=100-", "bytes=100-"],
    ),
    "ignores Range": ([serve.truncates, serve.whole], [None, "bytes=100-"]),
    "changed meanwhile": (
        [partial(serve.truncates, tag='"old"'), serve.good], [None, "bytes=100-"],
    ),
    "ignores If-Range": (
        [serve.truncates, serve.part_of_another_file, serve.good], [None, "bytes=100-", None],
    ),
    "another part": ([serve.truncates, serve.other_part, serve.good], [None, "bytes=100-", None]),
    "no such part": ([serve.truncates, serve.status(416), serve.good], [None, "bytes=100-", None]),
    "weak tag": ([TRUNCATES_WEAK, serve.good], [None, None]),
    "no tag": ([serve.truncates_unsaid, serve.good], [None, None]),
    "redirect": ([serve.redirects_to("/else/where"), serve.good], [None, None]),
}  # fmt: skip


@pytest.mark.parametrize("case", AT_LAST)
def test_a_bad_start_is_made_good(case: str, folder: Path) -> None:
    answers, ranges = AT_LAST[case]
    patience = STALLED if serve.stalls_midway in answers else HURRIED
    with MisbehavingServer(MODEL, *answers) as server:
        pulled = pull_from(server, "sized", folder, patience=patience)
    assert pulled == Pulled(folder / "sized.tflite", sha256(MODEL), fresh=True)
    assert pulled.path.read_bytes() == MODEL
    assert [headers.get("Range") for _, headers in server.requests] == ranges
    assert named(folder) == ["sized.json", "sized.tflite"]
    assert sorted(path.name for path in folder.glob(".*")) == [".sized.lock"]


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


def test_an_interrupted_pull_goes_on_where_it_ended(folder: Path) -> None:
    def interrupt(_done: int, _total: int | None) -> None:
        raise KeyboardInterrupt

    with MisbehavingServer(MODEL, serve.stalls_midway, serve.good) as server:
        with pytest.raises(KeyboardInterrupt):
            pull("sized", folder, server.url, progress=interrupt, patience=HURRIED)
        assert named(folder) == []
        assert (folder / ".sized.part").read_bytes() == MODEL[:100]
        seen: list[tuple[int, int | None]] = []
        pull("sized", folder, server.url, progress=lambda *at: seen.append(at), patience=HURRIED)
    assert server.requests[1][1]["Range"] == "bytes=100-"
    assert server.requests[1][1]["If-Range"] == serve.TAG
    assert (folder / "sized.tflite").read_bytes() == MODEL
    assert seen[-1] == (len(MODEL), len(MODEL))
    assert seen[0][0] > 100


def test_a_part_from_elsewhere_is_not_gone_on_with(folder: Path) -> None:
    with (
        MisbehavingServer(MODEL, serve.truncates) as first,
        MisbehavingServer(MODEL, serve.good) as second,
    ):
        with pytest.raises(DownloadError):
            pull_from(first, "sized", folder)
        pull_from(second, "sized", folder)
    assert "Range" not in second.requests[0][1]


def test_a_spoilt_part_is_found_out_and_forgotten(folder: Path) -> None:
    """After a power cut a file may hold zeros where its bytes were."""
    with MisbehavingServer(MODEL, *[serve.truncates] * 3, serve.good) as server:
        with pytest.raises(DownloadError):
            pull_from(server, "sized", folder)
        (folder / ".sized.part").write_bytes(bytes(100))
        with pytest.raises(EdgeSsdError, match="not the published file"):
            pull_from(server, "sized", folder)
        assert named(folder) == []
        assert pull_from(server, "sized", folder).path.read_bytes() == MODEL


# --- Archives ---


def symlink(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def encrypted(content: bytes) -> bytes:
    """Sets the flag that says so, in both of an entry's headers."""
    changed = bytearray(content)
    changed[6] |= 1
    changed[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)


def lying_bomb() -> bytes:
    """An entry that unpacks to 50 MB and says it has the model's size."""
    content = packed(("detect.tflite", bytes(50 << 20)))
    return content.replace((50 << 20).to_bytes(4, "little"), len(MODEL).to_bytes(4, "little"))


def other_compression() -> bytes:
    entry = zipfile.ZipInfo("detect.tflite")
    entry.compress_type = zipfile.ZIP_LZMA
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(entry, MODEL)
    return buffer.getvalue()


def twice() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return packed(("detect.tflite", MODEL), ("detect.tflite", MODEL))


ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "bomb": (
        lambda: packed(("detect.tflite", bytes(50 << 20))), r"unpacks to 52428800 bytes, and should"
    ),
    "lying bomb": (lying_bomb, "damaged zip archive"),
    "traversal": (
        lambda: packed(("detect.tflite", MODEL), ("../../evil", b"x")), r"unsafe entry '\.\./\.\.",
    ),
    "traversal of Windows": (
        lambda: packed(("detect.tflite", MODEL), ("..\\evil", b"x")), "unsafe entry"
    ),
    "absolute": (lambda: packed(("detect.tflite", MODEL), ("/tmp/evil", b"x")), "unsafe entry"),
    "symlink": (lambda: packed((symlink("detect.tflite"), b"/etc/passwd")), "unsafe entry"),
    "without the model": (
        lambda: packed(("sub/detect.tflite", MODEL)), r"has 0 entries detect\.tflite, and should",
    ),
    "twice": (twice, "has 2 entries"),
    "another model": (
        lambda: packed(("detect.tflite", MODEL[:-1] + b"!")), "not the published one: sha256",
    ),
    "encrypted": (lambda: encrypted(packed(("detect.tflite", MODEL))), "damaged zip .*encrypted"),
    "another compression": (other_compression, "unpacks to"),
    "no archive": (lambda: b"PK, but no archive", "damaged zip archive"),
    "cut short": (lambda: ZIP[:-30], "damaged zip archive"),
}  # fmt: skip


@pytest.mark.parametrize("case", ARCHIVES)
def test_a_bad_archive_leaves_nothing(
    case: str, folder: Path, tmp_path: Path, offers: Callable[..., None]
) -> None:
    """Even if its hash were right."""
    make, message = ARCHIVES[case]
    content = make()
    offers(bad=offer_of_zip(content))
    around = {path.name for path in tmp_path.iterdir()} | {"models"}
    with MisbehavingServer(content, serve.good) as server, pytest.raises(EdgeSsdError) as caught:
        pull_from(server, "bad", folder)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert caught.value.exit_code == FAILED
    assert named(folder) == []
    assert {path.name for path in tmp_path.iterdir()} == around


def test_the_model_of_an_archive(folder: Path) -> None:
    with MisbehavingServer(ZIP, serve.truncates, serve.good) as server:
        pulled = pull_from(server, "zipped", folder)
    assert server.requests[0][0] == "/file.zip"
    assert pulled.path.read_bytes() == MODEL
    assert named(folder) == ["zipped.json", "zipped.tflite"]


# --- Where no hash is published ---


def test_trust_must_be_asked_for(folder: Path) -> None:
    with MisbehavingServer(MODEL, serve.good) as server:
        with pytest.raises(EdgeSsdError, match="no sha256 of unknown is published; add --trust-"):
            pull_from(server, "unknown", folder)
        assert server.requests == []
        assert named(folder) == []
        assert pull_from(server, "unknown", folder, trust=True).sha256 == sha256(MODEL)
    recorded = json.loads((folder / "unknown.json").read_text())
    assert recorded["file"]["sha256"] == sha256(MODEL)
    assert recorded["origin"]["sha256"] == "trusted on first use"


def test_the_recorded_hash_holds_from_then_on(folder: Path) -> None:
    with MisbehavingServer(MODEL, serve.good) as server:
        pull_from(server, "unknown", folder, trust=True)
        (folder / "unknown.tflite").unlink()
        server.content = raw_heads_model(75, 5, input_shape=(1, 48, 48, 3))
        for trust in (True, False):
            with pytest.raises(EdgeSsdError, match="not the recorded one: sha256"):
                pull_from(server, "unknown", folder, trust=trust)
            assert named(folder) == ["unknown.json"]
        server.content = MODEL
        assert pull_from(server, "unknown", folder).path.read_bytes() == MODEL


def test_half_a_file_of_no_known_hash_is_not_gone_on_with(folder: Path) -> None:
    with MisbehavingServer(MODEL, *[serve.truncates] * 3, serve.good) as server:
        with pytest.raises(DownloadError):
            pull_from(server, "unknown", folder, trust=True)
        (folder / ".unknown.part").write_bytes(bytes(100))
        pull_from(server, "unknown", folder, trust=True)
    assert (folder / "unknown.tflite").read_bytes() == MODEL
    assert "Range" not in server.requests[-1][1]


def test_trust_does_not_reach_beyond_the_commit(
    folder: Path, shared: Path, offers: Callable[..., None]
) -> None:
    """With a file of the commit that the catalogue names, and git's own id of it."""
    name = "ssd_mobilenet_v1_coco_quant_postprocess_segment_1_of_2_edgetpu.tflite"
    content = (shared / "models" / name).read_bytes()
    offers(committed=offer(git_blob="7d3ac0c060e1f9cd71fe5679196f7205e5c89a88"))
    with MisbehavingServer(MODEL, serve.good) as server:
        with pytest.raises(EdgeSsdError, match="not the published file: git object"):
            pull_from(server, "committed", folder, trust=True)
        assert named(folder) == []
        server.content = content
        assert pull_from(server, "committed", folder, trust=True).sha256 == sha256(content)


# --- What is there already ---


def test_a_second_pull_asks_nobody(folder: Path) -> None:
    with MisbehavingServer(MODEL, serve.good) as server:
        for name in ("sized", "unknown"):
            first = pull_from(server, name, folder, trust=True)
            again = pull(name, folder, "file:///nowhere")
            assert again == replace(first, fresh=False)
    assert len(server.requests) == 2


def test_a_damaged_model_is_replaced_by_the_right_one_only(folder: Path) -> None:
    with MisbehavingServer(MODEL, serve.good, serve.wrong_bytes, serve.good) as server:
        path = pull_from(server, "sized", folder).path
        path.write_bytes(b"damaged")
        with pytest.raises(EdgeSsdError, match="not the published"):
            pull("sized", folder, server.url, patience=HURRIED)
        assert path.read_bytes() == b"damaged"
        assert pull("sized", folder, server.url, patience=HURRIED).fresh
    assert path.read_bytes() == MODEL


def test_a_file_of_the_users_own_is_kept(folder: Path) -> None:
    folder.mkdir()
    (folder / "sized.tflite").write_bytes(b"mine")
    with MisbehavingServer(MODEL, serve.good) as server:
        with pytest.raises(PullError, match=r"sized\.tflite is there, and was not pulled; move it"):
            pull("sized", folder, server.url)
        assert server.requests == []
    assert (folder / "sized.tflite").read_bytes() == b"mine"


OWN = raw_heads_model(12, 5)


@pytest.mark.parametrize("there", [("tflite", "json"), ("json",)], ids="+".join)
def test_a_model_of_the_users_own_with_its_manifest_is_kept(
    there: tuple[str, ...], folder: Path
) -> None:
    own = {
        "tflite": OWN,
        "json": json.dumps({"schema": 1, "file": {"sha256": sha256(OWN)}}).encode(),
    }
    folder.mkdir()
    for ending in there:
        (folder / f"sized.{ending}").write_bytes(own[ending])
    with MisbehavingServer(MODEL, serve.good) as server:
        with pytest.raises(PullError, match=r"sized\.json is there, and is not of a pull; move it"):
            pull_from_anywhere("sized", folder, server)
        assert server.requests == []
    for ending in there:
        assert (folder / f"sized.{ending}").read_bytes() == own[ending]
    assert named(folder) == sorted(f"sized.{ending}" for ending in there)


def test_another_version_that_is_whole_is_kept(folder: Path, offers: Callable[..., None]) -> None:
    with MisbehavingServer(MODEL, serve.good) as server:
        path = pull_from(server, "sized", folder).path
        offers(sized=offer(sha256=sha256(OWN)))
        with pytest.raises(PullError, match="is whole, and not the one of the catalogue; move it"):
            pull_from_anywhere("sized", folder, server)
        assert len(server.requests) == 1
    assert path.read_bytes() == MODEL


def test_a_folder_in_the_models_place_is_told_before_anything_is_fetched(folder: Path) -> None:
    (folder / "sized.tflite").mkdir(parents=True)
    with MisbehavingServer(MODEL, serve.good) as server:
        with pytest.raises(PullError, match=r"sized\.tflite is there, and was not pulled; move it"):
            pull_from_anywhere("sized", folder, server)
        assert server.requests == []
    assert named(folder) == ["sized.tflite"]


def pull_from_anywhere(name: str, folder: Path, server: MisbehavingServer) -> Pulled:
    """Pull to where something is already."""
    return pull(name, folder, server.url, patience=HURRIED)


def test_one_process_at_a_time(folder: Path) -> None:
    def wait_for_the_silent() -> None:
        with pytest.raises(DownloadError):
            pull_from(server, "sized", folder, patience=Patience(attempts=1))

    with MisbehavingServer(MODEL, serve.silent) as server:
        first = threading.Thread(target=wait_for_the_silent)
        first.start()
        assert server.asked.wait(10)
        with pytest.raises(PullError, match=r"another process is pulling .*; wait for its end"):
            pull_from(server, "sized", folder)
        assert named(folder) == []
    first.join(10)
    assert not first.is_alive()


# --- The folder ---


def test_a_full_disk(folder: Path) -> None:
    folder.mkdir()
    (folder / ".sized.part").symlink_to("/dev/full")
    with (
        MisbehavingServer(MODEL, serve.good) as server,
        pytest.raises(PullError, match="No space left on device; free some space, or name"),
    ):
        pull_from(server, "sized", folder)
    assert named(folder) == []


def test_a_folder_that_may_not_be_written(folder: Path) -> None:
    folder.mkdir(mode=0o555)
    with (
        MisbehavingServer(MODEL, serve.good) as server,
        without_root_rights(),
        pytest.raises(PullError, match=r"Permission denied; .* --output") as caught,
    ):
        pull_from(server, "sized", folder / "new")
    assert str(folder / "new") in caught.value.problem
    assert caught.value.exit_code == FAILED
    assert named(folder) == []


def test_every_user_may_read_what_root_pulls(folder: Path) -> None:
    before = os.umask(0o077)
    try:
        with MisbehavingServer(MODEL, serve.good) as server:
            pull_from(server, "sized", folder)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in folder.glob("sized.*")} == {0o644}


def test_a_pull_that_fails_locks_nobody_out(tmp_path: Path) -> None:
    folder = tmp_path / "lib" / "edge-ssd" / "models"
    before = os.umask(0o077)
    try:
        with pytest.raises(DownloadError):
            pull("sized", folder, "file:///nowhere")
    finally:
        os.umask(before)
    for made in (folder, folder.parent, folder.parent.parent):
        assert made.stat().st_mode & 0o777 == 0o755


# --- Ways to the file ---


def test_a_mirror_on_a_disk(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "stick of mine").mkdir()
    (tmp_path / "stick of mine" / "file.tflite").write_bytes(MODEL)
    mirror = (tmp_path / "stick of mine").as_uri()
    assert pull("sized", folder, f"{mirror}/").path.read_bytes() == MODEL
    (tmp_path / "stick of mine" / "file.tflite").write_bytes(MODEL[:-1] + b"!")
    with pytest.raises(EdgeSsdError, match="not the published file"):
        pull("unsized", folder, mirror)
    assert named(folder) == ["sized.json", "sized.tflite"]


def test_a_mirror_keeps_the_name_of_the_file(folder: Path) -> None:
    with MisbehavingServer(MODEL, serve.good) as server:
        pull("sized", folder, f"{server.url}/copies/", patience=HURRIED)
    assert server.requests[0][0] == "/copies/file.tflite"


def test_the_proxy_is_used_and_its_refusal_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MisbehavingServer(MODEL, serve.good, serve.status(503)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("https_proxy", proxy.url)
        pull("sized", folder, "http://copies.invalid", patience=HURRIED)
        with pytest.raises(DownloadError, match=r"cannot be reached: Tunnel .*503.*; check .*prox"):
            pull("unsized", folder, patience=HURRIED)
    asked = [path for path, _ in proxy.requests]
    assert asked == ["http://copies.invalid/file.tflite", *["models.invalid:443"] * 3]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A certificate of 127.0.0.1, signed by itself, with its key."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-days", "2", "-keyout", path, "-out", path.with_suffix(".crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    with path.open("a") as file:
        file.write(path.with_suffix(".crt").read_text())
    return str(path)


def test_a_certificate_of_nobody_is_refused(folder: Path, certificate: str) -> None:
    with MisbehavingServer(MODEL, serve.good, certificate=certificate) as server:
        with pytest.raises(DownloadError, match=r"its certificate is refused: .*; check the date"):
            pull_from(server, "sized", folder)
        assert server.requests == []
    assert named(folder) == []


def test_https_is_not_left(folder: Path, certificate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    with MisbehavingServer(MODEL, serve.good) as plain:
        away = serve.redirects_to(f"{plain.url}/file.tflite")
        here = serve.redirects_to("/moved")
        with MisbehavingServer(MODEL, away, here, serve.good, certificate=certificate) as server:
            with pytest.raises(DownloadError, match="only https is followed"):
                pull_from(server, "sized", folder)
            assert plain.requests == []
            assert named(folder) == []
            assert pull_from(server, "sized", folder).path.read_bytes() == MODEL
    assert [path for path, _ in server.requests] == ["/file.tflite", "/file.tflite", "/moved"]


def test_a_plain_mirror_may_lead_to_https() -> None:
    assert redirected("http://a/b/c", "https://d/e") == "https://d/e"
    assert redirected("http://a/b/c", "../e") == "http://a/e"


# --- As the user sees it ---


def test_a_pulled_model_has_its_name_and_its_labels(tmp_path: Path) -> None:
    with MisbehavingServer(ZIP, serve.good) as server:
        done = CliRunner().invoke(main, ["models", "pull", "zipped", "--mirror", server.url])
        assert done.exit_code == 0, done.output
        again = CliRunner().invoke(main, ["models", "pull", "zipped", "--mirror", server.url])
    path = tmp_path / "system" / "zipped.tflite"
    assert done.stdout == (
        f"{path} is there, sha256 {sha256(MODEL)}; use it with `--model zipped`\n"
    )
    assert again.stdout == done.stdout.replace("is there", "was there already")
    spec = load("zipped")
    assert (spec.path, spec.name, spec.labels[0]) == (path, "zipped", "person")
    assert len(spec.labels) == 90


def test_another_folder_is_named_in_full(folder: Path) -> None:
    with MisbehavingServer(MODEL, serve.good) as server:
        arguments = ["models", "pull", "sized", "--mirror", server.url, "--output", str(folder)]
        done = CliRunner().invoke(main, arguments)
    assert done.stdout.endswith(f"use it with `--model {folder / 'sized.tflite'}`\n")
    assert (folder / "sized.tflite").read_bytes() == MODEL


def test_what_comes_with_the_package_needs_no_pull(folder: Path) -> None:
    done = CliRunner().invoke(main, ["models", "pull", catalogue.DEFAULT])
    assert done.exit_code == 0
    assert "was there already" in done.stdout
    assert not folder.exists()


@pytest.mark.parametrize(
    ("mirror", "problem"),
    [
        ("http://[bad", "--mirror http://[bad is no URL"),
        ("http://[bad@x", "--mirror http://…@x is no URL"),
        ("http://", "--mirror http:// is no URL"),
        ("http://host:port/", "--mirror http://host:port/ is no URL"),
        ("pi:secret@host", "--mirror …@host is no URL"),
        ("ftp://pi:secret@host", "--mirror ftp://…@host is no URL"),
        ("http://pi:sec/ret@host/", "--mirror http://…@host/ is no URL"),
        (
            "http://pi:secret@host/",
            "--mirror http://…@host/ has a user or a password in it, and no",
        ),
    ],
)
def test_a_mirror_that_cannot_be_used_is_told_without_its_password(
    mirror: str, problem: str, folder: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        pull("sized", folder, mirror)
    assert caught.value.problem.startswith(problem)
    assert caught.value.remedy
    assert not folder.exists()


def test_what_comes_with_the_package_goes_to_no_other_folder(folder: Path) -> None:
    done = CliRunner().invoke(main, ["models", "pull", catalogue.DEFAULT, "--output", str(folder)])
    assert done.exit_code == 2
    assert "comes with the package, and goes to no other folder; leave out --output" in done.stderr
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no_such_model"], 1, "error: no model 'no_such_model' can be pulled; see `edge-ssd mode"),
        (["NAME", "--mirror", "/media/stick"], 2, "error: --mirror /media/stick is no URL; give"),
        (["NAME", "--mirror", "file:///no/such"], 69, "No such file or directory; check that th"),
        (["NAME", "--mirror", "MIRROR"], 1, "is not the published file: sha256 "),
        (["NAME_postprocess"], 1, "error: no sha256 of ssd_mobilenet_v1_coco_quant_postprocess is"),
    ],
)
def test_what_goes_wrong_is_one_line(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.zip").write_bytes(ZIP)
    given = [
        word.replace("NAME", "ssd_mobilenet_v1_coco_quant").replace("MIRROR", tmp_path.as_uri())
        for word in arguments
    ]
    finished = edge_ssd("models", "pull", *given, "--output", tmp_path / "models")
    (line,) = finished.stderr.splitlines()
    assert message in line
    assert finished.returncode == code
    assert finished.stdout == ""
    assert not list(tmp_path.glob("models/[!.]*"))


def test_ctrl_c_leaves_no_model(tmp_path: Path) -> None:
    with MisbehavingServer(ZIP, serve.stalls_midway) as server:
        process = start(
            "models", "pull", "ssd_mobilenet_v1_coco_quant", "--mirror", server.url,
            "--output", tmp_path / "models",
        )  # fmt: skip
        assert server.asked.wait(30)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 1
    assert told.strip() == "Aborted!"
    assert named(tmp_path / "models") == []
