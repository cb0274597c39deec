"""The detection whose result is known: what passes, and what does not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.machines import FakeMachine

from edge_ssd.checks import Verdict
from edge_ssd.commands.doctor import golden as golden_check
from edge_ssd.models import golden


def test_the_golden_detection_is_found_by_each_runtime(
    machine: FakeMachine, runtime_name: str
) -> None:
    found = golden_check.check(runtime_name).judge(machine.system())
    assert found.verdict is Verdict.OK, found
    assert found.evidence.startswith("cup 0.9")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"label": "dog"}, "expected dog"),
        ({"score": 0.5}, "expected cup 0.50"),
        ({"box_yxyx": [0.3, 0.3, 0.9, 0.7]}, "overlap by 0."),
        ({}, "nothing detected"),
    ],
)
def test_another_detection_than_the_golden_one_fails(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    change: dict[str, object], says: str,
) -> None:  # fmt: skip
    """What a runtime that computes wrongly looks like: numbers and expectation differ."""
    grey = tmp_path / "grey.png"
    cv2.imwrite(str(grey), np.full((200, 300, 3), 128, np.uint8))
    wanted = json.loads(golden.EXPECTED.read_text()) | change
    (tmp_path / "golden.json").write_text(json.dumps(wanted))
    monkeypatch.setattr(golden, "EXPECTED", tmp_path / "golden.json")
    if not change:
        monkeypatch.setattr(golden, "PHOTO", grey)
    found = golden_check.check().judge(machine.system())
    assert found.verdict is Verdict.FAIL
    assert says in found.evidence


def test_the_golden_picture_is_what_its_manifest_says() -> None:
    wanted = json.loads(golden.EXPECTED.read_text())
    data = golden.PHOTO.read_bytes()
    assert wanted["file"] == golden.PHOTO.name
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (wanted["sha256"], wanted["size"])
    assert wanted["licence"] == "CC0-1.0"
