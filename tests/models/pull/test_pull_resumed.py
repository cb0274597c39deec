"""A download that was cut off goes on where it ended, if it is of the same file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from models.pull.pulling import HURRIED, MODEL, STALLED, named, pull_from, sha256
from support import misbehaving_server as serve
from support.misbehaving_server import Answer, MisbehavingServer

from edge_ssd.errors import EdgeSsdError
from edge_ssd.models.download import DownloadError
from edge_ssd.models.pull import Pulled, pull

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


def test_half_a_file_of_no_known_hash_is_not_gone_on_with(folder: Path) -> None:
    with MisbehavingServer(MODEL, *[serve.truncates] * 3, serve.good) as server:
        with pytest.raises(DownloadError):
            pull_from(server, "unknown", folder, trust=True)
        (folder / ".unknown.part").write_bytes(bytes(100))
        pull_from(server, "unknown", folder, trust=True)
    assert (folder / "unknown.tflite").read_bytes() == MODEL
    assert "Range" not in server.requests[-1][1]
