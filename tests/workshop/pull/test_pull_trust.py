"""Where no hash is published, trust is asked for once, and holds for that file alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support import misbehaving_server as serve
from support.misbehaving_server import MisbehavingServer
from support.tflite_models import raw_heads_model
from workshop.pull.pulling import MODEL, named, offer, pull_from, sha256

from edge_ssd.errors import EdgeSsdError


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
