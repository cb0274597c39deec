"""A name or a path to a file; whoever mistypes a name is told the right one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tflite_models import raw_heads_model

from edge_ssd.errors import ModelError
from edge_ssd.models import catalogue
from edge_ssd.models.loading import load


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A catalogue of one model, ``small_ssd``."""
    folder, content = tmp_path / "data", raw_heads_model()
    folder.mkdir()
    (folder / "small_ssd.tflite").write_bytes(content)
    values = {"schema": 1, "file": {"sha256": hashlib.sha256(content).hexdigest()}, "labels": ["a"]}
    (folder / "small_ssd.json").write_text(json.dumps(values))
    (folder / "notes.txt").write_text("no model")
    monkeypatch.setattr(catalogue, "BUNDLED", folder)
    catalogue.bundled.cache_clear()
    yield folder
    catalogue.bundled.cache_clear()


def test_a_name_is_the_bundled_file_with_its_manifest(bundle: Path) -> None:
    assert catalogue.bundled() == {"small_ssd": bundle / "small_ssd.tflite"}
    assert catalogue.find("small_ssd") == bundle / "small_ssd.tflite"
    assert catalogue.describe("small_ssd").get("labels", list) == ["a"]
    assert load("small_ssd").labels == ("a",)


def test_a_path_is_the_file_itself(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.tflite").write_bytes(b"x")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert catalogue.find(str(tmp_path / "mine.tflite")) == tmp_path / "mine.tflite"
    assert catalogue.find("~/mine.tflite") == tmp_path / "mine.tflite"
    assert catalogue.find("mine.tflite") == Path("mine.tflite")


def test_a_misspelt_name_is_answered_with_the_right_one(bundle: Path) -> None:
    expected = r"no model 'smal_ssd': neither a file nor a name .*; did you mean small_ssd\? see"
    with pytest.raises(ModelError, match=expected):
        load("smal_ssd")


@pytest.mark.parametrize("name", ["/no/such/file.tflite", "~nobody_here/x.tflite", "zzz"])
def test_what_is_nowhere(bundle: Path, name: str) -> None:
    with pytest.raises(ModelError) as caught:
        catalogue.find(name)
    assert name in caught.value.problem
    assert caught.value.remedy == "see `edge-ssd models list`"


def test_a_folder_is_no_model(bundle: Path) -> None:
    with pytest.raises(ModelError, match=r"data is a folder; give the \.tflite file in it"):
        catalogue.find(str(bundle))
