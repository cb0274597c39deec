"""Where models are pulled to: what is there already, who may write there, and its room."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support import misbehaving_server as serve
from support.misbehaving_server import MisbehavingServer
from support.privileges import without_root_rights
from support.tflite_models import raw_heads_model
from workshop.pull.pulling import FAILED, MODEL, named, offer, pull_from, sha256

from edge_ssd.errors import EdgeSsdError
from edge_ssd.workshop.pull import DownloadError, Pulled, PullError, pull


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
            pull("sized", folder, server.url)
        assert path.read_bytes() == b"damaged"
        assert pull("sized", folder, server.url).fresh
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
    return pull(name, folder, server.url)


def test_two_pulls_of_a_model_at_once_do_not_disturb_each_other(folder: Path) -> None:
    pulled: list[Pulled] = []

    def second(_done: int, _total: int | None) -> None:
        if not pulled:
            pulled.append(pull("sized", folder, server.url))

    with MisbehavingServer(MODEL, serve.good) as server:
        pulled.append(pull("sized", folder, server.url, progress=second))
    assert len(server.requests) == 2
    assert pulled == [Pulled(folder / "sized.tflite", sha256(MODEL), fresh=True)] * 2
    assert (folder / "sized.tflite").read_bytes() == MODEL
    assert named(folder) == ["sized.json", "sized.tflite"]


@pytest.mark.parametrize("room", [100, len(MODEL) - 1])
def test_a_full_disk(room: int, folder: Path) -> None:
    """As far as a limit on the size of files tells."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with MisbehavingServer(MODEL, serve.good) as server:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        try:
            with pytest.raises(PullError, match="sized: File too large; free some space, or name"):
                pull_from(server, "sized", folder)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(server.requests) == 1
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
