"""A download that breaks off is tried again, from its beginning."""

from __future__ import annotations

from pathlib import Path

import pytest
import support.misbehaving_server as serve
from support.misbehaving_server import Answer, MisbehavingServer
from workshop.pull.pulling import MODEL, STALL_S, named, pull_from, sha256

from edge_ssd.workshop.pull import DownloadError, Pulled, pull

AT_LAST: dict[str, list[Answer]] = {
    "good": [serve.good],
    "truncates": [serve.truncates, serve.good],
    "truncates chunks": [serve.truncates_chunked, serve.good],
    "stalls midway": [serve.stalls_midway, serve.good],
    "hangs up": [serve.hangs_up, serve.good],
    "500, 503": [serve.status(500), serve.status(503), serve.good],
    "trouble in between": [serve.truncates, serve.status(503), serve.good],
    "redirect": [serve.redirects_to("/else/where"), serve.good],
    "redirect in between": [serve.hangs_up, serve.redirects_to("/else/where"), serve.good],
}


@pytest.mark.parametrize("case", AT_LAST)
def test_a_bad_start_is_made_good(case: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if serve.stalls_midway in AT_LAST[case]:
        monkeypatch.setattr(STALL_S, 2)  # long enough for who does not stall
    with MisbehavingServer(MODEL, *AT_LAST[case]) as server:
        pulled = pull_from(server, "sized", folder)
    assert pulled == Pulled(folder / "sized.tflite", sha256(MODEL), fresh=True)
    assert pulled.path.read_bytes() == MODEL
    assert len(server.requests) == len(AT_LAST[case])
    assert named(folder) == ["sized.json", "sized.tflite"]


def test_attempts_are_few_and_further_apart(folder: Path, waits: list[float]) -> None:
    with MisbehavingServer(MODEL, serve.status(503)) as server, pytest.raises(DownloadError):
        pull_from(server, "sized", folder)
    assert len(server.requests) == 3
    assert waits == [1, 2]


def test_an_interrupted_pull_leaves_nothing(folder: Path, temporary: Path) -> None:
    def interrupt(_done: int, _total: int | None) -> None:
        raise KeyboardInterrupt

    with MisbehavingServer(MODEL, serve.stalls_midway, serve.good) as server:
        with pytest.raises(KeyboardInterrupt):
            pull("sized", folder, server.url, progress=interrupt)
        assert named(folder) == named(temporary) == []
        seen: list[tuple[int, int | None]] = []
        pull("sized", folder, server.url, progress=lambda *at: seen.append(at))
    assert (folder / "sized.tflite").read_bytes() == MODEL
    assert seen[-1] == (len(MODEL), len(MODEL))
    assert seen == sorted(seen)
